"""Word errors of several engines on the same clips: best reading of digits, intervals, paired differences."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from asr.score import compare, errors, interval, rate
from asr.text import normalise
from recipes.language_model.numbers import cardinal, digits, ordinal, pairs, plural

CURRENCY = {"$": "dollars", "£": "pounds", "€": "euros"}
NUMBER = re.compile(r"([$£€]?)(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(st\b|nd\b|rd\b|th\b|s\b|%)?", re.IGNORECASE)
STYLES = {
    "cardinal": lambda n: cardinal(int(n)),
    "cardinal with and": lambda n: cardinal(int(n), " and"),
    "pairs": pairs,
    "digits": digits,
    "digits, oh": lambda n: digits(n, "oh"),
}


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


def _spell(match: re.Match, style: str) -> str:
    currency, number, decimal, suffix = match.groups()
    number, suffix = number.replace(",", ""), (suffix or "").lower()
    words = STYLES[style](number) if len(number) <= 12 else digits(number)
    if decimal:
        words += f" point {digits(decimal[1:])}"
    if suffix in ("st", "nd", "rd", "th"):
        words = ordinal(words)
    elif suffix == "s":
        words = plural(words)
    extra = (["percent"] if suffix == "%" else []) + ([CURRENCY[currency]] if currency else [])
    return f" {' '.join([words, *extra])} "


def readings(text: str) -> list[str]:
    """The ways to say a text: itself where it holds no digits, else one for each style of number."""
    text = text.replace("&", " and ")
    if not re.search(r"\d", text):
        return [text]
    return list(dict.fromkeys(NUMBER.sub(lambda match: _spell(match, style), text) for style in STYLES))
