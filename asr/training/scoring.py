"""Word and character errors of a set of transcripts, with a bootstrap interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import Levenshtein


def errors(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Substitutions, deletions and insertions between two sequences of symbols."""
    return Levenshtein.distance(reference, hypothesis)


def word_errors(references: list[str], hypotheses: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """-> errors and reference words of each utterance."""
    wrong = [errors(r.split(), h.split()) for r, h in zip(references, hypotheses, strict=True)]
    return np.array(wrong), np.array([len(r.split()) for r in references])


def rate(wrong: np.ndarray, total: np.ndarray) -> float:
    return float(wrong.sum() / max(1, total.sum()))


def interval(wrong: np.ndarray, total: np.ndarray, samples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the error rate by resampling utterances (Bisani & Ney 2004)."""
    picks = np.random.default_rng(seed).integers(len(wrong), size=(samples, len(wrong)))
    rates = wrong[picks].sum(1) / np.maximum(1, total[picks].sum(1))
    low, high = np.percentile(rates, [2.5, 97.5])
    return float(low), float(high)
