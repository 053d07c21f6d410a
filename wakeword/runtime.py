"""A detector that `wakeword export` has written, run by onnxruntime: half the work of a step in numpy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asr.errors import Error

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class ExportError(Error, ValueError):
    """One sentence: why no file was written, and what to do."""


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


def load_exported(path: Path) -> tuple[ExportedNetwork, dict[str, str]]:
    """-> the network and the file's metadata. Raises asr.model.checkpoint.CheckpointError."""
    from asr.model.onnx import session

    found = session(path, threads=1)
    return ExportedNetwork(found), found.get_modelmeta().custom_metadata_map
