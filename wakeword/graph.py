"""A detector as one ONNX graph, its card as metadata."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from asr.model.onnx import ExportError as TraceError
from asr.model.onnx_export import trace
from wakeword.detector import weights
from wakeword.runtime import ExportError
from wakeword.train.model import TriggerModel, TriggerOptions


class Steps(nn.Module):
    """frames (B, T, n_mels), states (layers, B, H) -> scores (B, n) that the word has just been said, new states."""

    def __init__(self, model: TriggerModel):
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        logits, states = self.model(frames, list(states.split(1)))
        return logits.sigmoid(), torch.cat(states)


def write(path: Path, output: Path) -> None:
    """The graph of a detector's file. Raises ExportError."""
    tensors, head = weights(path)
    o = TriggerOptions(**json.loads(head["options"]))
    if o.kind != "gru":
        raise ExportError(f"only detectors of GRU layers can be exported, this one has {o.kind} layers: train another")
    model = TriggerModel(o)
    model.load_state_dict({name: torch.from_numpy(tensor).float() for name, tensor in tensors.items()})
    frames, states = torch.zeros(2, o.kernel + o.stride, o.n_mels), torch.zeros(o.layers, 2, o.hidden)
    inputs = {"frames": (frames, "streams", "time"), "states": (states, None, "streams")}
    try:
        trace(Steps(model), output, inputs, {"scores": ("streams", "steps"), "new_states": (None, "streams")})
    except TraceError as error:
        raise ExportError(str(error)) from None
    _describe(output, head)


def _describe(path: Path, head: dict[str, str]) -> None:
    import onnx

    graph = onnx.load(str(path))
    onnx.helper.set_model_props(graph, head)
    onnx.save(graph, str(path))
