"""Word and character errors of a set of transcripts, with bootstrap intervals and a paired test of two systems."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein

from asr.errors import Error
from asr.text import normalise

SAMPLES = 2000  # of the bootstrap


@dataclass(frozen=True)
class Edits:
    """What it takes to make the hypothesis of the reference."""

    substituted: int
    deleted: int
    inserted: int
    length: int  # symbols of the reference

    @property
    def total(self) -> int:
        return self.substituted + self.deleted + self.inserted

    def __add__(self, other: Edits) -> Edits:
        return Edits(*(a + b for a, b in zip(vars(self).values(), vars(other).values())))


@dataclass(frozen=True)
class Score:
    """The word error rate of a set of transcripts, and what it is made of."""

    wer: float  # 1 for 100 %
    low: float  # of its 95 % interval
    high: float
    edits: Edits
    utterances: int


def wer(references: str | Sequence[str], hypotheses: str | Sequence[str]) -> Score:
    """Score transcripts against what was said: one text each, or as many of one as of the other.

    >>> wer("the cat sat", "a cat sat down").wer
    0.6666666666666666

    Words are compared as ``words_of`` gives them. Raises Error where there is nothing to compare.
    """
    said, heard = ([texts] if isinstance(texts, str) else list(texts) for texts in (references, hypotheses))
    if len(said) != len(heard):
        raise Error(f"there are {len(said)} references and {len(heard)} hypotheses: give as many of both")
    each = [count(align(words_of(r), words_of(h))) for r, h in zip(said, heard)]
    edits = sum(each, Edits(0, 0, 0, 0))
    if not edits.length:
        raise Error("the references hold no words")
    wrong, total = np.array([e.total for e in each]), np.array([e.length for e in each])
    return Score(rate(wrong, total), *interval(wrong, total), edits, len(said))


def words_of(text: str) -> list[str]:
    """The words of a text in letters a-z; words with digits or letters of other scripts stay as they are written.

    So "20" against "30" is an error, and "20" against "twenty" is one, too: write numbers as they are said.
    """
    words: list[str] = []
    for word in text.split():
        words += (re.sub(r"[\W_]+", " ", word.casefold()) if unwritable(word) else normalise(word)).split()
    return words


def unwritable(word: str) -> bool:
    """Does it hold a digit or a letter that is said and that the letters a-z cannot write?"""
    return any(c.isalnum() and not normalise(c) for c in word)


Pair = tuple[str, str]  # of the reference and of the hypothesis; "" where one has nothing


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Pair]:
    """Both sequences of symbols side by side, with the fewest errors."""
    pairs: list[Pair] = []
    for code in Levenshtein.opcodes(reference, hypothesis):
        said, heard = reference[code.src_start : code.src_end], hypothesis[code.dest_start : code.dest_end]
        if code.tag in ("equal", "replace"):
            pairs += zip(said, heard)
        else:
            pairs += [(r, "") for r in said] + [("", h) for h in heard]
    return pairs


def count(pairs: Sequence[Pair]) -> Edits:
    """What the aligned pairs come to."""
    deleted, inserted = sum(not h for _, h in pairs), sum(not r for r, _ in pairs)
    substituted = sum(r != h for r, h in pairs) - deleted - inserted
    return Edits(substituted, deleted, inserted, len(pairs) - inserted)


def errors(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Substitutions, deletions and insertions between two sequences of symbols."""
    return Levenshtein.distance(reference, hypothesis)


def word_errors(references: list[str], hypotheses: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """-> errors and reference words of each utterance."""
    wrong = [errors(r.split(), h.split()) for r, h in zip(references, hypotheses, strict=True)]
    return np.array(wrong), np.array([len(r.split()) for r in references])


def rate(wrong: np.ndarray, total: np.ndarray) -> float:
    """Errors and reference symbols of each utterance (n,) -> the error rate, 1 for 100 %."""
    return float(wrong.sum() / max(1, total.sum()))


def interval(wrong: np.ndarray, total: np.ndarray, samples: int = SAMPLES, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the error rate by resampling utterances (Bisani & Ney 2004)."""
    sums, lengths = _resampled(wrong, total, samples, seed)
    low, high = np.percentile(sums / np.maximum(1, lengths), [2.5, 97.5])
    return float(low), float(high)


def _resampled(wrong: np.ndarray, total: np.ndarray, samples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Both summed over utterances drawn with replacement, as many as there are, `samples` times: (samples,) each."""
    rng, both = np.random.default_rng(seed), np.stack([wrong, total], 1)
    return tuple(np.array([both[rng.integers(len(both), size=len(both))].sum(0) for _ in range(samples)]).T)


@dataclass(frozen=True)
class Comparison:
    """Of two systems on the same utterances."""

    difference: float  # error rate of the second minus that of the first
    low: float  # of its 95 % interval
    high: float
    better: float  # how likely the second makes fewer errors than the first; 0.5 where they are the same


def compare(
    first: np.ndarray, second: np.ndarray, total: np.ndarray, samples: int = SAMPLES, seed: int = 0
) -> Comparison:
    """Paired bootstrap (Bisani & Ney 2004): both systems' errors, on the same resampled utterances."""
    gaps, lengths = _resampled(second - first, total, samples, seed)
    low, high = np.percentile(gaps / np.maximum(1, lengths), [2.5, 97.5])
    better = (np.sum(gaps < 0) + 0.5 * np.sum(gaps == 0)) / samples
    return Comparison(rate(second, total) - rate(first, total), float(low), float(high), float(better))
