"""The acoustic model at work, by onnxruntime: graphs that are built from a checkpoint's weights when it is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asr.audio.features import LogMel
from asr.model.checkpoint import DEFAULT, ModelOptions, damaged, load_weights, locate, multiplied
from asr.model.compiled import BYTES, CompiledModel
from asr.model.interface import Loaded
from asr.model.streaming import encode
from asr.native import encoder as native
from asr.text import alphabet_of

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from asr.model.graphs import Graph, Weights


class OnnxModel(Loaded):
    """asr.model.interface.AcousticModel. The state of a stream is an array (layers, 1, hidden), of LSTM cells two."""

    def __init__(self, options: ModelOptions, weights: Weights, threads: int | None = None):
        """threads: of the processor; None: one. Raises KeyError, ValueError where weights are missing or misshapen."""
        from asr.model import graphs

        self.options, self.mean_frame = options, weights["mean"].astype(np.float32)
        self.alphabet, self.frontend = alphabet_of(options.symbols, options.scores), LogMel(options.frontend)
        self._subsampling = session(graphs.subsampling(options, weights), threads)
        self._layers = session(graphs.layers(options, weights), threads)

    def initial_state(self) -> np.ndarray:
        return np.zeros((self.options.layers * (1 if self._is_gru else 2), 1, self.options.hidden), np.float32)

    def subsample(self, frames: np.ndarray) -> np.ndarray:
        return _run(self._subsampling, {"frames": frames})[0]

    def advance(
        self, windows: np.ndarray, valid: np.ndarray, chunk: int, layers: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray | None, list[np.ndarray]]:
        width, states, heads = windows.shape[2], np.concatenate(layers, 1), []
        if width == chunk:  # the graph wants one frame ahead at least; a frame that is no audio changes nothing
            windows = np.pad(windows, ((0, 0), (0, 0), (0, 1), (0, 0)))
        valid = valid.astype(np.int32)
        step = windows.shape[1] if self._is_gru else 1
        for i in range(0, windows.shape[1], step):
            some = slice(i, i + step)
            given = {"chunks": windows[:, some, :chunk], "ahead": windows[:, some, chunk:], "valid": valid[:, some]}
            *found, states = _run(self._layers, given | {"states": states})
            heads.append(found)
        letters, *phonemes = (np.concatenate(parts, 1)[:, :, :width] for parts in zip(*heads))
        return letters, phonemes[0] if phonemes else None, np.split(states, len(layers), 1)

    @property
    def _is_gru(self) -> bool:
        return self.options.kind == "gru"


def _again(name: str | Path, threads: int | None, float32: bool) -> CompiledModel | OnnxModel:
    return load_model(name, threads, float32)[0]


def load_model(
    name: str | Path = DEFAULT, threads: int | None = None, float32: bool = False
) -> tuple[CompiledModel | OnnxModel, dict]:
    """A packaged model by name, or a checkpoint file -> the model and its card. Raises CheckpointError.

    One thread of GRU layers is what is compiled on installation; all else runs by onnxruntime. float32: compiled layers
    with int8 weights do not multiply bytes, even where the processor can.
    """
    options, weights, card = load_weights(name, as_stored=True)
    try:
        if native and options.kind == "gru" and (threads or 1) == 1:
            model: CompiledModel | OnnxModel = CompiledModel(options, weights, products=0 if float32 else BYTES)
        else:
            model = OnnxModel(options, multiplied(weights), threads)
        encode(model, [model.mean_frame[None]])  # do the parts fit together?
        model.loaded_by = _again, (name, threads, float32)
        return model, card
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise damaged(locate(name), error) from None


def _run(graph: InferenceSession, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    try:
        return graph.run(None, given)
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        raise ValueError(str(error)) from None


def session(graph: Graph | Path, threads: int | None = None) -> InferenceSession:
    """A graph or its file, ready to run on the processor. Raises ValueError where onnxruntime cannot take it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores to others
    options.enable_cpu_mem_arena = False  # it keeps the largest of every shape it has seen
    options.log_severity_level = 4
    try:
        content = graph.read_bytes() if isinstance(graph, Path) else graph.model(inside=False)
        if not isinstance(graph, Path):  # the weights are not copied
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(weight) for weight in graph.weights.values()]
            options.add_external_initializers(list(graph.weights), values)
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        raise ValueError(str(error)) from None
