"""Samples from outside, and the spectrogram front-end: 16 kHz to log-mel frames, the same for files and streams."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import ArrayLike

from asr.errors import Error
from asr.native import encoder as native

SAMPLE_RATE = 16_000  # Hz
FRAMES_PER_SECOND = 100
LOG_FLOOR = 1e-8  # power; below the noise of any microphone, above 16-bit rounding
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


@dataclass(frozen=True)
class LogMelOptions:
    """Windows and mel bands of the front-end, at SAMPLE_RATE."""

    n_mels: int = 80
    window: int = 400  # samples: 25 ms
    hop: int = 160  # samples: 10 ms
    low: float = 0.0  # Hz, lowest edge of the lowest filter
    high: float = 8_000.0  # Hz, highest edge of the highest filter

    def asdict(self) -> dict:
        return asdict(self)


def hz_to_mel(hz: np.ndarray | float) -> np.ndarray:
    """Slaney's mel scale: linear below 1 kHz, logarithmic above (Auditory Toolbox, 1998)."""
    hz = np.asarray(hz, np.float64)
    return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1000) / 1000) / np.log(6.4))


def mel_to_hz(mel: np.ndarray | float) -> np.ndarray:
    """The inverse of hz_to_mel."""
    mel = np.asarray(mel, np.float64)
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))


@cache
def mel_filters(options: LogMelOptions, warp: float = 1.0) -> np.ndarray:
    """Triangular filters of unit area, (window // 2 + 1, n_mels) float32.

    ``warp`` moves the filters' centres: vocal tract length perturbation (Jaitly & Hinton
    2013) for training; 1.0 gives librosa's filter bank.
    """
    bins = np.linspace(0, SAMPLE_RATE / 2, options.window // 2 + 1)
    edges = mel_to_hz(np.linspace(hz_to_mel(options.low), hz_to_mel(options.high), options.n_mels + 2))
    edges = _warp(edges, warp, options.high)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - left) / (centre - left)
    falling = (right - bins[:, None]) / (right - centre)
    filters = np.maximum(0, np.minimum(rising, falling)) * (2 / (right - left))
    return filters.astype(np.float32)


@cache
def _bands(options: LogMelOptions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The filters without their zeros, one after the other: weights, bins (m,), where each begins (n_mels + 1,)."""
    filters = mel_filters(options).T
    inside = filters > 0
    inside[:, 0] |= ~inside.any(1)  # a filter between two bins hears nothing
    band, bins = np.nonzero(inside)
    first = np.searchsorted(band, np.arange(options.n_mels + 1))
    return filters[band, bins], bins.astype(np.int32), first.astype(np.int32)


def band_centres(options: LogMelOptions) -> np.ndarray:
    """Hz (n_mels,) at which each mel band is heard best."""
    return mel_to_hz(np.linspace(hz_to_mel(options.low), hz_to_mel(options.high), options.n_mels + 2))[1:-1]


def _warp(hz: np.ndarray, warp: float, high: float) -> np.ndarray:
    """Scale frequencies by ``warp``; above a knee, straight on so that ``high`` stays ``high``."""
    knee = 4_800 * min(warp, 1) / warp
    above = knee * warp + (hz - knee) * (high - knee * warp) / (high - knee)
    return np.where(hz <= knee, hz * warp, above)


class LogMel:
    """Samples -> natural log of mel power, a frame each 10 ms; equal to librosa's to 1e-4.

    Each frame is computed by itself, so that it is the same to the bit however the sound was cut. A matrix product over
    many frames is not: its last bits depend on how many there are.
    Frame t sees the samples [t * hop, t * hop + window). Offline is "feed everything, then
    flush": n samples give ceil(n / hop) frames, the last ones completed with zeros.
    The state is the tail of samples that later frames still need.
    """

    def __init__(self, options: LogMelOptions = LogMelOptions()):
        self.options = options

    @cached_property
    def _hann(self) -> np.ndarray:
        n = self.options.window
        return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)).astype(np.float32)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """(n,) float32 -> (ceil(n / hop), n_mels) float32."""
        frames, tail = self.feed(samples, self.start())
        return np.concatenate([frames, self.flush(tail)])

    def start(self) -> np.ndarray:
        """The state before the first sample: an empty tail (0,)."""
        return np.zeros(0, np.float32)

    def feed(self, samples: np.ndarray, tail: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) samples and the state -> the frames that are complete, and the new state."""
        samples = np.concatenate([tail, np.asarray(samples, np.float32)])
        count = max(0, (len(samples) - self.options.window) // self.options.hop + 1)
        used = count * self.options.hop
        return self._frames(samples, count), samples[used:].copy()

    def flush(self, tail: np.ndarray) -> np.ndarray:
        """The state -> the frames (T, n_mels) that begin in the tail, with zeros after its end."""
        count = -(-len(tail) // self.options.hop)
        padded = np.pad(tail, (0, self.options.window))
        return self._frames(padded, count)

    def _frames(self, samples: np.ndarray, count: int) -> np.ndarray:
        if count == 0:
            return np.zeros((0, self.options.n_mels), np.float32)
        shape, steps = (count, self.options.window), (4 * self.options.hop, 4)  # bytes to the next row and column
        windows = np.ndarray(shape, np.float32, np.ascontiguousarray(samples, np.float32), strides=steps)
        out = np.empty((count, self.options.n_mels), np.float32)
        for i in range(0, count, 256):  # a slice at a time stays in the cache
            spectrum = np.fft.rfft(windows[i : i + 256] * self._hann)
            self._filtered(spectrum, out[i : i + 256])
        np.maximum(out, LOG_FLOOR, out=out)
        return np.log(out, out=out)

    def _filtered(self, spectrum: np.ndarray, out: np.ndarray) -> None:
        """A spectrum (T, bins) -> its power in mel bands (T, n_mels)."""
        weights, bins, first = _bands(self.options)
        if native is not None:
            native.filtered(spectrum, weights, first, bins[first[:-1]], out)
        else:
            power = (spectrum.real**2 + spectrum.imag**2)[:, bins] * weights
            np.add.reduceat(power, first[:-1], axis=1, out=out)

    def warped(self, samples: np.ndarray, warp: float) -> np.ndarray:
        """As ``__call__``, seen through warped filters (training only, and so by torch: an eighth of the time)."""
        import torch

        o, count = self.options, -(-len(samples) // self.options.hop)
        if count == 0:
            return np.zeros((0, o.n_mels), np.float32)
        padded = torch.from_numpy(np.pad(np.asarray(samples, np.float32), (0, o.window)))
        hann, filters = torch.from_numpy(self._hann), torch.from_numpy(mel_filters(o, round(warp, 2)))
        spectrum = torch.stft(padded, o.window, o.hop, window=hann, center=False, return_complex=True)[:, :count]
        power = spectrum.real**2 + spectrum.imag**2  # (window / 2 + 1, T)
        return (power.T @ filters).clamp(min=LOG_FLOOR).log().numpy()
