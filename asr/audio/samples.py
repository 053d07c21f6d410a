"""Samples that come from outside: one type, one scale, and nothing among them that is no sound."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from asr.errors import Error

MAX_AMPLITUDE = 100.0  # times full scale: no sound is that loud
BAD_SAMPLES = "samples are NaN, infinite or above 100 times full scale: silence is heard in their place"
_FULL_SCALES = {
    np.dtype(name): scale
    for name, scale in {"int16": 2.0**15, "int32": 2.0**31, "float16": 1.0, "float32": 1.0, "float64": 1.0}.items()
}


class AudioError(Error):
    """A source gives no usable audio; the message is one sentence for the user."""


class SamplesError(Error, ValueError):
    """An array is no sound at all; the text says what to give instead."""


def clean_samples(block: ArrayLike) -> tuple[np.ndarray, int]:
    """Samples of any shape -> the same as float32 in -1..1, and how many of them were bad.

    Integers of 16 and 32 bits are divided by their full scale. A bad sample is NaN, infinite or beyond MAX_AMPLITUDE
    and becomes 0. A good float32 array is returned as it is, without a copy. Raises SamplesError for other types.
    """
    block = np.asarray(block)
    scale = _FULL_SCALES.get(block.dtype.newbyteorder("="))
    if scale is None:
        raise SamplesError(f"samples of the type {block.dtype} are not understood: give float32 in -1..1, or int16")
    samples = block
    if block.dtype != np.float32:
        with np.errstate(over="ignore"):  # a float64 may be infinite as float32, and is bad then
            samples = block.astype(np.float32)
    if scale != 1:
        return samples / np.float32(scale), 0
    if not samples.size or max(samples.max(), -samples.min()) <= MAX_AMPLITUDE:  # the comparison is False for NaN
        return samples, 0
    good = np.abs(samples) <= MAX_AMPLITUDE
    return np.where(good, samples, np.float32(0)), int(samples.size - good.sum())


class SlidingBuffer:
    """The newest rows of a stream without end: samples (n,) or frames (n, n_mels), counted from the stream's start."""

    def __init__(self, *width: int):
        """width: of a row; none for samples."""
        self._memory = np.zeros((0, *width), np.float32)
        self._first, self._used = 0, 0  # the rows that are kept are _memory[_first:_used]
        self.start = 0  # number of the first row that is kept

    @property
    def end(self) -> int:
        """How many rows there have been."""
        return self.start + self._used - self._first

    def append(self, rows: np.ndarray) -> None:
        """The next rows."""
        if self._used + len(rows) > len(self._memory):  # room for as much again, so that a row is seldom moved
            kept = self._memory[self._first : self._used]
            self._memory = np.concatenate([kept, np.zeros((len(kept) + 2 * len(rows), *rows.shape[1:]), np.float32)])
            self._first, self._used = 0, len(kept)
        self._memory[self._used : self._used + len(rows)] = rows
        self._used += len(rows)

    def rows(self, start: int, end: int) -> np.ndarray:
        """A copy of the rows [start, end), without those that are forgotten or still to come."""
        start, move = max(start, self.start), self._first - self.start
        return self._memory[start + move : max(start, min(end, self.end)) + move].copy()

    def forget(self, before: int) -> None:
        """Rows before that number are not needed any more."""
        before = min(max(before, self.start), self.end)
        self._first, self.start = self._first + before - self.start, before
