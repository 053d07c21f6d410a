"""A detector as an ONNX graph, with its state as an input and an output and its card as metadata."""

from __future__ import annotations

import json
from pathlib import Path

from asr.model.graphs import recurrent
from asr.model.onnx_graph import Graph
from wakeword.detector import weights


def write(path: Path, output: Path) -> None:
    """The graph of a detector's file: frames (B, T, n_mels), states (layers, B, H) -> scores (B, n), new states.

    The states of LSTM cells are (2 layers, B, H): each layer's output and cell.
    """
    tensors, head = weights(path)
    options = json.loads(head["options"])
    kind, hidden, parts = options["kind"], options["hidden"], 1 if options["kind"] == "gru" else 2
    g, size = Graph("detector"), parts * options["layers"]
    x = g("Sub", g.input("frames", "float32", "streams", "time", options["n_mels"]), g.constant(tensors["mean"]))
    x = g("Transpose", g("Div", x, g.constant(tensors["deviation"])), perm=[0, 2, 1])
    kernel, bias = (g.constant(tensors[f"convolution.{part}"]) for part in ("weight", "bias"))
    x = g("Relu", g("Conv", x, kernel, bias, strides=[options["stride"]]))
    x = g("Transpose", x, perm=[2, 0, 1])  # (n, B, C)
    states = g.node("Split", g.input("states", "float32", size, "streams", hidden), outputs=size, axis=0)
    new_states: list[str] = []
    for number in range(options["layers"]):
        layer = recurrent(g, tensors, f"layers.{number}", kind, hidden)
        x, *state = layer(x, "", *states[number * parts : (number + 1) * parts])
        x = g("Squeeze", x, g.constant([1]))
        new_states += state
    x = g("Add", g("MatMul", x, g.constant(tensors["output.weight"].T)), g.constant(tensors["output.bias"]))
    scores = g("Transpose", g("Squeeze", g("Sigmoid", x), g.constant([2])), perm=[1, 0])
    g.output("scores", scores, "float32", "streams", "steps")
    g.output("new_states", g("Concat", *new_states, axis=0), "float32", size, "streams", hidden)
    output.write_bytes(g.model(head))
