"""The acoustic model over live streams: frames in portions of any size, the log-probabilities of a whole file out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from asr.ctc import AcousticModel
from asr.encoder import FIELD, STRIDE, Latency
from asr.recurrent import State


class EncoderState(NamedTuple):
    """Where a stream stands: a value, so one can go on from it twice."""

    frames: Tensor  # (t, n_mels) normalised; the subsampling still needs them
    hidden: Tensor  # (m, D) subsampled frames from the next chunk on; their window is not complete
    layers: tuple[State, ...]  # the forward state of each layer before that chunk, (1, 1, H) or two of them


class Portion(NamedTuple):
    """What a stream brings to a step."""

    frames: np.ndarray  # (t, n_mels), the next log-mel frames; any number of them
    state: EncoderState
    last: bool = False  # the stream ends here: give out all that is left


class Heads(NamedTuple):
    """Natural log-probabilities of the next T' encoder frames."""

    letters: np.ndarray  # (T', V)
    phonemes: np.ndarray | None  # (T', P), if the model has that head


class StreamingEncoder:
    """AcousticModel.both(frames, lengths, latency) in portions, for any number of streams at a time.

    Every cut of the frames gives those log-probabilities within 1e-4. An output is there as soon as its
    window of latency.chunk + latency.ahead encoder frames is.
    """

    def __init__(self, model: AcousticModel, latency: Latency):
        self.model, self.latency = model, latency
        self._width = latency.chunk + latency.ahead

    def start(self) -> EncoderState:
        options = self.model.options
        zero = torch.zeros(1, 1, options.hidden)
        layer = zero if options.kind == "gru" else (zero, zero)
        frames, hidden = torch.zeros(0, options.frontend.n_mels), torch.zeros(0, options.hidden)
        return EncoderState(frames, hidden, (layer,) * options.layers)

    def outputs(self, frames: int) -> int:
        """How many outputs there are after that many log-mel frames, while the stream goes on."""
        return self.latency.chunk * self._windows(_fields(frames), last=False)

    @torch.inference_mode()
    def step(self, portions: Sequence[Portion]) -> list[tuple[Heads, EncoderState]]:
        """The outputs now complete of every stream, and its new state; each as if it were alone."""
        frames = [self._frames(p) for p in portions]
        hidden = [torch.cat([p.state.hidden, new]) for p, new in zip(portions, self._subsample(frames))]
        lengths = [len(h) for h in hidden]
        counts = [self._windows(n, p.last) for n, p in zip(lengths, portions)]
        layers = [p.state.layers for p in portions]
        outputs: list[list[tuple[Tensor, Tensor]]] = [[] for _ in portions]  # of each stream, its rounds
        done = 0
        while done < max(counts, default=0):  # a round: as many windows as all that have one can give
            some = [i for i, n in enumerate(counts) if n > done]
            until = min(counts[i] for i in some)
            windows, valid = zip(*(self._cut(hidden[i], done, until) for i in some))
            results, states = self._run(torch.stack(windows), torch.stack(valid), [layers[i] for i in some])
            for i, result, state in zip(some, results, states):
                outputs[i].append(result)
                layers[i] = state
            done = until
        return [
            (
                self._heads(outputs[i], lengths[i]),
                EncoderState(_tail(frames[i]), hidden[i][counts[i] * self.latency.chunk :].clone(), layers[i]),
            )
            for i in range(len(portions))
        ]

    def _frames(self, portion: Portion) -> Tensor:
        """The frames to subsample now; after the last one zeros, the mean frame, as in Encoder.forward."""
        new = self.model.normalise(torch.from_numpy(np.asarray(portion.frames, np.float32)))
        frames = torch.cat([portion.state.frames, new])
        if portion.last:
            wanted = STRIDE * (-(-len(frames) // STRIDE) - 1) + FIELD
            frames = torch.nn.functional.pad(frames, (0, 0, 0, wanted - len(frames)))
        return frames

    def _subsample(self, frames: list[Tensor]) -> list[Tensor]:
        """(t, n_mels) of each stream -> (m, D)"""
        counts = [_fields(len(f)) for f in frames]
        if not any(counts):
            return [f.new_zeros(0, self.model.options.hidden) for f in frames]
        padded = pad_sequence([f for f, n in zip(frames, counts) if n], batch_first=True)
        rows = iter(self.model.encoder.subsampling(padded))
        return [next(rows)[:n] if n else f.new_zeros(0, self.model.options.hidden) for f, n in zip(frames, counts)]

    def _windows(self, frames: int, last: bool) -> int:
        """How many windows can be run over that many subsampled frames."""
        return -(-frames // self.latency.chunk) if last else max(0, (frames - self._width) // self.latency.chunk + 1)

    def _cut(self, hidden: Tensor, first: int, until: int) -> tuple[Tensor, Tensor]:
        """Windows first .. until - 1 of a stream (n, W, D), and how many frames of each are audio (n,)."""
        chunk = self.latency.chunk
        part = hidden[first * chunk : (until - 1) * chunk + self._width]
        missing = (until - 1 - first) * chunk + self._width - len(part)
        valid = (len(part) - chunk * torch.arange(until - first)).clamp(max=self._width)
        part = torch.nn.functional.pad(part, (0, 0, 0, missing))
        return part.unfold(0, self._width, chunk).transpose(1, 2), valid

    def _run(
        self, windows: Tensor, valid: Tensor, layers: list[tuple[State, ...]]
    ) -> tuple[list[tuple[Tensor, Tensor]], list[tuple[State, ...]]]:
        """windows (B, n, W, D) -> of each stream: letters (n Nc, V) and phonemes (n Nc, P), and states."""
        model, chunk = self.model, self.latency.chunk
        outputs, states = model.encoder.run(windows, valid, chunk, [_join(some) for some in zip(*layers)])
        middle, last = (outputs[i][:, :, :chunk].flatten(1, 2) for i in (model.middle, -1))
        letters = model.head(last).float().log_softmax(-1)
        phonemes = model.phoneme_head(middle).float().log_softmax(-1) if model.options.phonemes else letters[..., :0]
        return list(zip(letters, phonemes)), list(zip(*map(_split, states)))

    def _heads(self, rounds: list[tuple[Tensor, Tensor]], frames: int) -> Heads:
        """The outputs of a stream's rounds, without those beyond its `frames` subsampled frames."""
        options = self.model.options
        none = torch.zeros(0, len(self.model.alphabet)), torch.zeros(0, len(options.phonemes) + 1)
        letters, phonemes = (torch.cat(part)[:frames].numpy() for part in zip(*(rounds or [none])))
        return Heads(letters, phonemes if options.phonemes else None)


def _fields(frames: int) -> int:
    """How many outputs the subsampling has for that many frames."""
    return max(0, (frames - FIELD) // STRIDE + 1)


def _tail(frames: Tensor) -> Tensor:
    return frames[STRIDE * _fields(len(frames)) :].clone()


def _join(states: Sequence[State]) -> State:
    """The states (1, 1, H) of B streams -> one of (1, B, H)."""
    if isinstance(states[0], tuple):
        return tuple(torch.cat(part, 1) for part in zip(*states))
    return torch.cat(states, 1)


def _split(state: State) -> list[State]:
    """(1, B, H) -> B states of (1, 1, H)."""
    if isinstance(state, tuple):
        return list(zip(*(part.split(1, 1) for part in state)))
    return list(state.split(1, 1))
