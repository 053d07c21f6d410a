"""Forced alignment: when each word of a known text was said, by the CTC model's own best path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asr.text import BLANK, Alphabet

MARGIN = 2  # frames of blank that a word may claim on either side: letters peak inside their sounds


class AlignError(ValueError):
    """The text cannot be laid over this audio."""


@dataclass(frozen=True)
class Aligned:
    word: str
    start_frame: int
    end_frame: int  # the first frame after the word
    confidence: float  # 0..1: geometric mean of the peak posteriors of its letters


def align(log_probs: np.ndarray, text: str, alphabet: Alphabet) -> list[Aligned]:
    """Words of ``text`` with their frames, in order and without overlap. log_probs (T, V), natural log.

    Time and memory grow with T x len(text) (a byte each): cut audio of more than some minutes first.
    Raises AlignError when the text has symbols that the alphabet lacks, or is longer than its audio.
    """
    words = text.split()
    if not words:
        return []
    letters = _encode(" ".join(words), alphabet)
    spans, peaks = _letter_spans(log_probs, letters)
    ends = np.cumsum([len(w) + 1 for w in words])  # one past the space after each word
    starts = ends - [len(w) + 1 for w in words]
    edges = _edges(spans, starts, ends - 2, len(log_probs))
    return [
        Aligned(word, first, end, float(np.exp(peaks[i : j - 1].mean())))
        for word, (first, end), i, j in zip(words, edges, starts, ends)
    ]


def viterbi(log_probs: np.ndarray, letters: list[int]) -> tuple[np.ndarray, float]:
    """The likeliest CTC path that spells ``letters``: its state at each frame (T,) and its ln probability.

    State 2k + 1 is letter k; the even states are the blanks around the letters.
    """
    states = np.full(2 * len(letters) + 1, BLANK)
    states[1::2] = letters
    emission = log_probs[:, states]  # (T, S)
    skip = np.full(len(states), -np.inf, emission.dtype)  # 0 where the blank before a letter may be left out
    skip[3::2] = np.where(states[3::2] != states[1:-2:2], 0.0, -np.inf)

    came_by = np.zeros(emission.shape, np.int8)  # states stepped over to get here: 0, 1 or 2
    best = np.full(len(states) + 2, -np.inf, emission.dtype)  # two sentinels in front
    best[2:4] = emission[0, :2]
    now = best[2:]
    for t in range(1, len(emission)):
        by_one, by_two = best[1:-1], best[:-2] + skip
        step = came_by[t]
        np.greater(by_one, now, out=step, casting="unsafe")
        winner = np.maximum(now, by_one)
        step[by_two > winner] = 2
        np.maximum(winner, by_two, out=winner)
        np.add(winner, emission[t], out=now)

    state = len(states) - 1 if now[-1] >= now[-2] else len(states) - 2
    score = float(now[state])
    path = np.empty(len(emission), np.int64)
    for t in range(len(emission) - 1, -1, -1):
        path[t] = state
        state -= int(came_by[t, state])
    return path, score


def _encode(text: str, alphabet: Alphabet) -> list[int]:
    try:
        return alphabet.encode(text)
    except ValueError as error:
        raise AlignError(f"cannot align the text, it has symbols that are {error}") from None


def _letter_spans(log_probs: np.ndarray, letters: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """First and last frame of each letter (L, 2) on the best path, and ln of its peak posterior (L,)."""
    needed = len(letters) + sum(a == b for a, b in zip(letters, letters[1:]))
    if needed > len(log_probs):
        raise AlignError(
            f"the text needs at least {needed} frames and the audio has {len(log_probs)}: "
            "it is too long to have been said here"
        )
    path, score = viterbi(log_probs, letters)
    if not score > -np.inf:
        raise AlignError("the audio rules this text out: no alignment has a probability above zero")
    at = np.flatnonzero(path % 2)
    letter = path[at] // 2
    first = np.searchsorted(letter, np.arange(len(letters)), "left")
    last = np.searchsorted(letter, np.arange(len(letters)), "right") - 1
    posteriors = log_probs[at, np.asarray(letters)[letter]]
    return np.stack([at[first], at[last]], 1), np.maximum.reduceat(posteriors, first)


def _edges(spans: np.ndarray, first: np.ndarray, last: np.ndarray, frames: int) -> list[tuple[int, int]]:
    """Start and end frame of each word: its letters, and up to MARGIN frames around, at most half a gap."""
    starts, ends = spans[first, 0], spans[last, 1] + 1
    before = np.concatenate([[0], ends[:-1]])
    after = np.concatenate([starts[1:], [frames]])
    gap_before, gap_after = starts - before, after - ends
    gap_before[1:] -= gap_before[1:] // 2  # a gap of odd length: the later word gets the middle frame
    gap_after[:-1] //= 2
    starts = starts - np.minimum(gap_before, MARGIN)
    ends = ends + np.minimum(gap_after, MARGIN)
    return list(zip(starts.tolist(), ends.tolist()))
