"""Forced alignment: when each word of a known text was said, by the CTC model's own best path."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from asr.text import BLANK, Alphabet

AFTER = 2  # frames a word goes on after that of its last symbol, if the next leaves it room: see docstring of _edges


class AlignError(ValueError):
    """The text cannot be laid over this audio."""


@dataclass(frozen=True)
class Aligned:
    word: str
    start_frame: int
    end_frame: int  # the first frame after the word
    confidence: float  # 0..1: geometric mean of the peak posteriors of its letters


class Sounds(NamedTuple):
    """How the words sound. A phoneme's peak is nearer to its sound than a letter's."""

    log_probs: np.ndarray  # (T, P), natural log, of the phonemes over the same frames
    words: Sequence[Sequence[int]]  # columns of the phonemes of each word


def align(log_probs: np.ndarray, text: str, alphabet: Alphabet, sounds: Sounds | None = None) -> list[Aligned]:
    """Words of ``text`` with their frames, in order and without overlap. log_probs (T, V), natural log.

    The confidences are those of the letters; the times are, where the ``sounds`` are known and fit, theirs.
    Time and memory grow with T x len(text) (a byte each): cut audio of more than some minutes first.
    Raises AlignError when the text has symbols that the alphabet lacks, or is longer than its audio.
    """
    words = text.split()
    if not words:
        return []
    letters = _encode(" ".join(words), alphabet)
    spans, peaks = _spans(log_probs, letters)
    ends = np.cumsum([len(w) + 1 for w in words])  # one past the space after each word
    starts = ends - [len(w) + 1 for w in words]
    edges = _edges(spans[starts, 0], spans[ends - 2, 1], len(log_probs))
    if sounds:
        with suppress(AlignError):
            edges = _edges_of_sounds(sounds)
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


def _spans(log_probs: np.ndarray, symbols: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """First and last frame of each symbol (L, 2) on the best path, and ln of its peak posterior (L,)."""
    needed = len(symbols) + sum(a == b for a, b in zip(symbols, symbols[1:]))
    if needed > len(log_probs):
        raise AlignError(
            f"the text needs at least {needed} frames and the audio has {len(log_probs)}: "
            "it is too long to have been said here"
        )
    path, score = viterbi(log_probs, symbols)
    if not score > -np.inf:
        raise AlignError("the audio rules this text out: no alignment has a probability above zero")
    at = np.flatnonzero(path % 2)
    symbol = path[at] // 2
    first = np.searchsorted(symbol, np.arange(len(symbols)), "left")
    last = np.searchsorted(symbol, np.arange(len(symbols)), "right") - 1
    posteriors = log_probs[at, np.asarray(symbols)[symbol]]
    return np.stack([at[first], at[last]], 1), np.maximum.reduceat(posteriors, first)


def _edges_of_sounds(sounds: Sounds) -> list[tuple[int, int]]:
    spans, _ = _spans(sounds.log_probs, [p for word in sounds.words for p in word])
    ends = np.cumsum([len(word) for word in sounds.words])
    starts = ends - [len(word) for word in sounds.words]
    return _edges(spans[starts, 0], spans[ends - 1, 1], len(sounds.log_probs))


def _edges(first: np.ndarray, last: np.ndarray, frames: int) -> list[tuple[int, int]]:
    """Start and end frame of each word, from the first frame of its first symbol and the last of its last.
    """
    ends = np.minimum(last + 1 + AFTER, [*first[1:], frames])
    return list(zip(first.tolist(), ends.tolist()))
