"""Recurrent layers: GRU, LSTM with forget gates, LSTM with peepholes; one-way and latency-controlled.

Every layer is called as ``y, state = layer(x, state)``: no hidden buffers, so one model
serves any number of streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, cast

import numpy as np
import torch
from torch import Tensor, nn

from asr.native import training as native

State: TypeAlias = Tensor | tuple[Tensor, Tensor]


class GRU(nn.GRU):
    """One layer, batch first: x (B, T, D), state (1, B, H) or None -> y (B, T, H), state.

    A pass in bf16 is our own: same weights and results. PyTorch's CPU kernel builds a graph of fifteen small
    operations for every step; here one node holds the whole sequence. Only one product stands in the way of the next
    step, and the gradients of the weights are one product at the end. Gates and states stay in fp32. On a processor
    that multiplies bf16 the steps run compiled (asr/native/gru.h): by matrix tiles (AMX) in a fifth of the time, by dot
    products (AVX512-BF16) in seven to nine tenths of it.
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__(input_size, hidden_size, batch_first=True)

    def forward(  # type: ignore[override]
        self, x: Tensor, state: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """x (B, T, D), state (1, B, H), zero where there is none -> y (B, T, H) and the state after it."""
        if state is None:
            state = x.new_zeros(1, x.shape[0], self.hidden_size)
        ours = torch.is_autocast_enabled("cpu") and x.device.type == "cpu"
        if not ours or x.shape[1] == 0:
            return super().forward(x, state)
        dtype = torch.get_autocast_dtype("cpu")
        compiled = native and native.HAS_BF16 and dtype == torch.bfloat16 and self.hidden_size % 32 == 0
        with torch.autocast("cpu", enabled=False):
            y = (_Compiled if compiled else _Sequence).apply(
                x, state[0].float(), self.weight_ih_l0, self.weight_hh_l0, self.bias_ih_l0, self.bias_hh_l0, dtype
            )
        return y, y[None, :, -1]


class _Sequence(torch.autograd.Function):
    """r = s(Wx + Uh), z = s(Wx + Uh), n = tanh(Wx + r (Uh + b)), h' = n + z (h - n), for all steps."""

    @staticmethod
    def forward(ctx, x, h, w_ih, w_hh, b_ih, b_hh, dtype):
        x = x.transpose(0, 1).to(dtype).contiguous()  # (T, B, D)
        time, batch, size = x.shape[0], x.shape[1], h.shape[1]
        bias = torch.cat([b_ih[: 2 * size] + b_hh[: 2 * size], b_ih[2 * size :]]).to(dtype)
        from_input = torch.addmm(bias, x.flatten(0, 1), w_ih.to(dtype).t()).view(time, batch, 3 * size)
        w_t, bias_new = w_hh.to(dtype).t().contiguous(), b_hh[2 * size :].to(dtype)
        y = torch.empty(time + 1, batch, size)  # y[t] is the state before step t
        y[0] = h
        gates, new, recurrent = (torch.empty(time, batch, n) for n in (2 * size, size, size))
        cast, from_state = torch.empty(batch, size, dtype=dtype), torch.empty(batch, 3 * size, dtype=dtype)
        for t in range(time):
            torch.mm(cast.copy_(y[t]), w_t, out=from_state)
            gate = gates[t].copy_(from_input[t, :, : 2 * size]).add_(from_state[:, : 2 * size]).sigmoid_()
            recurrent[t].copy_(from_state[:, 2 * size :]).add_(bias_new)
            n = new[t].copy_(from_input[t, :, 2 * size :]).addcmul_(gate[:, :size], recurrent[t]).tanh_()
            torch.lerp(n, y[t], gate[:, size:], out=y[t + 1])
        ctx.save_for_backward(x, y, gates, new, recurrent, w_ih, w_hh)
        return y[1:].transpose(0, 1)

    @staticmethod
    def backward(ctx, dy):
        x, y, gates, new, recurrent, w_ih, w_hh = ctx.saved_tensors
        dtype, dy = x.dtype, dy.transpose(0, 1)
        time, batch, size = dy.shape
        reset, update, candidate = slice(0, size), slice(size, 2 * size), slice(2 * size, 3 * size)
        d_input, d_state = (torch.empty(time, batch, 3 * size, dtype=dtype) for _ in range(2))
        w, back = w_hh.to(dtype), torch.empty(batch, size, dtype=dtype)
        dh, a, b = torch.zeros(batch, size), torch.empty(batch, size), torch.empty(batch, size)
        for t in range(time - 1, -1, -1):
            dh.add_(dy[t])
            r, z, n = gates[t, :, :size], gates[t, :, size:], new[t]
            torch.sub(y[t], n, out=a).mul_(dh).mul_(z)
            d_state[t, :, update].copy_(a.addcmul_(a, z, value=-1))  # dh (h - n) z (1 - z)
            torch.addcmul(dh, dh, z, value=-1, out=a)
            a.addcmul_(torch.mul(a, n, out=b), n, value=-1)  # dh (1 - z) (1 - n^2)
            d_input[t, :, candidate].copy_(a)
            d_state[t, :, candidate].copy_(a.mul_(r))
            a.mul_(recurrent[t])
            d_state[t, :, reset].copy_(a.addcmul_(a, r, value=-1))
            dh.mul_(z).add_(torch.mm(d_state[t], w, out=back))
        d_input[..., : 2 * size] = d_state[..., : 2 * size]
        dx, *of_weights = _gradients(x, y[:-1].to(dtype), d_input, d_state, w_ih)
        return dx.transpose(0, 1), dh, *of_weights, None


class _Compiled(torch.autograd.Function):
    """The same compiled, batch first."""

    @staticmethod
    def forward(ctx, x, h, w_ih, w_hh, b_ih, b_hh, dtype):
        x, h, w, (batch, time, _), size = x.to(dtype), h.contiguous(), w_hh.to(dtype), x.shape, h.shape[1]
        bias = torch.cat([b_ih[: 2 * size] + b_hh[: 2 * size], b_ih[2 * size :]]).to(dtype)
        from_input = torch.addmm(bias, x.flatten(0, 1), w_ih.to(dtype).t())
        y, new = torch.empty(batch, time, size), torch.empty(batch, time, size)
        before, gates = (torch.empty(batch, time, n, dtype=dtype) for n in (size, 3 * size))
        given = from_input, w, b_hh[2 * size :], h, y, before, gates, new
        native.gru_forward((batch, time, size), *map(_array, given))
        ctx.save_for_backward(x, h, y, before, gates, new, w_ih, w)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, h, y, before, gates, new, w_ih, w = ctx.saved_tensors
        d_input, d_state, dh = torch.empty_like(gates), torch.empty_like(gates), torch.empty_like(h)
        given = dy.float(), w, h, y, gates, new, d_input, d_state, dh
        native.gru_backward(y.shape, *map(_array, given))
        dx, *of_weights = _gradients(x, before, d_input, d_state, w_ih)
        return dx, dh, *of_weights, None


def _array(x: Tensor) -> np.ndarray:
    """Its numbers for compiled code; numpy, which knows no bf16, takes these for integers."""
    x = x.detach().contiguous()
    return (x.view(torch.int16) if x.dtype == torch.bfloat16 else x).numpy()


def _gradients(x: Tensor, before: Tensor, d_input: Tensor, d_state: Tensor, w_ih: Tensor) -> tuple[Tensor, ...]:
    """Of x and of both matrices and biases: from the states before each step and the gradients of Wx and of Uh."""
    into, state = d_input.flatten(0, 1), d_state.flatten(0, 1)
    dx = (into @ w_ih.to(x.dtype)).view(x.shape)
    dw_ih, dw_hh = into.t() @ x.flatten(0, 1), state.t() @ before.flatten(0, 1)
    ones = torch.ones(1, len(into), dtype=x.dtype)
    return dx, dw_ih.float(), dw_hh.float(), (ones @ into)[0].float(), (ones @ state)[0].float()


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
