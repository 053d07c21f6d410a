"""Forced alignment: when each word of a known text was said, by the CTC model's own best path."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from asr.text import BLANK, Alphabet

STEP = 4  # frames of loudness, of 10 ms, in one frame of the model
AFTER = 2  # frames a word goes on after that of its last symbol, if the next one leaves it room. Measured on flite's
# voices (and clips) of the training data: words end 68 ms (100) after it, and start with their first, 3 ms before it
PAUSE = 4  # frames without a symbol may hold a pause; fewer lie within running speech
QUIET = 8  # frames of loudness, at least, that a pause is quiet: a stop's closure is shorter
DEPTH = 15.0, 50.0  # dB between a pause and the words around it: less is noise, more (digital silence) counts as 50
EDGE = 0.3  # of that depth: what is louder belongs to a word


class AlignError(ValueError):
    """The text cannot be laid over this audio."""


@dataclass(frozen=True)
class Sound:
    """What is known of the audio beside its letters: times get better with each part."""

    phonemes: np.ndarray | None = None  # (T, P), natural log: they peak nearer to their sounds than letters do
    words: Sequence[Sequence[int]] = ()  # the columns of each word's phonemes
    loudness: np.ndarray | None = None  # (n,) of every 10 ms, dB: shows where pauses begin and end


@dataclass(frozen=True)
class Aligned:
    word: str
    start_frame: float  # of the model; quarters beside a pause
    end_frame: float
    confidence: float  # 0..1: geometric mean of the peak posteriors of its letters


def align(log_probs: np.ndarray, text: str, alphabet: Alphabet, sound: Sound = Sound()) -> list[Aligned]:
    """Words of ``text`` with their frames, in order and without overlap. log_probs (T, V), natural log.

    Time and memory grow with T x len(text) (a byte each): cut audio of more than some minutes first.
    Raises AlignError when the text has symbols that the alphabet lacks, or is longer than its audio.
    """
    words = text.split()
    if not words:
        return []
    spans, peaks = _spans(log_probs, _encode(" ".join(words), alphabet))
    sizes = np.array([len(w) for w in words])
    first = np.cumsum(sizes + 1) - sizes - 1  # letter of each word, the spaces counted
    confidences = [float(np.exp(peaks[i : i + n].mean())) for i, n in zip(first, sizes)]
    extents = _extents(spans, first, sizes)
    if sound.words:
        with suppress(AlignError):  # said too fast for its phonemes: the letters must do
            spans, _ = _spans(sound.phonemes, [p for word in sound.words for p in word])
            sizes = np.array([len(word) for word in sound.words])
            extents = _extents(spans, np.cumsum(sizes) - sizes, sizes)
    edges = _edges(extents, len(log_probs))
    if sound.loudness is not None and len(sound.loudness):
        edges = _moved_to_pauses(edges, extents, sound.loudness)
    return [Aligned(*found) for found in zip(words, *edges.T.tolist(), confidences)]


def loudness(frames: np.ndarray) -> np.ndarray:
    """Log-mel frames (n, n_mels) -> the power of each in dB (n,)."""
    return 10 / np.log(10) * np.logaddexp.reduce(frames, axis=1)


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
    number = path[at] // 2
    first = np.searchsorted(number, np.arange(len(symbols)), "left")
    last = np.searchsorted(number, np.arange(len(symbols)), "right") - 1
    posteriors = log_probs[at, np.asarray(symbols)[number]]
    return np.stack([at[first], at[last]], 1), np.maximum.reduceat(posteriors, first)


def _extents(spans: np.ndarray, first: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """From the symbols' spans (L, 2), each word's first symbol and number of them -> its frames [from, to) (W, 2)."""
    return np.stack([spans[first, 0], spans[first + sizes - 1, 1] + 1], 1)


def _edges(extents: np.ndarray, frames: int) -> np.ndarray:
    """Where each word starts and ends (W, 2): with its first symbol, and AFTER its last one or with the next word."""
    starts = extents[:, 0]
    ends = np.minimum(extents[:, 1] + AFTER, [*starts[1:], frames])
    return np.stack([starts, ends], 1).astype(float)


def _moved_to_pauses(edges: np.ndarray, extents: np.ndarray, loudness: np.ndarray) -> np.ndarray:
    """The edges (W, 2), those beside a pause moved to where it begins or ends."""
    moved, symbols = edges.copy(), STEP * extents
    loudness = np.convolve(np.pad(loudness, 1, "edge"), np.full(3, 1 / 3), "valid")  # no holes of a frame or two
    for k in range(len(edges) + 1):  # before word k
        first, last = k == 0, k == len(edges)
        if not (first or last) and extents[k, 0] - extents[k - 1, 1] < PAUSE:
            continue
        around = symbols[max(0, k - 1) : k + 1]
        level = min(loudness[a:b].max(initial=-np.inf) for a, b in around)
        begin = 0 if first else around[0, 0] + STEP  # each word keeps a frame
        end = len(loudness) if last else around[-1, 1] - STEP
        quiet = begin + _longest_quiet(loudness[begin:end], level)
        if len(quiet) and (first or quiet[1] >= around[0, 1]) and (last or quiet[0] <= around[-1, 0]):
            if not first:
                moved[k - 1, 1] = quiet[0] / STEP
            if not last:
                moved[k, 0] = (quiet[1] + 1) / STEP  # windows of 25 ms hear a word half a window early
    moved = np.where(moved[:, :1] < moved[:, 1:], moved, edges)
    moved[:-1, 1] = np.minimum(moved[:-1, 1], moved[1:, 0])
    return moved


def _longest_quiet(loudness: np.ndarray, level: float) -> np.ndarray:
    """Begin and end of the longest stretch far below the ``level`` of the words around; empty without one."""
    least, most = DEPTH
    floor = max(level - most, np.sort(loudness)[: QUIET // 2].max(initial=-np.inf))
    if len(loudness) < QUIET or level - floor < least:
        return np.zeros(0, int)
    quiet = np.concatenate([[False], loudness < floor + EDGE * (level - floor), [False]])
    changes = np.flatnonzero(quiet[1:] != quiet[:-1]).reshape(-1, 2)
    longest = changes[np.argmax(changes[:, 1] - changes[:, 0])]
    return longest if longest[1] - longest[0] >= QUIET else longest[:0]
