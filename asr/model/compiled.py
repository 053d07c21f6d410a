"""The acoustic model at work, compiled: GRU layers by asr.native.encoder, int8 weights as they are stored.

Frames and states are rounded to bytes before they meet int8 weights of recurrent layers (asr/native/dots.h). On a given
machine results are the same to the bit for any cut and beside any streams.
"""

from __future__ import annotations

import numpy as np

from asr.audio.features import LogMel
from asr.model.checkpoint import RECEPTIVE_FIELD, ROW_SCALES, ModelOptions
from asr.model.interface import Loaded
from asr.native import encoder as native
from asr.text import alphabet_of

LANES, BYTES = 16, 4  # numbers in a vector of the processor, and kind of products of bytes (dots.h), at most


class CompiledModel(Loaded):
    """asr.model.interface.AcousticModel. The state of a stream is an array (layers, 1, hidden)."""

    def __init__(
        self, options: ModelOptions, weights: dict[str, np.ndarray], lanes: int = LANES, products: int = BYTES
    ):
        """weights: as stored (asr.model.checkpoint); with products=0 nothing is rounded.

        Raises KeyError, ValueError where they do not fit.
        """
        assert native and options.kind == "gru"
        self.options, self.mean_frame = options, weights["mean"].astype(np.float32)
        self.alphabet, self.frontend = alphabet_of(options.symbols, options.scores), LogMel(options.frontend)
        self._symbols, heads = [len(self.alphabet)], [("head", options.read[0])]
        if options.phonemes:
            self._symbols.append(len(options.phonemes) + 1)
            heads.append(("phoneme_head", options.read[1]))
        sizes = options.frontend.n_mels, options.channels, options.hidden, options.layers, options.stride
        layers = [f"encoder.layers.{i}.{way}" for i in range(options.layers) for way in ("forwards", "backwards")]
        norms = [f"encoder.norms.{i}.{part}" for i in range(options.layers) for part in ("weight", "bias")]
        self._encoder = native.Encoder(
            (*sizes, lanes, products),
            self.mean_frame,
            weights["deviation"].astype(np.float32),
            [
                *_subsampling(weights, options.channels),
                *(_product(weights, f"{x}.weight_{k}_l0", f"{x}.bias_{k}_l0") for x in layers for k in ("ih", "hh")),
                *(_product(weights, f"{name}.weight", f"{name}.bias") for name, _ in heads),
            ],
            [weights[name].astype(np.float32) for name in norms],
            [(size, bytes(read)) for size, (_, read) in zip(self._symbols, heads)],
        )

    def initial_state(self) -> np.ndarray:
        return np.zeros((self.options.layers, 1, self.options.hidden), np.float32)

    def subsample(self, frames: np.ndarray) -> np.ndarray:
        streams, count = frames.shape[:2]
        steps = (count - RECEPTIVE_FIELD) // self.options.stride + 1
        out = np.empty((streams, steps, self.options.hidden), np.float32)
        self._encoder.subsample(streams, count, np.ascontiguousarray(frames, np.float32), out)
        return out

    def advance(
        self, windows: np.ndarray, valid: np.ndarray, chunk: int, layers: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray | None, list[np.ndarray]]:
        shape, states = windows.shape[:3], np.concatenate(layers, 1)
        outputs = [np.empty((*shape, size), np.float32) for size in self._symbols]
        given = np.ascontiguousarray(windows, np.float32), np.ascontiguousarray(valid, np.int32)
        self._encoder.advance((*shape, chunk), *given, states, outputs)
        after = [states[:, i : i + 1] for i in range(len(layers))]
        return outputs[0], outputs[1] if len(outputs) > 1 else None, after


def _product(weights: dict[str, np.ndarray], name: str, bias: str) -> native.Product:
    """A matrix (outputs, inputs) with the scales of its rows, and its bias, as the encoder takes them."""
    matrix, scales = weights[name], weights.get(name + ROW_SCALES)
    kind = np.float32 if scales is None else np.int8
    return np.ascontiguousarray(matrix, kind), scales, weights[bias].astype(np.float32)


def _subsampling(weights: dict[str, np.ndarray], channels: int) -> list[native.Product]:
    """Kernels and projection with the channels last."""
    name = "encoder.subsampling."
    made = []
    for part in ("first", "second", "project"):
        matrix, scales, bias = _product(weights, f"{name}{part}.weight", f"{name}{part}.bias")
        parts = matrix.reshape(len(matrix), channels, -1) if part == "project" else matrix
        made.append((np.ascontiguousarray(np.moveaxis(parts, 1, -1)), scales, bias))
    return made
