"""The acoustic model over live streams: frames in portions of any size, the log-probabilities of a whole file out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from asr.model.interface import FIELD, STRIDE, Acoustics, Latency, Layers


class Heads(NamedTuple):
    """Natural log-probabilities of the next T' encoder frames."""

    letters: np.ndarray  # (T', V)
    phonemes: np.ndarray | None  # (T', P), if the model has that head

    def each(self, change: Callable[[np.ndarray], np.ndarray]) -> Heads:
        """The same change to every head that there is."""
        return Heads(change(self.letters), None if self.phonemes is None else change(self.phonemes))

    def then(self, *later: Heads) -> Heads:
        """These frames and those of ``later``, one after the other."""
        heads = (self, *later)
        said = [h.phonemes for h in heads if h.phonemes is not None]
        return Heads(np.concatenate([h.letters for h in heads]), np.concatenate(said) if said else None)


class EncoderState(NamedTuple):
    """Where a stream stands: a value, so one can go on from it twice."""

    frames: np.ndarray  # (t, n_mels); the subsampling still needs them
    hidden: np.ndarray  # (m, D) subsampled frames from the next chunk on; their window is not complete
    layers: Layers  # the forward state of each layer before that chunk
    ahead: Heads | None = None  # of the first of `hidden`, as the last window heard them: their own will hear more


class Portion(NamedTuple):
    """What a stream brings to a step."""

    frames: np.ndarray  # (t, n_mels), the next log-mel frames; any number of them
    state: EncoderState
    last: bool = False  # the stream ends here: give out all that is left


class StreamingEncoder:
    """The model's outputs for whole recordings in portions, for any number of streams at a time.

    Every cut of the frames gives the same log-probabilities within 1e-4. An output is there as soon as its
    window of latency.chunk + latency.ahead encoder frames is.
    """

    def __init__(self, model: Acoustics, latency: Latency):
        self.model, self.latency = model, latency
        self._width = latency.chunk + latency.ahead

    def start(self) -> EncoderState:
        """The state before a stream's first frame."""
        frames = np.zeros((0, self.model.options.frontend.n_mels), np.float32)
        return EncoderState(frames, np.zeros((0, 0), np.float32), self.model.unheard())

    def nothing(self) -> Heads:
        """The outputs before a stream's first."""
        phonemes = self.model.options.phonemes
        letters, of_phonemes = (np.zeros((0, n), np.float32) for n in (len(self.model.alphabet), len(phonemes) + 1))
        return Heads(letters, of_phonemes if phonemes else None)

    def outputs(self, frames: int) -> int:
        """How many outputs there are after that many log-mel frames, while the stream goes on."""
        return self.latency.chunk * self._windows(_fields(frames), last=False)

    def step(self, portions: Sequence[Portion]) -> list[tuple[Heads, EncoderState]]:
        """The outputs now complete of every stream, and its new state; each as if it were alone."""
        frames = [self._frames(p) for p in portions]
        hidden = [_after(p.state.hidden, new) for p, new in zip(portions, self._subsample(frames))]
        lengths = [len(h) for h in hidden]
        counts = [self._windows(n, p.last) for n, p in zip(lengths, portions)]
        layers = [p.state.layers for p in portions]
        outputs: list[list[Heads]] = [[] for _ in portions]  # of each stream, its rounds
        ahead = [p.state.ahead for p in portions]
        done = 0
        while done < max(counts, default=0):  # a round: as many windows as all that have one can give
            some = [i for i, n in enumerate(counts) if n > done]
            until = min(counts[i] for i in some)
            windows, valid = zip(*(self._cut(hidden[i], done, until) for i in some))
            heads, states = self._advance(np.stack(windows), np.stack(valid), [layers[i] for i in some])
            for i, (found, ahead[i]), state in zip(some, heads, states):
                outputs[i].append(found)
                layers[i] = state
            done = until
        return [
            (
                self._joined(outputs[i], lengths[i]),
                EncoderState(_tail(frames[i]), hidden[i][counts[i] * self.latency.chunk :].copy(), layers[i], ahead[i]),
            )
            for i in range(len(portions))
        ]

    def _frames(self, portion: Portion) -> np.ndarray:
        """The frames to subsample now; after the last one mean frames, so that T of them give ceil(T / STRIDE)."""
        frames = np.concatenate([portion.state.frames, np.asarray(portion.frames, np.float32)])
        if not portion.last:
            return frames
        wanted = STRIDE * (-(-len(frames) // STRIDE) - 1) + FIELD
        return np.concatenate([frames, np.tile(self.model.mean_frame, (max(0, wanted - len(frames)), 1))])

    def _subsample(self, frames: list[np.ndarray]) -> list[np.ndarray]:
        """(t, n_mels) of each stream -> (m, D)"""
        some = [f for f in frames if _fields(len(f))]
        if not some:
            return [np.zeros((0, 0), np.float32)] * len(frames)
        padded = np.zeros((len(some), max(map(len, some)), some[0].shape[1]), np.float32)
        for row, f in zip(padded, some):
            row[: len(f)] = f
        rows = self.model.subsample(padded)
        rest = iter(rows)
        return [next(rest)[:n] if (n := _fields(len(f))) else rows[0, :0] for f in frames]

    def _windows(self, frames: int, last: bool) -> int:
        """How many windows can be run over that many subsampled frames."""
        return -(-frames // self.latency.chunk) if last else max(0, (frames - self._width) // self.latency.chunk + 1)

    def _cut(self, hidden: np.ndarray, first: int, until: int) -> tuple[np.ndarray, np.ndarray]:
        """Windows first .. until - 1 of a stream (n, W, D), and how many frames of each are audio (n,)."""
        chunk = self.latency.chunk
        part = hidden[first * chunk : (until - 1) * chunk + self._width]
        missing = (until - 1 - first) * chunk + self._width - len(part)
        valid = np.minimum(len(part) - chunk * np.arange(until - first), self._width)
        part = np.pad(part, ((0, missing), (0, 0))) if missing else part
        windows = np.lib.stride_tricks.sliding_window_view(part, self._width, axis=0)[::chunk]  # (n, D, W)
        return windows.transpose(0, 2, 1), valid

    def _advance(
        self, windows: np.ndarray, valid: np.ndarray, layers: list[Layers]
    ) -> tuple[list[tuple[Heads, Heads]], list[Layers]]:
        """windows (B, n, W, D) -> of each stream: the outputs of its n chunks and of what lies ahead of the last, and
        the state after them.
        """
        letters, phonemes, states = self.model.advance(windows, valid, self.latency.chunk, layers)
        rows = map(Heads, letters, [None] * len(letters) if phonemes is None else phonemes)
        return [(heads.each(self._chunks), heads.each(self._beyond)) for heads in rows], states

    def _chunks(self, head: np.ndarray) -> np.ndarray:
        """(n, W, P) -> (n Nc, P)"""
        return head[:, : self.latency.chunk].reshape(-1, head.shape[2])

    def _beyond(self, head: np.ndarray) -> np.ndarray:
        """(n, W, P) -> (Nr, P) of the last window"""
        return head[-1, self.latency.chunk :].copy()

    def _joined(self, rounds: list[Heads], frames: int) -> Heads:
        """The outputs of a stream's rounds, without those beyond its `frames` subsampled frames."""
        return self.nothing().then(*rounds).each(lambda head: head[:frames])


def encode(model: Acoustics, frames: Sequence[np.ndarray], latency: Latency | None = None) -> list[Heads]:
    """The outputs for whole recordings, log-mel frames (T, n_mels) each; without a latency every one is one window."""
    encoder = StreamingEncoder(model, latency or Latency.whole(max(map(len, frames), default=0)))
    return [heads for heads, _ in encoder.step([Portion(f, encoder.start(), last=True) for f in frames])]


def _fields(frames: int) -> int:
    """How many outputs the subsampling has for that many frames."""
    return max(0, (frames - FIELD) // STRIDE + 1)


def _tail(frames: np.ndarray) -> np.ndarray:
    return frames[STRIDE * _fields(len(frames)) :].copy()


def _after(hidden: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Joined; either may have no frames, and then its D may not be known yet."""
    return np.concatenate([hidden, new]) if len(hidden) and len(new) else hidden if len(hidden) else new
