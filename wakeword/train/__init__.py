"""The trigger-word RNN: log-mel frames -> convolution -> recurrent layers -> a sigmoid for each step.

The network of the lecture (Ng, Sequence Models, week 3), small enough to listen all day.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor, nn

from asr.audio.features import SAMPLE_RATE, LogMelOptions
from asr.model.network.recurrent import State, recurrent


@dataclass(frozen=True)
class TriggerOptions:
    """What rebuilds a detector's network."""

    kind: str = "gru"  # gru, lstm or peephole
    layers: int = 2
    hidden: int = 96
    channels: int = 64  # of the convolution
    kernel: int = 8  # log-mel frames that one step sees
    stride: int = 4  # log-mel frames a step: 40 ms
    n_mels: int = 40
    dropout: float = 0.1  # while training

    @property
    def frontend(self) -> LogMelOptions:
        """The log-mel frames that it hears."""
        return LogMelOptions(n_mels=self.n_mels)

    @property
    def step_seconds(self) -> float:
        """From one score to the next."""
        return self.stride * self.frontend.hop / SAMPLE_RATE

    def asdict(self) -> dict:
        return asdict(self)


class TriggerModel(nn.Module):
    """One-way, so that every step can be given out as soon as it has been heard."""

    mean: Tensor  # (n_mels,), as the deviation, over the training data
    deviation: Tensor

    def __init__(self, options: TriggerOptions = TriggerOptions()):
        super().__init__()
        self.options = o = options
        self.register_buffer("mean", torch.zeros(o.n_mels))
        self.register_buffer("deviation", torch.ones(o.n_mels))
        self.convolution = nn.Conv1d(o.n_mels, o.channels, o.kernel, o.stride)
        sizes = [o.channels] + [o.hidden] * (o.layers - 1)
        self.layers = nn.ModuleList(recurrent(o.kind, size, o.hidden) for size in sizes)
        self.dropout = nn.Dropout(o.dropout)
        self.output = nn.Linear(o.hidden, 1)

    def trunk(self, frames: Tensor, states: Sequence[State | None] | None = None) -> tuple[Tensor, list[State]]:
        """frames (B, T, n_mels), a state for each layer -> hidden steps (B, n, H), n = (T - kernel) // stride + 1."""
        x = (frames - self.mean) / self.deviation
        x = self.dropout(torch.relu(self.convolution(x.transpose(1, 2))).transpose(1, 2))
        new_states = []
        for layer, state in zip(self.layers, states or [None] * len(self.layers)):
            x, state = layer(x, state)
            x = self.dropout(x)
            new_states.append(state)
        return x, new_states

    def forward(self, frames: Tensor, states: Sequence[State | None] | None = None) -> tuple[Tensor, list[State]]:
        """-> logits (B, n) that the word has just been said, and the new states."""
        x, after = self.trunk(frames, states)
        return self.output(x).squeeze(-1), after


def extended_ones(steps: int, ends: Sequence[int], span: int) -> np.ndarray:
    """(steps,) float32: 1 at the ``span`` steps from each end on, 0 elsewhere.

    ``ends`` are the first steps after each word; what lies beyond the last step is cut off.
    Raises ValueError when ``span`` is below 1 or an end is negative.
    """
    if span < 1 or any(end < 0 for end in ends):
        raise ValueError(f"labels need a span of at least 1 step and ends from 0 on, not {span} and {list(ends)}")
    targets = np.zeros(steps, np.float32)
    for end in ends:
        targets[end : end + span] = 1
    return targets
