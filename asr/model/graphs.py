"""The two graphs of an acoustic model, built from its weights: what asr.model.network computes, for onnxruntime.

Inside, time comes first: windows are (W, n B, D), window after window, the streams of a batch side by side. Of
onnx.proto only the few messages are here that layers of a network need: writing them takes milliseconds and no package;
the onnx package would be 31 MB and a quarter of a second.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np

from asr.model.checkpoint import ModelOptions

IR_VERSION, OPSET = 8, 17
TYPES = {"float32": 1, "int32": 6, "int64": 7}  # numpy's name of a type: onnx.TensorProto's number
Weights = dict[str, np.ndarray]
GATES = {"gru": (1, 0, 2), "lstm": (0, 3, 1, 2), "peephole": (0, 3, 1, 2)}  # ONNX's order in torch's numbers
EPSILON = 1e-5  # of layer normalisation


def message(*fields: tuple[int, int | float | str | bytes]) -> bytes:
    """A protobuf message of numbered fields."""
    parts: list[bytes] = []
    for number, value in fields:
        if isinstance(value, int):
            parts += [_varint(number << 3), _varint(value)]
        elif isinstance(value, float):
            parts += [_varint(number << 3 | 5), struct.pack("<f", value)]
        else:
            data = value.encode() if isinstance(value, str) else value
            parts += [_varint(number << 3 | 2), _varint(len(data)), data]
    return b"".join(parts)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative numbers in two's complement
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


class Graph:
    """Nodes in the order in which they run; every method that adds one gives the names of its outputs."""

    def __init__(self, name: str):
        self.name = name
        self._fields: list[tuple[int, bytes]] = []  # of onnx.GraphProto: nodes, initialisers, inputs, outputs
        self._names = 0
        self.weights: dict[str, np.ndarray] = {}  # initialisers that a session takes as they are

    def constant(self, values: np.ndarray | Sequence[int]) -> str:
        """Weights, in single precision, or whole numbers."""
        name = self._new_name()
        if isinstance(values, np.ndarray):
            self.weights[name] = np.ascontiguousarray(values, np.float32)
        else:
            self._fields.append((5, _tensor(name, np.array(values, np.int64))))
        return name

    def node(self, operator: str, *inputs: str, outputs: int = 1, **attributes: int | float | str | list[int]) -> list:
        """An operator of ONNX; an empty name stands for an input that is left out."""
        names = [self._new_name() for _ in range(outputs)]
        fields: list[tuple[int, str | bytes]] = [(1, name) for name in inputs]
        fields += [(2, name) for name in names] + [(4, operator)]
        fields += [(5, _attribute(name, value)) for name, value in attributes.items()]
        self._fields.append((1, message(*fields)))
        return names

    def __call__(self, operator: str, *inputs: str, **attributes: int | float | str | list[int]) -> str:
        """A node with one output."""
        return self.node(operator, *inputs, outputs=1, **attributes)[0]

    def input(self, name: str, kind: str, *shape: int | str) -> str:
        """kind: numpy's name of the type; shape: sizes, and names for those that are free."""
        self._fields.append((11, _value(name, kind, shape)))
        return name

    def output(self, name: str, source: str, kind: str, *shape: int | str) -> None:
        """Give what a node computes out under a name."""
        self._fields.append((1, message((1, source), (2, name), (4, "Identity"))))
        self._fields.append((12, _value(name, kind, shape)))

    def model(self, metadata: dict[str, str] = {}, inside: bool = True) -> bytes:
        """The content of an .onnx file; inside: with the weights, which a session may also get beside it."""
        weights = [(5, _tensor(name, weight, inside)) for name, weight in self.weights.items()]
        graph, opset = message(*self._fields, *weights, (2, self.name)), message((1, ""), (2, OPSET))
        notes = [(14, message((1, key), (2, text))) for key, text in metadata.items()]
        return message((1, IR_VERSION), (2, "asr"), (7, graph), (8, opset), *notes)

    def _new_name(self) -> str:
        self._names += 1
        return f"v{self._names}"


def _tensor(name: str, array: np.ndarray, inside: bool = True) -> bytes:
    """An onnx.TensorProto, with its values or with a place for them."""
    elsewhere = (13, message((1, "location"), (2, "memory"))), (14, 1)
    values = ((9, array.tobytes()),) if inside else elsewhere
    return message(*((1, size) for size in array.shape), (2, TYPES[array.dtype.name]), (8, name), *values)


def _attribute(name: str, value: int | float | str | list[int]) -> bytes:
    if isinstance(value, list):
        return message((1, name), *((8, item) for item in value), (20, 7))
    number, kind = {int: (3, 2), float: (2, 1), str: (4, 3)}[type(value)]
    return message((1, name), (number, value), (20, kind))


def _value(name: str, kind: str, shape: Sequence[int | str]) -> bytes:
    """An onnx.ValueInfoProto: a tensor's name, type and shape."""
    dims = [(1, message((1 if isinstance(size, int) else 2, size))) for size in shape]
    return message((1, name), (2, message((1, message((1, TYPES[kind]), (2, message(*dims)))))))


def subsampling(options: ModelOptions, weights: Weights) -> Graph:
    """frames (B, T, n_mels) -> hidden (B, T', D), T at least asr.model.checkpoint.RECEPTIVE_FIELD."""
    g, n_mels = Graph("subsampling"), options.frontend.n_mels
    x = g("Sub", g.input("frames", "float32", "batch", "time", n_mels), g.constant(weights["mean"]))
    x = g("Unsqueeze", g("Div", x, g.constant(weights["deviation"])), g.constant([1]))
    strides, dilation = options.subsampling
    for name, stride, dilated in zip(("first", "second"), strides, (1, dilation)):
        kernel, bias = (g.constant(weights[f"encoder.subsampling.{name}.{part}"]) for part in ("weight", "bias"))
        x = g("Relu", g("Conv", x, kernel, bias, strides=[stride, 2], dilations=[dilated, 1]))
    project = weights["encoder.subsampling.project.weight"]  # (D, C bands)
    x = g("Reshape", g("Transpose", x, perm=[0, 2, 1, 3]), g.constant([0, 0, project.shape[1]]))
    x = g("Add", g("MatMul", x, g.constant(project.T)), g.constant(weights["encoder.subsampling.project.bias"]))
    g.output("hidden", x, "float32", "batch", "steps", options.hidden)
    return g


def layers(options: ModelOptions, weights: Weights) -> Graph:
    """chunks (B, n, Nc, D) and what lies ahead of each (B, n, Nr, D), Nr at least 1; valid (B, n), how many frames of
    both are audio; states (layers, B, H), of LSTM cells (2 layers, B, H): each layer's output and cell.

    -> log-probabilities (B, n, Nc + Nr, ...) of letters and, if there is the head, phonemes; new states. LSTM cells
    take one window at a time, n = 1, as ONNX gives out no cells but the last.
    """
    stack = _Stack(options, weights)
    g = stack.graph
    g.output("letters", stack.head("head", options.read[0]), "float32", "streams", "windows", "frames", "letter")
    if options.phonemes:
        of_phonemes = stack.head("phoneme_head", options.read[1])
        g.output("phonemes", of_phonemes, "float32", "streams", "windows", "frames", "phoneme")
    states = g("Concat", *stack.states, axis=0)
    g.output("new_states", states, "float32", len(stack.states), "streams", options.hidden)
    return g


class _Stack:
    """The recurrent layers while their graph is built."""

    def __init__(self, options: ModelOptions, weights: Weights):
        self.graph, self.options, self.weights = Graph("layers"), options, weights
        self.states: list[str] = []  # after the last chunk, (1, B, H) each
        self.hidden: list[str] = []  # the output of every layer (W, n B, 2H)
        self._inputs()
        x = self._time_first(self.graph("Concat", "chunks", "ahead", axis=2), options.hidden)
        for number in range(options.layers):
            x = self._layer(number, x, options.hidden * (2 if number else 1))
            self.hidden.append(x)

    def _inputs(self) -> None:
        g, size = self.graph, self.options.hidden
        g.input("chunks", "float32", "streams", "windows", "chunk", size)
        g.input("ahead", "float32", "streams", "windows", "look_ahead", size)
        g.input("valid", "int32", "streams", "windows")
        states = g.input("states", "float32", self.options.layers * self._parts, "streams", size)
        self._given = g.node("Split", states, outputs=self.options.layers * self._parts, axis=0)
        shape = g("Shape", "chunks")
        self._streams, self._windows, self._chunk = (g("Gather", shape, g.constant([i])) for i in range(3))
        self._lengths = g("Reshape", g("Transpose", "valid", perm=[1, 0]), g.constant([-1]))  # (n B,)

    @property
    def _parts(self) -> int:
        """Arrays in a layer's state."""
        return 1 if self.options.kind == "gru" else 2

    def _shape(self, *sizes: str | int) -> str:
        g = self.graph
        return g("Concat", *(g.constant([s]) if isinstance(s, int) else s for s in sizes), axis=0)

    def _time_first(self, x: str, size: int) -> str:
        """(B, n, W, D) -> (W, n B, D)"""
        flat = self.graph("Transpose", x, perm=[2, 1, 0, 3])
        return self.graph("Reshape", flat, self._shape(-1, self.graph("Mul", self._windows, self._streams), size))

    def _layer(self, number: int, x: str, size: int) -> str:
        """(W, n B, D) -> (W, n B, 2H); see asr.model.network.recurrent.LatencyControlled."""
        g, name = self.graph, f"encoder.layers.{number}"
        kind, hidden = self.options.kind, self.options.hidden
        cell = recurrent(g, self.weights, f"{name}.forwards", kind, hidden)
        backwards = recurrent(g, self.weights, f"{name}.backwards", kind, hidden, "reverse")
        zero = g.constant([0])
        y, ends = self._chunks(cell, g("Slice", x, zero, self._chunk, zero), number, size)
        ahead = cell(g("Slice", x, self._chunk, g.constant([2**31]), zero), "", *ends)[0]
        forwards = g("Concat", y, g("Squeeze", ahead, g.constant([1])), axis=0)
        back = g("Squeeze", backwards(x, self._lengths)[0], g.constant([1]))
        both = g("Concat", forwards, back, axis=2)
        scale, shift = (g.constant(self.weights[f"encoder.norms.{number}.{part}"]) for part in ("weight", "bias"))
        return g("LayerNormalization", both, scale, shift, axis=-1, epsilon=EPSILON)

    def _chunks(self, cell: Callable[..., list[str]], x: str, number: int, size: int) -> tuple[str, list[str]]:
        """(Nc, n B, D) -> the forward layer's y (Nc, n B, H), and its state after each chunk, (1, n B, H) each."""
        g, hidden, parts = self.graph, self.options.hidden, self._parts
        x = g("Reshape", x, self._shape(self._chunk, self._windows, self._streams, size))
        x = g("Reshape", g("Transpose", x, perm=[1, 0, 2, 3]), self._shape(-1, self._streams, size))
        y, *state = cell(x, "", *self._given[number * parts : (number + 1) * parts])  # y (n Nc, 1, B, H)
        self.states += state
        y = g("Reshape", y, self._shape(self._windows, self._chunk, self._streams, hidden))
        if parts == 1:  # the state of a GRU is its output
            state = [g("Reshape", g("Gather", y, g.constant([-1]), axis=1), g.constant([1, -1, hidden]))]
        y = g("Transpose", y, perm=[1, 0, 2, 3])
        return g("Reshape", y, self._shape(self._chunk, -1, hidden)), state

    def head(self, name: str, layers: tuple[int, ...]) -> str:
        """The outputs of some layers -> log-probabilities (B, n, W, V)."""
        g = self.graph
        x = g("Concat", *(self.hidden[i] for i in layers), axis=2)
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        y = g("LogSoftmax", g("Add", g("MatMul", x, g.constant(weight.T)), g.constant(bias)), axis=-1)
        y = g("Reshape", y, self._shape(-1, self._windows, self._streams, len(bias)))
        return g("Transpose", y, perm=[2, 1, 0, 3])


def recurrent(
    graph: Graph, weights: Weights, name: str, kind: str, hidden: int, direction: str = "forward"
) -> Callable[..., list[str]]:
    """-> what adds a one-way layer over x (T, N, D), lengths (N,) or "", an initial state (1, N, H) or two.

    Its outputs: y (T, 1, N, H), the new state. The weights are named as those of asr.model.network.recurrent.
    """
    arrays = [_gates(array, kind, hidden) for array in (_peephole if kind == "peephole" else _plain)(weights, name)]
    constants = [graph.constant(array[None]) for array in (*arrays[:2], np.concatenate(arrays[2:]))]
    peepholes = [graph.constant(weights[f"{name}.peephole"][[0, 2, 1]].reshape(1, -1))] if kind == "peephole" else []

    def add(x: str, lengths: str = "", *state: str) -> list[str]:
        given = [x, *constants, lengths, *state]
        if kind == "gru":
            sizes = {"hidden_size": hidden, "linear_before_reset": 1}
            return graph.node("GRU", *given, outputs=2, direction=direction, **sizes)
        given += [""] * (7 - len(given)) + peepholes if peepholes else []
        return graph.node("LSTM", *given, outputs=3, hidden_size=hidden, direction=direction)

    return add


def _plain(weights: Weights, name: str) -> list[np.ndarray]:
    """Input weights (gates H, D), recurrent weights (gates H, H), their biases (gates H,), as torch has them."""
    return [weights[f"{name}.{part}_l0"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]


def _peephole(weights: Weights, name: str) -> list[np.ndarray]:
    bias = weights[f"{name}.input.bias"]
    return [weights[f"{name}.input.weight"], weights[f"{name}.hidden.weight"], bias, np.zeros_like(bias)]


def _gates(array: np.ndarray, kind: str, hidden: int) -> np.ndarray:
    """Rows of all gates, in ONNX's order."""
    return np.concatenate([array[i * hidden : (i + 1) * hidden] for i in GATES[kind]])
