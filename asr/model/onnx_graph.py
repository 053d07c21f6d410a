"""ONNX graphs as bytes: the few messages of onnx.proto (version 8 of its format) that layers of a network need.

Writing them takes milliseconds and no package; the onnx package would be 31 MB and a quarter of a second.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

IR_VERSION, OPSET = 8, 17
TYPES = {"float32": 1, "int32": 6, "int64": 7}  # numpy's name of a type: onnx.TensorProto's number


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
