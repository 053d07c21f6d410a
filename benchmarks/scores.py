"""Word errors of several engines on the same clips: best reading of digits, intervals, paired differences."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from asr.score import compare, errors, interval, rate
from asr.text import normalise
from benchmarks.spelling import readings


def clip_errors(reference: str, text: str) -> int:
    """Word errors after the same normalisation of both sides; the closest reading of digits counts."""
    wanted = normalise(reference).split()
    return min(errors(wanted, normalise(reading).split()) for reading in readings(text))


def count(references: Iterable[str], texts: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    """-> word errors and reference words of each clip."""
    pairs = list(zip(references, texts, strict=True))
    return (np.array([clip_errors(reference, text) for reference, text in pairs]),
            np.array([len(normalise(reference).split()) for reference, _ in pairs]))  # fmt: skip


def summary(name: str, wrong: np.ndarray, total: np.ndarray) -> dict[str, float]:
    """Error rate and its 95 % interval in per cent, as the columns ``name``, ``name low``, ``name high``."""
    low, high = interval(wrong, total)
    return {name: 100 * rate(wrong, total), f"{name} low": 100 * low, f"{name} high": 100 * high}


def difference(
    ours: np.ndarray, theirs: np.ndarray, total: np.ndarray, samples: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Our error rate minus theirs and its 95 % interval, in points; both on the same resampled clips."""
    found = compare(theirs, ours, total, samples, seed)
    return 100 * found.difference, 100 * found.low, 100 * found.high
