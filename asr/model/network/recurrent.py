"""Recurrent layers: GRU, LSTM with forget gates, LSTM with peepholes; one-way and latency-controlled.

Every layer is called as ``y, state = layer(x, state)``: no hidden buffers, so one model
serves any number of streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn

from asr.model.network.gru import GRU

State: TypeAlias = Tensor | tuple[Tensor, Tensor]


class PeepholeLSTM(nn.Module):
    """LSTM whose gates also see the cell (Gers & Schmidhuber 2000; the lecture's peepholes).

    x (B, T, D), state (h, c) each (1, B, H) -> y (B, T, H), state. The loop over time is
    plain Python: it is here to be read and compared, not to be fast.
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.hidden_size = hidden_size
        self.input = nn.Linear(input_size, 4 * hidden_size)
        self.hidden = nn.Linear(hidden_size, 4 * hidden_size, bias=False)
        self.peephole = nn.Parameter(torch.zeros(3, hidden_size))
        with torch.no_grad():  # remember by default (Jozefowicz et al. 2015)
            self.input.bias[hidden_size : 2 * hidden_size] = 1.0

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple]:
        """x (B, T, D), state (h, c) or None for zeros -> y (B, T, H) and the state after it."""
        if state is None:
            zero = x.new_zeros(1, len(x), self.hidden_size)
            state = zero, zero
        h, c = state[0][0], state[1][0]  # (B, H)
        of_update, of_forget, of_output = self.peephole
        from_input, outputs = self.input(x), []  # (B, T, 4H)
        for t in range(x.shape[1]):
            update, forget, new, output = (from_input[:, t] + self.hidden(h)).chunk(4, dim=-1)
            update = torch.sigmoid(update + of_update * c)
            forget = torch.sigmoid(forget + of_forget * c)
            c = forget * c + update * torch.tanh(new)
            h = torch.sigmoid(output + of_output * c) * torch.tanh(c)
            outputs.append(h)
        y = torch.stack(outputs, 1) if outputs else x.new_zeros(len(x), 0, self.hidden_size)
        return y, (h[None], c[None])


KINDS = {
    "gru": GRU,
    "lstm": lambda d, h: nn.LSTM(d, h, batch_first=True),
    "peephole": PeepholeLSTM,
}


def recurrent(kind: str, input_size: int, hidden_size: int) -> nn.Module:
    """A one-way layer. ``kind`` is gru, lstm or peephole; raises ValueError otherwise."""
    if kind not in KINDS:
        raise ValueError(f"no recurrent layer called {kind!r}: choose one of {', '.join(KINDS)}")
    return KINDS[kind](input_size, hidden_size)


class LatencyControlled(nn.Module):
    """A bidirectional layer with a bounded view of the future (Zhang et al. 2016, LC-BLSTM).

    Time is cut into chunks of Nc frames; a window is a chunk and the Nr frames after it.
    The forward layer carries its state from chunk to chunk and gives the look-ahead frames
    a pass of their own from the state at the chunk's end; the backward layer starts afresh
    at the window's end. So a stack of layers looks Nr frames ahead, not layers x Nr.
    One window over everything (Nr = 0) is the plain bidirectional layer.
    """

    def __init__(self, kind: str, input_size: int, hidden_size: int):
        super().__init__()
        self.forwards = recurrent(kind, input_size, hidden_size)
        self.backwards = recurrent(kind, input_size, hidden_size)

    def forward(
        self, windows: Tensor, valid: Tensor, chunk: int, state: State | None = None, last: bool = False
    ) -> tuple[Tensor, State]:
        """windows (B, n, Nc + Nr, D), valid (B, n) frames of each that are audio, Nc, state.

        -> y (B, n, Nc + Nr, 2H), and the forward state after the last chunk. Of the ``last`` layer nobody needs
        the look-ahead: y (B, n, Nc, 2H).
        """
        b, n, w, d = windows.shape
        y_chunks, states, after = self._chunks(windows[:, :, :chunk], state)
        if w > chunk and not last:
            ahead = self.forwards(windows[:, :, chunk:].flatten(0, 1), states)[0]
            y_chunks = torch.cat([y_chunks, ahead.reshape(b, n, w - chunk, -1)], 2)
        flip = _flip_index(valid.flatten(), w)  # (B n w,)
        y, _ = self.backwards(windows.flatten(0, 2)[flip].reshape(-1, w, d))
        y = y.flatten(0, 1)[flip].reshape(b, n, w, -1)[:, :, : y_chunks.shape[2]]
        return torch.cat([y_chunks, y.to(y_chunks.dtype)], -1), after

    def _chunks(self, x: Tensor, state: State | None) -> tuple[Tensor, State, State]:
        """x (B, n, Nc, D) -> the forward layer's y (B, n, Nc, H), its state after each of the B n chunks, and after
        the last."""
        if isinstance(self.forwards, nn.GRU):  # whose output is its state: all chunks in one pass
            y, after = self.forwards(x.flatten(1, 2), state)
            y = y.reshape(*x.shape[:3], -1)
            return y, y[:, :, -1].flatten(0, 1)[None], after
        done: list[Tensor] = []
        states: list[State] = []
        for chunk in x.unbind(1):
            y, state = self.forwards(chunk, state)
            done.append(y)
            states.append(state)
        return torch.stack(done, 1), _interleave(states), states[-1]


def _interleave(states: Sequence[State]) -> State:
    """n states of (1, B, H) -> one of (1, B n, H), in the order of flattened windows."""
    if isinstance(states[0], tuple):
        return cast("State", tuple(_interleave(part) for part in zip(*states)))
    return torch.stack(cast("list[Tensor]", states), 2).flatten(1, 2)


def _flip_index(valid: Tensor, width: int) -> Tensor:
    """Index (N width,) that reverses the first ``valid`` (N,) frames of N rows laid end to end; its own inverse."""
    t = torch.arange(width, device=valid.device)
    back = valid[:, None] - 1 - t
    rows = width * torch.arange(valid.shape[0], device=valid.device)
    return (rows[:, None] + torch.where(back >= 0, back, t)).flatten()


def joined(states: Sequence[State]) -> State:
    """The states (1, 1, H) of B streams -> one of (1, B, H)."""
    if isinstance(states[0], tuple):
        return cast("State", tuple(torch.cat(part, 1) for part in zip(*states)))
    return torch.cat(cast("list[Tensor]", list(states)), 1)


def apart(state: State) -> list[State]:
    """(1, B, H) -> B states of (1, 1, H)."""
    if isinstance(state, tuple):
        return list(zip(*(part.split(1, 1) for part in state)))
    return list(state.split(1, 1))
