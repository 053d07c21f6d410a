"""An acoustic model as two ONNX graphs, with what goes beside them; any recurrent module as one."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from asr.model.interface import RECEPTIVE_FIELD
from asr.model.network.ctc import CTCModel
from asr.model.onnx import FORMAT, HEAD, LAYERS, SUBSAMPLING, VERSION, ExportError

OPSET = 17


class Subsampling(nn.Module):
    """frames (B, T, n_mels) -> hidden (B, T', D)"""

    def __init__(self, model: CTCModel):
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor) -> Tensor:
        """T at least asr.model.interface.RECEPTIVE_FIELD."""
        return self.model.encoder.subsampling(self.model.normalise(frames))


class Layers(nn.Module):
    """chunks (B, n, Nc, D) and what lies ahead of each (B, n, Nr, D), Nr at least 1, valid (B, n) frames of both that
    are audio, states (layers, B, H) -> log-probabilities (B, n, Nc + Nr, ...) of letters and, if there is the head,
    phonemes; new states."""

    def __init__(self, model: CTCModel):
        super().__init__()
        self.model = model

    def forward(self, chunks: Tensor, ahead: Tensor, valid: Tensor, states: Tensor) -> tuple[Tensor, ...]:
        """Shapes as above."""
        windows = torch.cat([chunks, ahead], 2)
        hidden, new = self.model.encoder.run(windows, valid, chunks.shape[2], list(states.split(1)), whole=True)
        letters, phonemes = self.model.letters(hidden), self.model.phonemes(hidden)
        heads = [letters] if phonemes is None else [letters, phonemes]
        return *heads, torch.cat(new)


def write(model: CTCModel, card: dict, folder: Path) -> None:
    """Everything that asr.model.onnx reads. Raises ExportError."""
    o = model.options
    if o.kind != "gru":
        raise ExportError(f"only GRU layers can be exported, this model has {o.kind} layers: train one with GRU layers")
    frames = torch.zeros(2, RECEPTIVE_FIELD + 4, o.frontend.n_mels)
    trace(
        Subsampling(model), folder / SUBSAMPLING, {"frames": (frames, "batch", "time")}, {"hidden": ("batch", "steps")}
    )
    windows, states = torch.zeros(2, 3, 4, o.hidden), torch.zeros(o.layers, 2, o.hidden)
    inputs = {
        "chunks": (windows, "streams", "windows", "chunk"),
        "ahead": (windows, "streams", "windows", "look_ahead"),
        "valid": (torch.full((2, 3), 8), "streams", "windows"),
        "states": (states, None, "streams"),
    }
    axes = "streams", "windows", "frames"
    outputs = {"letters": axes} | ({"phonemes": axes} if o.phonemes else {})
    trace(Layers(model), folder / LAYERS, inputs, outputs | {"new_states": (None, "streams")})
    head = {"format": FORMAT, "version": VERSION, "options": o.asdict(), "mean": model.mean.tolist(), "card": card}
    (folder / HEAD).write_text(json.dumps(head))


def trace(module: nn.Module, path: Path, inputs: dict[str, tuple[Any, ...]], outputs: dict[str, tuple]) -> None:
    """One graph; of each input an example and the names of its free axes (None: fixed), of each output the latter.

    torch's older exporter: the new one fails on recurrent layers with free axes. Raises ExportError.
    """
    axes = {name: example[1:] for name, example in inputs.items()} | outputs
    named = {name: {i: axis for i, axis in enumerate(some) if axis} for name, some in axes.items()}
    for needed in ("onnx", "onnxruntime"):
        if find_spec(needed) is None:
            raise ExportError(f"export needs {needed}, which is not installed: pip install onnx onnxruntime")
    with _quiet():
        torch.onnx.export(
            module.eval(),
            tuple(example[0] for example in inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=named,
            opset_version=OPSET,
            dynamo=False,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's warnings of what traces cannot hold: the comparison finds where it matters."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logger.setLevel(level)
