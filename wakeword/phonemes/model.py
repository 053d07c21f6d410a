"""A small two-way CTC model of phonemes in numpy: what does this second of sound say?

The acoustic model of asr.model.network.ctc at full context, with its own weights (recipes/wake_words/phonemes.toml).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from safetensors import safe_open

from asr.model.interface import RECEPTIVE_FIELD, STRIDE
from wakeword.network import CELLS

WEIGHTS = Path(__file__).parent.parent / "phonemes.safetensors"

States = tuple[np.ndarray, ...]  # (1, H) of each layer


class PhonemeModel:
    """Log-mel frames -> log-probabilities of phonemes and blank for every 40 ms.

    The weights are read when they are first asked for: a detector that has heard nothing yet needs 10 MB less.
    """

    def __init__(self, tensors: Mapping[str, np.ndarray] | Path, symbols: tuple[str, ...], layers: int, n_mels: int):
        """tensors: named as in asr.model.network.ctc.CTCModel, or their file; symbols: the phonemes, from 1."""
        self.symbols, self.n_mels, self._tensors, self._count = symbols, n_mels, tensors, layers

    @cached_property
    def _network(self) -> _Network:
        if isinstance(self._tensors, Path):
            with safe_open(self._tensors, framework="numpy") as file:
                return _Network({key: file.get_tensor(key).astype(np.float32) for key in file.keys()}, self._count)
        return _Network(self._tensors, self._count)

    @staticmethod
    @cache
    def load(path: Path = WEIGHTS) -> PhonemeModel:
        with safe_open(path, framework="numpy") as file:
            options = json.loads(file.metadata()["options"])
        return PhonemeModel(path, tuple(options["phonemes"]), options["layers"], options["frontend"]["n_mels"])

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Hear a whole recording: (T, n_mels) -> (ceil(T / 4), 1 + symbols) natural log-probabilities."""
        count = -(-len(frames) // STRIDE)
        missing = max(0, STRIDE * (count - 1) + RECEPTIVE_FIELD - len(frames))
        mean = np.broadcast_to(self._network.mean, (missing, self.n_mels))
        return self.window(np.concatenate([frames, mean]), count, self.start(), count)[0]

    def start(self) -> States:
        """The forward state of each layer before a stream: all zero."""
        return ()

    def window(self, frames: np.ndarray, count: int, states: States, final: int) -> tuple[np.ndarray, States]:
        """Hear ``count`` outputs of a stream, whose first frame is frames[0], latency-controlled.

        Forward states are taken up before the first output and given back as they are after the ``final`` first ones;
        backward states begin afresh at the window's end. -> (count, 1 + symbols), new states.
        """
        return self._network(frames, count, states, final)


class _Network:
    def __init__(self, t: Mapping[str, np.ndarray], layers: int):
        self.mean, self._deviation = t["mean"], t["deviation"]
        part = "encoder.subsampling."
        self._convolutions = [(t[f"{part}{name}.weight"], t[f"{part}{name}.bias"]) for name in ("first", "second")]
        self._project = t[part + "project.weight"].T, t[part + "project.bias"]
        names = [f"encoder.layers.{i}." for i in range(layers)]
        self._layers = [[CELLS["gru"](t, n + way) for way in ("forwards.", "backwards.")] for n in names]
        self._norms = [(t[f"encoder.norms.{i}.weight"], t[f"encoder.norms.{i}.bias"]) for i in range(layers)]
        self._head = t["phoneme_head.weight"].T, t["phoneme_head.bias"]
        self._hidden = t["encoder.layers.0.forwards.weight_hh_l0"].shape[1]

    def __call__(self, frames: np.ndarray, count: int, states: States, final: int) -> tuple[np.ndarray, States]:
        """As PhonemeModel.window."""
        states = states or (np.zeros((1, self._hidden), np.float32),) * len(self._layers)
        x = ((frames[: STRIDE * (count - 1) + RECEPTIVE_FIELD] - self.mean) / self._deviation)[None]
        for weight, bias in self._convolutions:
            x = np.maximum(_convolve(x, weight, bias), 0)
        x = x.transpose(1, 0, 2).reshape(x.shape[1], -1) @ self._project[0] + self._project[1]
        new_states = []
        for (forwards, backwards), norm, state in zip(self._layers, self._norms, states):
            ahead, back = forwards(x, state)[0], backwards(x[::-1], np.zeros_like(state))[0]
            new_states.append(ahead[final - 1 : final].copy() if final else state)
            x = _layer_norm(np.concatenate([ahead, back[::-1]], 1), *norm)
        logits = x @ self._head[0] + self._head[1]
        logits -= logits.max(-1, keepdims=True)
        return logits - np.log(np.exp(logits).sum(-1, keepdims=True)), tuple(new_states)


def _convolve(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """x (C, T, F), weight (O, C, 3, 3) -> (O, T', F'), a stride of 2 both ways."""
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], (1, 2))[:, ::2, ::2]
    c, t, f = windows.shape[:3]
    columns = windows.transpose(1, 2, 0, 3, 4).reshape(t * f, -1)
    return (columns @ weight.reshape(len(weight), -1).T + bias).reshape(t, f, -1).transpose(2, 0, 1)


def _layer_norm(x: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5) * scale + shift
