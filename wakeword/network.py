"""The trigger-word RNN in numpy, with the weights of wakeword.train, and the front-end that detectors share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from asr.audio.features import SAMPLE_RATE, LogMel, LogMelOptions
from asr.numpy_gru import affine, gru, sigmoid

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# recurrent cells: (n, D) and a state -> (n, H) and the new state


class _GRU:
    states = 1

    def __init__(self, t: dict[str, np.ndarray], name: str):
        self._from_x, self._from_h = (np.ascontiguousarray(t[name + f"weight_{k}_l0"].T) for k in ("ih", "hh"))
        self._bias_x, self._bias_h = t[name + "bias_ih_l0"], t[name + "bias_hh_l0"]

    def __call__(self, x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        out = gru(affine(x, self._from_x, self._bias_x), state[0], self._from_h, self._bias_h)
        return out, out[-1:].copy()


class _LSTM:
    states = 2

    def __init__(self, t: dict[str, np.ndarray], name: str):
        self._from_x, self._from_h = (np.ascontiguousarray(t[name + f"weight_{k}_l0"].T) for k in ("ih", "hh"))
        self._bias = t[name + "bias_ih_l0"] + t[name + "bias_hh_l0"]
        self._peephole = np.zeros((3, self._from_h.shape[0]), np.float32)

    def __call__(self, x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        (h, c), size = state, state.shape[1]
        of_update, of_forget, of_output = self._peephole
        out = np.empty((len(x), size), np.float32)
        for i, given in enumerate(affine(x, self._from_x, self._bias)):
            update, forget, new, output = (given + h @ self._from_h).reshape(4, size)
            update, forget = sigmoid(update + of_update * c), sigmoid(forget + of_forget * c)
            c = forget * c + update * np.tanh(new)
            h = sigmoid(output + of_output * c) * np.tanh(c)
            out[i] = h
        return out, np.stack([h, c])


class _Peephole(_LSTM):
    def __init__(self, t: dict[str, np.ndarray], name: str):
        self._from_x = np.ascontiguousarray(t[name + "input.weight"].T)
        self._from_h = np.ascontiguousarray(t[name + "hidden.weight"].T)
        self._bias, self._peephole = t[name + "input.bias"], t[name + "peephole"]


CELLS: dict[str, Callable] = {"gru": _GRU, "lstm": _LSTM, "peephole": _Peephole}


class Network:
    """The trigger-word RNN in numpy."""

    def __init__(self, tensors: dict[str, np.ndarray], model: dict):
        self.hidden, self._stride = model["hidden"], model["stride"]
        t = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
        weight = t["convolution.weight"] / t["deviation"][:, None]  # (channels, n_mels, kernel)
        self.bias = t["convolution.bias"] - (weight * t["mean"][:, None]).sum((1, 2))
        self.weight = np.ascontiguousarray(weight.transpose(2, 1, 0).reshape(-1, len(weight)))
        make = CELLS[model["kind"]]
        self.cells = [make(t, f"layers.{i}.") for i in range(model["layers"])]
        self.output, self.offset = t["output.weight"][0], t["output.bias"][0]

    def start(self) -> tuple[np.ndarray, ...]:
        """The state of each recurrent layer before a stream."""
        return tuple(np.zeros((cell.states, self.hidden), np.float32) for cell in self.cells)

    def __call__(self, frames: np.ndarray, count: int, layers: tuple) -> tuple[np.ndarray, tuple]:
        """The first ``count`` steps, one at least, over frames (T, n_mels) -> sigmoids (count,), states."""
        x, states = self._recurrent(self._convolved(frames, count), layers)
        return sigmoid((x * self.output).sum(1) + self.offset), states

    def _convolved(self, frames: np.ndarray, count: int) -> np.ndarray:
        """(T, n_mels) -> (count, channels)"""
        shape, steps = (count, len(self.weight)), (4 * self._stride * frames.shape[1], 4)  # bytes to row and column
        windows = np.ndarray(shape, np.float32, np.ascontiguousarray(frames, np.float32), strides=steps)
        return np.maximum(affine(windows, self.weight, self.bias), 0)

    def _recurrent(self, x: np.ndarray, layers: tuple) -> tuple[np.ndarray, tuple]:
        new = []
        for cell, state in zip(self.cells, layers):
            x, state = cell(x, state)
            new.append(state)
        return x, tuple(new)


class ExportedNetwork:
    """wakeword.network.Network by an ONNX graph; the state is an array (layers, 1, hidden)."""

    def __init__(self, session: InferenceSession):
        self._session = session
        self._shape = [n if isinstance(n, int) else 1 for n in session.get_inputs()[1].shape]

    def start(self) -> tuple[np.ndarray, ...]:
        return (np.zeros(self._shape, np.float32),)

    def __call__(self, frames: np.ndarray, count: int, layers: tuple) -> tuple[np.ndarray, tuple]:
        scores, states = self._session.run(None, {"frames": frames[None], "states": layers[0]})
        return scores[0], (states,)


LONGEST = SAMPLE_RATE  # samples of a block that is remembered: a recording is not kept in memory


class SharedLogMel(LogMel):
    """A LogMel that remembers its last block, by what is in it."""

    def __init__(self, options: LogMelOptions):
        super().__init__(options)
        nothing = np.zeros(0, np.float32)
        self._last = nothing, nothing, (np.zeros((0, options.n_mels), np.float32), nothing)

    @staticmethod
    @cache
    def of(n_mels: int) -> SharedLogMel:
        return SharedLogMel(LogMelOptions(n_mels=n_mels))

    def feed(self, samples: np.ndarray, tail: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As LogMel.feed; neither result is to be changed."""
        last_samples, last_tail, found = self._last  # one look, as other threads may write it
        if not (np.array_equal(samples, last_samples) and np.array_equal(tail, last_tail)):
            found = super().feed(samples, tail)
            if len(samples) <= LONGEST:
                self._last = samples.copy(), tail, found
        return found
