"""The acoustic model without torch: the folder that `asr export` writes, run by onnxruntime.

The recogniser, the listener and the searches are the same as ever; only what asr.model.interface asks for is done here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asr.audio.features import LogMel, LogMelOptions
from asr.errors import Error
from asr.model.checkpoint import CheckpointError
from asr.subwords import alphabet_of

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

FORMAT, VERSION = "asr-onnx", 1
SUBSAMPLING, LAYERS, HEAD = "subsampling.onnx", "layers.onnx", "model.json"  # the files of the folder


class ExportError(Error):
    """One sentence: why no file was written, and what to do."""


@dataclass(frozen=True)
class ExportedOptions:
    """What rebuilds the model around its graphs."""

    frontend: LogMelOptions
    symbols: tuple[str, ...]
    phonemes: tuple[str, ...]
    layers: int
    hidden: int  # of each direction
    scores: tuple[float, ...] = ()  # ln probability of each symbol, where the symbols are subwords


class ExportedModel:
    """asr.model.interface.AcousticModel, by two ONNX graphs. The state of a stream is an array (layers, 1, hidden)."""

    def __init__(
        self, options: ExportedOptions, mean: np.ndarray, subsampling: InferenceSession, layers: InferenceSession
    ):
        self.options, self.mean_frame = options, mean
        self.alphabet, self.frontend = alphabet_of(options.symbols, options.scores), LogMel(options.frontend)
        self._subsampling, self._layers = subsampling, layers

    def initial_state(self) -> np.ndarray:
        return np.zeros((self.options.layers, 1, self.options.hidden), np.float32)

    def subsample(self, frames: np.ndarray) -> np.ndarray:
        return self._subsampling.run(None, {"frames": frames})[0]

    def advance(
        self, windows: np.ndarray, valid: np.ndarray, chunk: int, layers: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray | None, list[np.ndarray]]:
        chunks, ahead = windows[:, :, :chunk], windows[:, :, chunk:]
        if not ahead.shape[2]:  # the graph wants one frame at least; a frame that is no audio changes nothing
            ahead = np.zeros_like(windows[:, :, :1])
        given = {"chunks": chunks, "ahead": ahead, "valid": valid, "states": np.concatenate(layers, 1)}
        *heads, states = self._layers.run(None, given)
        b, n, width = windows.shape[:3]  # graphs of before give out the chunks alone, one after the other
        letters, *phonemes = (head.reshape(b, n, -1, head.shape[-1])[:, :, :width] for head in heads)
        return letters, phonemes[0] if phonemes else None, np.split(states, len(layers), 1)


def load_exported(folder: Path, threads: int | None = None) -> tuple[ExportedModel, dict]:
    """-> the model and its card. threads: of the processor; None: all. Raises CheckpointError."""
    try:
        head = json.loads((folder / HEAD).read_text())
        _check(head, folder)
        options, mean = _options(head["options"]), np.array(head["mean"], np.float32)
        model = ExportedModel(options, mean, *(session(folder / f, threads) for f in (SUBSAMPLING, LAYERS)))
        return model, head["card"]
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder} holds no exported model ({Path(error.filename).name} is missing): write one with `asr export`"
        ) from None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(folder, error) from None


def session(path: Path, threads: int | None = None) -> InferenceSession:
    """A graph, ready to run on the processor. Raises CheckpointError."""
    try:
        import onnxruntime
    except ImportError:
        raise CheckpointError(f"{path} needs onnxruntime, which is not installed: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the cores to others
    options.enable_cpu_mem_arena = False  # it keeps the largest of every shape it has seen
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except OSError:
        raise
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        raise _damaged(path, error) from None


def _options(values: dict[str, Any]) -> ExportedOptions:
    frontend = LogMelOptions(**values["frontend"])
    symbols, phonemes = tuple(values["symbols"]), tuple(values["phonemes"])
    scores = tuple(values.get("scores", ()))
    return ExportedOptions(frontend, symbols, phonemes, values["layers"], values["hidden"], scores)


def _check(head: dict, folder: Path) -> None:
    if head["format"] != FORMAT:
        raise CheckpointError(f"{folder / HEAD} is of no exported model: write one with `asr export`")
    if head["version"] != VERSION:
        raise CheckpointError(
            f"{folder} is of version {head['version']}, this program reads version {VERSION}: export the model again"
        )


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} is damaged ({str(error).strip().splitlines()[0][:100]}): export the model again")
