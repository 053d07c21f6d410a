"""The trigger-word RNN in numpy, with the weights of wakeword.train, and the front-end that detectors share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from asr.audio.features import SAMPLE_RATE, LogMel, LogMelOptions
from asr.numpy_gru import affine, gru, sigmoid

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# recurrent cells: (n, D) and a state -> (n, H) and the new state


class GRU:
    """Of one layer; or of as many layers side by side as the weights have before their last axes."""

    states = 1

    def __init__(self, from_x: np.ndarray, from_h: np.ndarray, bias_x: np.ndarray, bias_h: np.ndarray):
        """from_x (..., D, 3H), from_h (..., H, 3H), both biases (..., 3H)."""
        self.weights = from_x, from_h, bias_x, bias_h

    @classmethod
    def of(cls, t: dict[str, np.ndarray], name: str) -> GRU:
        from_x, from_h = (np.ascontiguousarray(t[name + f"weight_{k}_l0"].T) for k in ("ih", "hh"))
        return cls(from_x, from_h, t[name + "bias_ih_l0"], t[name + "bias_hh_l0"])

    def __call__(self, x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from_x, from_h, bias_x, bias_h = self.weights
        given = affine(x, from_x, bias_x) if from_x.ndim == 2 else x @ from_x + bias_x
        out = gru(given, state[0], from_h, bias_h)
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


CELLS: dict[str, Callable] = {"gru": GRU.of, "lstm": _LSTM, "peephole": _Peephole}


class Network:
    """The trigger-word RNN in numpy."""

    def __init__(self, tensors: dict[str, np.ndarray], model: dict):
        self.hidden, self.kind, self._stride = model["hidden"], model["kind"], model["stride"]
        t = {name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()}
        weight = t["convolution.weight"] / t["deviation"][:, None]  # (channels, n_mels, kernel)
        self.bias = t["convolution.bias"] - (weight * t["mean"][:, None]).sum((1, 2))
        self.weight = np.ascontiguousarray(weight.transpose(2, 1, 0).reshape(-1, len(weight)))
        make = CELLS[self.kind]
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


class NetworkStack(Network):
    """Networks of one shape side by side: their steps are taken in one go, as a call of numpy costs more than its work.

    Of a layer's state there is that of all networks, (1, words, 1, H).
    """

    def __init__(self, networks: Sequence[Network]):
        """networks: all of GRU layers, and of the same sizes."""
        vars(self).update(vars(networks[0]))
        self.weight = np.concatenate([network.weight for network in networks], 1)
        self.bias = np.concatenate([network.bias for network in networks])
        self.cells = [
            GRU(*map(_stacked, zip(*(c.weights for c in cells)))) for cells in zip(*(n.cells for n in networks))
        ]
        self.output = np.stack([network.output for network in networks])
        self.offset = np.array([float(network.offset) for network in networks], np.float32)

    def start(self) -> tuple[np.ndarray, ...]:
        """The state of each recurrent layer before a stream."""
        return tuple(np.zeros((1, len(self.output), 1, self.hidden), np.float32) for _ in self.cells)

    def __call__(self, frames: np.ndarray, count: int, layers: tuple) -> tuple[np.ndarray, tuple]:
        """As of one network -> sigmoids (count, words), states."""
        x = self._convolved(frames, count).reshape(count, len(self.output), 1, -1)
        x, states = self._recurrent(x, layers)
        return sigmoid((x[:, :, 0] * self.output).sum(-1) + self.offset), states


def _stacked(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Matrices (D, E) -> (words, D, E); rows (E,) -> (words, 1, E)"""
    return np.stack([np.atleast_2d(array) for array in arrays])


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
