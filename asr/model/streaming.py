"""The acoustic model over live streams: frames in chunks of any size, the log-probabilities of a whole file out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from asr.model.checkpoint import RECEPTIVE_FIELD
from asr.model.interface import AcousticModel, Latency, Layers


class Posteriors(NamedTuple):
    """Natural log-probabilities of the next T' encoder frames."""

    letters: np.ndarray  # (T', V)
    phonemes: np.ndarray | None  # (T', P), if the model has that head

    def map(self, change: Callable[[np.ndarray], np.ndarray]) -> Posteriors:
        """The same change to every head that there is."""
        return Posteriors(change(self.letters), None if self.phonemes is None else change(self.phonemes))

    def concatenate(self, *later: Posteriors) -> Posteriors:
        """These frames and those of ``later``, one after the other."""
        parts = (self, *later)
        phonemes = [p.phonemes for p in parts if p.phonemes is not None]
        return Posteriors(np.concatenate([p.letters for p in parts]), np.concatenate(phonemes) if phonemes else None)


class EncoderState(NamedTuple):
    """Where a stream stands: a value, so one can go on from it twice."""

    frames: np.ndarray  # (t, n_mels); the subsampling still needs them
    hidden: np.ndarray  # (m, D) subsampled frames from the next chunk on; their window is not complete
    layers: Layers  # the forward state of each layer before that chunk
    ahead: Posteriors | None = None  # provisional outputs of the last window's look-ahead, the first of `hidden`


class Chunk(NamedTuple):
    """What a stream brings to a step."""

    frames: np.ndarray  # (t, n_mels), the next log-mel frames; any number of them
    state: EncoderState
    last: bool = False  # the stream ends here: give out all that is left


class StreamingEncoder:
    """The model's outputs for whole recordings in chunks, for any number of streams at a time.

    Every cut of the frames gives the same log-probabilities within 1e-4, of a compiled model to the bit. Windows
    overlap; at a latency of 320 ms a window is a chunk of 3 encoder frames of 40 ms and a look-ahead of 5:

        frame     0    1    2    3    4    5    6    7    8    9    10   11   12   13
        window 0  [chunk         | look-ahead            ]
        window 1                 [chunk         | look-ahead            ]
        window 2                                [chunk         | look-ahead            ]

        forward   ---> begins with the state after the chunk before
        backward  <--- begins with zeros at the end of the window

        after 7   |final         |provisional            |not yet heard
        after 10  |final                        |provisional            |not yet heard

    After frame 7 window 0 is complete: the outputs of its chunk are final, those of its look-ahead are provisional
    (EncoderState.ahead). They may be shown at once, and are replaced when their own window, with its full right
    context, is complete.
    """

    def __init__(self, model: AcousticModel, latency: Latency):
        self.model, self.latency = model, latency
        self._width = latency.chunk + latency.ahead

    def start(self) -> EncoderState:
        """The state before a stream's first frame."""
        frames = np.zeros((0, self.model.options.frontend.n_mels), np.float32)
        return EncoderState(frames, np.zeros((0, 0), np.float32), self.model.initial_state())

    def nothing(self) -> Posteriors:
        """The outputs before a stream's first."""
        phonemes = self.model.options.phonemes
        letters, of_phonemes = (np.zeros((0, n), np.float32) for n in (len(self.model.alphabet), len(phonemes) + 1))
        return Posteriors(letters, of_phonemes if phonemes else None)

    def outputs(self, frames: int) -> int:
        """How many outputs there are after that many log-mel frames, while the stream goes on."""
        return self.latency.chunk * self._windows(self._fields(frames), last=False)

    def step(self, chunks: Sequence[Chunk]) -> list[tuple[Posteriors, EncoderState]]:
        """The outputs now complete of every stream, and its new state; each as if it were alone."""
        frames = [self._frames(c) for c in chunks]
        hidden = [_after(c.state.hidden, new) for c, new in zip(chunks, self._subsample(frames))]
        lengths = [len(h) for h in hidden]
        counts = [self._windows(n, c.last) for n, c in zip(lengths, chunks)]
        layers = [c.state.layers for c in chunks]
        outputs: list[list[Posteriors]] = [[] for _ in chunks]  # of each stream, its rounds
        ahead = [c.state.ahead for c in chunks]
        done = 0
        while done < max(counts, default=0):  # a round: as many windows as all that have one can give
            some = [i for i, n in enumerate(counts) if n > done]
            until = min(counts[i] for i in some)
            windows, valid = zip(*(self._cut(hidden[i], done, until) for i in some))
            posteriors, states = self._advance(np.stack(windows), np.stack(valid), [layers[i] for i in some])
            for i, (found, ahead[i]), state in zip(some, posteriors, states):
                outputs[i].append(found)
                layers[i] = state
            done = until
        return [
            (
                self._joined(outputs[i], lengths[i]),
                EncoderState(
                    self._tail(frames[i]), hidden[i][counts[i] * self.latency.chunk :].copy(), layers[i], ahead[i]
                ),
            )
            for i in range(len(chunks))
        ]

    def _frames(self, chunk: Chunk) -> np.ndarray:
        """The frames to subsample now; after the last one mean frames, so that T of them give ceil(T / stride)."""
        frames = np.concatenate([chunk.state.frames, np.asarray(chunk.frames, np.float32)])
        if not chunk.last:
            return frames
        stride = self.model.options.stride
        wanted = stride * (-(-len(frames) // stride) - 1) + RECEPTIVE_FIELD
        return np.concatenate([frames, np.tile(self.model.mean_frame, (max(0, wanted - len(frames)), 1))])

    def _subsample(self, frames: list[np.ndarray]) -> list[np.ndarray]:
        """(t, n_mels) of each stream -> (m, D)"""
        some = [f for f in frames if self._fields(len(f))]
        if not some:
            return [np.zeros((0, 0), np.float32)] * len(frames)
        padded = np.zeros((len(some), max(map(len, some)), some[0].shape[1]), np.float32)
        for row, f in zip(padded, some):
            row[: len(f)] = f
        rows = self.model.subsample(padded)
        rest = iter(rows)
        return [next(rest)[:n] if (n := self._fields(len(f))) else rows[0, :0] for f in frames]

    def _fields(self, frames: int) -> int:
        """How many outputs the subsampling has for that many frames."""
        return max(0, (frames - RECEPTIVE_FIELD) // self.model.options.stride + 1)

    def _tail(self, frames: np.ndarray) -> np.ndarray:
        return frames[self.model.options.stride * self._fields(len(frames)) :].copy()

    def _windows(self, frames: int, last: bool) -> int:
        """How many windows can be run over that many subsampled frames."""
        return -(-frames // self.latency.chunk) if last else max(0, (frames - self._width) // self.latency.chunk + 1)

    def _cut(self, hidden: np.ndarray, first: int, until: int) -> tuple[np.ndarray, np.ndarray]:
        """Windows first .. until - 1 of a stream (n, W, D), and how many frames of each are audio (n,)."""
        chunk = self.latency.chunk
        part = hidden[first * chunk : (until - 1) * chunk + self._width]
        missing = (until - 1 - first) * chunk + self._width - len(part)
        valid = np.minimum(len(part) - chunk * np.arange(until - first), self._width)
        part = np.ascontiguousarray(np.pad(part, ((0, missing), (0, 0))) if missing else part)
        (_, size), (row, column) = part.shape, part.strides
        return np.ndarray((until - first, self._width, size), part.dtype, part, 0, (chunk * row, row, column)), valid

    def _advance(
        self, windows: np.ndarray, valid: np.ndarray, layers: list[Layers]
    ) -> tuple[list[tuple[Posteriors, Posteriors]], list[Layers]]:
        """windows (B, n, W, D) -> of each stream: the outputs of its n chunks and of what lies ahead of the last, and
        the state after them.
        """
        letters, phonemes, states = self.model.advance(windows, valid, self.latency.chunk, layers)
        rows = map(Posteriors, letters, [None] * len(letters) if phonemes is None else phonemes)
        return [(posteriors.map(self._chunks), posteriors.map(self._beyond)) for posteriors in rows], states

    def _chunks(self, head: np.ndarray) -> np.ndarray:
        """(n, W, P) -> (n Nc, P)"""
        return head[:, : self.latency.chunk].reshape(-1, head.shape[2])

    def _beyond(self, head: np.ndarray) -> np.ndarray:
        """(n, W, P) -> (Nr, P) of the last window"""
        return head[-1, self.latency.chunk :].copy()

    def _joined(self, rounds: list[Posteriors], frames: int) -> Posteriors:
        """The outputs of a stream's rounds, without those beyond its `frames` subsampled frames."""
        return self.nothing().concatenate(*rounds).map(lambda head: head[:frames])


def encode(model: AcousticModel, frames: Sequence[np.ndarray], latency: Latency | None = None) -> list[Posteriors]:
    """The outputs for whole recordings, log-mel frames (T, n_mels) each; without a latency every one is one window."""
    encoder = StreamingEncoder(model, latency or Latency.whole(max(map(len, frames), default=0), model.options))
    return [posteriors for posteriors, _ in encoder.step([Chunk(f, encoder.start(), last=True) for f in frames])]


def _after(hidden: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Joined; either may have no frames, and then its D may not be known yet."""
    return np.concatenate([hidden, new]) if len(hidden) and len(new) else hidden if len(hidden) else new
