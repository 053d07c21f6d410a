"""The encoder: convolutional subsampling and a stack of latency-controlled recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from asr.model.checkpoint import RECEPTIVE_FIELD, ModelOptions
from asr.model.interface import Latency
from asr.model.network.recurrent import LatencyControlled, State

SLICE, TOGETHER = 25, 16  # encoder frames that the convolutions see in one piece, and such pieces at a time
FULL = None  # in place of a Latency: the whole utterance is one window


class Subsampling(nn.Module):
    """Two strided 3x3 convolutions: (B, T, n_mels) -> (B, T', hidden), `stride` frames into one.

    No padding in time: T' = (T - 7) // stride + 1 when T >= 7. Output t sees the frames stride t .. stride t + 6.
    """

    def __init__(self, options: ModelOptions):
        super().__init__()
        (first, second), dilation = options.subsampling
        self.first = nn.Conv2d(1, options.channels, 3, stride=(first, 2))
        self.second = nn.Conv2d(options.channels, options.channels, 3, stride=(second, 2), dilation=(dilation, 1))
        bands = ((options.frontend.n_mels - 1) // 2 - 1) // 2
        self.project = nn.Linear(options.channels * bands, options.hidden)
        self.stride = options.stride

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, n_mels), T at least FIELD -> (B, T', size)."""
        frames = (x.shape[1] - RECEPTIVE_FIELD) // self.stride + 1
        if torch.is_grad_enabled() or frames <= SLICE:
            return self._at_once(x)
        return self._in_slices(x, frames)

    def _at_once(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x[:, None]))
        x = torch.relu(self.second(x))  # (B, C, T', bands)
        return self.project(x.transpose(1, 2).flatten(2))

    def _in_slices(self, x: Tensor, frames: int) -> Tensor:
        """The same by slices of one length. oneDNN keeps a program for every shape it has seen: over hours of
        audio the memory of these, between freed buffers, leaves holes that fit nothing any more."""
        count = -(-frames // SLICE)
        size, step = self.stride * (SLICE - 1) + RECEPTIVE_FIELD, self.stride * SLICE
        x = nn.functional.pad(x, (0, 0, 0, step * (count - 1) + size - x.shape[1]))
        slices = x.unfold(1, size, step).transpose(2, 3).flatten(0, 1)  # (B count, size, n_mels)
        y = torch.cat([self._at_once(some) for some in slices.split(TOGETHER)])
        return y.unflatten(0, (len(x), count)).flatten(1, 2)[:, :frames]


class Encoder(nn.Module):
    """Log-mel frames -> hidden frames, for whole files or chunk by chunk with the same result."""

    def __init__(self, options: ModelOptions):
        super().__init__()
        self.subsampling, self.size = Subsampling(options), 2 * options.hidden
        sizes = [options.hidden] + [self.size] * (options.layers - 1)
        self.layers = nn.ModuleList(LatencyControlled(options.kind, size, options.hidden) for size in sizes)
        self.norms = nn.ModuleList(nn.LayerNorm(self.size) for _ in sizes)
        self.dropout = nn.Dropout(options.dropout)

    def forward(self, frames: Tensor, lengths: Tensor, latency: Latency | None = FULL) -> tuple[list[Tensor], Tensor]:
        """frames (B, T, n_mels), lengths (B,) -> the output of every layer (B, T', 2H), and T' of each."""
        if frames.shape[1] == 0:
            return [frames.new_zeros(len(frames), 0, self.size)] * len(self.layers), lengths
        stride = self.subsampling.stride
        frames, out_lengths = _complete(frames, stride), -(-lengths // stride)
        x = self.subsampling(frames)
        latency = latency or Latency(max(1, x.shape[1]), 0)
        windows, valid = _windows(x, out_lengths, latency)
        outputs, _ = self.run(windows, valid, latency.chunk, [None] * len(self.layers))
        t = x.shape[1]
        return [y[:, :, : latency.chunk].flatten(1, 2)[:, :t] for y in outputs], out_lengths

    def run(
        self, windows: Tensor, valid: Tensor, chunk: int, states: Sequence[State | None], whole: bool = False
    ) -> tuple[list[Tensor], list[State]]:
        """windows (B, n, Nc + Nr, D), valid (B, n), a state for each layer -> each layer's output, new states.

        Of the last layer's output there are only the chunks (B, n, Nc, 2H), unless the `whole` windows are wanted.
        """
        outputs, new_states, x = [], [], self.dropout(windows)
        for layer, norm, state in zip(self.layers, self.norms, states):
            y, state = layer(x, valid, chunk, state, layer is self.layers[-1] and not whole)
            y = norm(y)
            outputs.append(y)
            new_states.append(state)
            x = self.dropout(y)
        return outputs, new_states


def _complete(frames: Tensor, stride: int) -> Tensor:
    """Zeros (the mean frame) after the end, so that T frames give ceil(T / stride)."""
    t = frames.shape[1]
    wanted = stride * (-(-t // stride) - 1) + RECEPTIVE_FIELD
    return nn.functional.pad(frames, (0, 0, 0, wanted - t))


def _windows(x: Tensor, lengths: Tensor, latency: Latency) -> tuple[Tensor, Tensor]:
    """x (B, T, D) -> windows (B, n, Nc + Nr, D) and how many frames of each are audio (B, n)."""
    chunk, width = latency.chunk, latency.chunk + latency.ahead
    n = -(-x.shape[1] // chunk)
    x = nn.functional.pad(x, (0, 0, 0, n * chunk + latency.ahead - x.shape[1]))
    starts = chunk * torch.arange(n, device=x.device)
    valid = (lengths[:, None] - starts).clamp(0, width)
    return x.unfold(1, width, chunk).transpose(2, 3), valid
