"""N-grams in as few bits as they need, which are looked up where they lie: in memory, or in a mapped file.

Of a mapped file only what is looked up comes into memory. Its arrays lie in an uncompressed .npz, laid so that they are
used where they lie.
"""

from __future__ import annotations

import mmap
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from tokenize import TokenError

import numpy as np

from asr.files import atomic_write

EXACT = 32  # bits of a float32 that is stored as it is
CODE = 5  # bits of the number of a float32 in a table that is made here; others may have up to 8
BLOCK = 64  # n-grams that share an entry of `ranks`
PADDING = 9  # bytes after the last field, so that eight and one more can be read anywhere
ALIGNED = 64  # bytes that every array of a file begins at a multiple of
UNREADABLE = (
    ValueError, KeyError, TypeError, AttributeError, EOFError, struct.error, zipfile.BadZipFile, RuntimeError,
    NotImplementedError, SyntaxError, TokenError,
)  # fmt: skip
_LOCAL_HEADER = 30  # bytes, before the name
_LONGEST_HEAD = 1024  # bytes of an array's own header


@dataclass(frozen=True)
class Level:
    """All n-grams of one order, those with the same context (the first n - 1 words) side by side.

    An n-gram is known by its place here; as a context of the next level it keeps that number.
    """

    word: np.ndarray  # (N,) the last word of each n-gram, rising within a context
    first: np.ndarray  # (contexts + 1,) where the n-grams of each context begin
    log_prob: np.ndarray  # (N,) float32, ln
    backoff: np.ndarray  # (N,) float32, ln; what a word not seen after this n-gram costs


@dataclass(frozen=True)
class PackedLevel:
    """The same in bits. Most n-grams begin no longer one and have no backoff: only the others, the nodes, store both.

    A record of `word_bits` + `prob_bits` for each n-gram: its last word (none of unigrams: they stand in the order of
    their ids), and ln probability, as float32 or as a number in `prob_table`. A node of `start_bits` + `backoff_bits`:
    where the n-grams that it begins start in the next level, and its backoff likewise; after the last, one more says
    where they end.
    """

    size: int  # n-grams
    records: np.ndarray  # (bytes,) uint8
    is_node: np.ndarray  # (bytes,) uint8, a bit for each n-gram, the lowest first
    ranks: np.ndarray  # (blocks,) uint32: nodes before each block of 64 n-grams
    nodes: np.ndarray  # (bytes,) uint8
    prob_table: np.ndarray  # (2^bits,) float32, or none
    backoff_table: np.ndarray  # (2^bits,) float32, or none
    word_bits: int
    start_bits: int

    @property
    def prob_bits(self) -> int:
        return code_bits(self.prob_table)

    @property
    def backoff_bits(self) -> int:
        return code_bits(self.backoff_table)

    @cached_property
    def _record_bits(self) -> int:
        return self.word_bits + self.prob_bits

    @cached_property
    def _bytes(self) -> tuple[memoryview, memoryview, memoryview]:
        return self.records.data, self.is_node.data, self.nodes.data

    @cached_property
    def node_count(self) -> int:
        return 8 * (len(self.nodes) - PADDING) // (self.start_bits + self.backoff_bits) - 1

    @property
    def whole(self) -> bool:
        """Whether the arrays are as long as they must be."""
        bits = 8 * (len(self.records) - PADDING)
        return (
            min(self.size, self.word_bits, self.start_bits - 1) >= 0
            and bits >= self.size * self._record_bits
            and len(self.is_node) % (BLOCK // 8) == 0
            and BLOCK * len(self.ranks) >= self.size
            and 8 * len(self.is_node) >= BLOCK * len(self.ranks)
            and self.node_count >= 0
        )

    def word(self, place: int) -> int:
        """The last word of an n-gram."""
        return _field(self._bytes[0], place * self._record_bits, self.word_bits) if self.word_bits else place

    def log_prob(self, place: int) -> float:
        at = place * self._record_bits + self.word_bits
        return _value(_field(self._bytes[0], at, self.prob_bits), self.prob_table)

    def node(self, place: int) -> int:
        """Which of the nodes an n-gram is; -1: none."""
        bits = self._bytes[1]
        if not bits[place >> 3] >> (place & 7) & 1:
            return -1
        start = place // BLOCK * BLOCK // 8
        before = int.from_bytes(bits[start : start + BLOCK // 8], "little") & ((1 << place % BLOCK) - 1)
        return int(self.ranks[place // BLOCK]) + before.bit_count()

    def backoff(self, place: int) -> float:
        node = self.node(place)
        if node < 0:
            return 0.0
        at = node * (self.start_bits + self.backoff_bits) + self.start_bits
        return _value(_field(self._bytes[2], at, self.backoff_bits), self.backoff_table)

    def children(self, place: int) -> tuple[int, int]:
        """Where the n-grams of the next level that begin with this one start and end."""
        node = self.node(place)
        if node < 0:
            return 0, 0
        bits = self.start_bits + self.backoff_bits
        return tuple(_field(self._bytes[2], at * bits, self.start_bits) for at in (node, node + 1))  # type: ignore

    def unpacked(self, below: PackedLevel | None) -> Level:
        """All as plain arrays. below: the level before this one, None before the first."""
        fields = unpack(self.records, self.size, self._record_bits)
        words = fields & np.uint64((1 << self.word_bits) - 1) if self.word_bits else np.arange(self.size)
        log_prob = _values(fields >> np.uint64(self.word_bits), self.prob_table)
        backoff = np.zeros(self.size, np.float32)
        node_places = self._node_places()
        _, codes = self._node_fields()
        backoff[node_places] = _values(codes[:-1], self.backoff_table)
        first = np.array([0, self.size], np.int64) if below is None else below.starts(self.size)
        return Level(words.astype(np.uint32), first, log_prob, backoff)

    def starts(self, above: int) -> np.ndarray:
        """(size + 1,) where each n-gram's continuations begin among the `above` of the next level."""
        starts, _ = self._node_fields()
        first = np.full(self.size + 1, above, np.int64)
        rank = np.searchsorted(self._node_places(), np.arange(self.size))  # the next node, from each n-gram on
        first[:-1] = starts[rank]
        return first

    def _node_places(self) -> np.ndarray:
        return np.flatnonzero(np.unpackbits(self.is_node, count=self.size, bitorder="little"))

    def _node_fields(self) -> tuple[np.ndarray, np.ndarray]:
        fields = unpack(self.nodes, self.node_count + 1, self.start_bits + self.backoff_bits)
        return (fields & np.uint64((1 << self.start_bits) - 1)).astype(np.int64), fields >> np.uint64(self.start_bits)


def packed(level: Level, first_above: np.ndarray | None, ids: int | None, small: bool) -> PackedLevel:
    """A level in bits. first_above: `first` of the next level, None after the last; ids: in the vocabulary, None for
    unigrams, which list all of it; small: scores in CODE bits instead of 32.
    """
    size = len(level.word)
    starts = np.zeros(size + 1, np.int64) if first_above is None else np.asarray(first_above, np.int64)
    is_node = (np.diff(starts) > 0) | (level.backoff != 0)
    word_bits = 0 if ids is None else max(1, int(ids - 1).bit_length())
    start_bits, score_bits = max(1, int(starts[-1]).bit_length()), CODE if small else EXACT
    probs, prob_table = _codes(level.log_prob, small)
    backoffs, backoff_table = _codes(level.backoff[is_node], small)
    words = np.zeros(size, np.uint64) if ids is None else level.word.astype(np.uint64)
    node_starts = np.append(starts[:-1][is_node], starts[-1]).astype(np.uint64)
    bits = np.packbits(is_node, bitorder="little")
    bits = np.append(bits, np.zeros(-len(bits) % (BLOCK // 8), np.uint8))
    nodes = np.bitwise_count(bits).reshape(-1, BLOCK // 8).sum(1, dtype=np.uint32)  # of each block
    return PackedLevel(
        size,
        pack(words | probs << np.uint64(word_bits), word_bits + score_bits),
        bits,
        np.cumsum(nodes, dtype=np.uint32) - nodes,
        pack(node_starts | np.append(backoffs, 0).astype(np.uint64) << np.uint64(start_bits), start_bits + score_bits),
        prob_table, backoff_table, word_bits, start_bits,
    )  # fmt: skip


def code_bits(table: np.ndarray) -> int:
    """Of the number of a value in the table; without one values are stored as they are."""
    return len(table).bit_length() - 1 if len(table) else EXACT


def pack(values: np.ndarray, bits: int) -> np.ndarray:
    """(bytes,) uint8: values (N,) uint64 below 2^bits one after the other, the lowest bit first; then PADDING."""
    rows = -(-len(values) // 8)
    columns = np.zeros((rows, 8), np.uint64)
    columns.reshape(-1)[: len(values)] = values
    out = np.zeros((rows, bits + 1), np.uint8)  # eight values fill `bits` bytes; one more for what reaches over
    for k in range(8):
        at, shift = divmod(k * bits, 8)
        for j in range((shift + bits + 7) // 8):
            by = 8 * j - shift
            part = columns[:, k] >> np.uint64(by) if by >= 0 else columns[:, k] << np.uint64(-by)
            out[:, at + j] |= (part & np.uint64(255)).astype(np.uint8)
    length = -(-len(values) * bits // 8)
    return np.append(out[:, :bits].reshape(-1)[:length], np.zeros(PADDING, np.uint8))


def unpack(data: np.ndarray, count: int, bits: int) -> np.ndarray:
    """(count,) uint64: what `pack` was given."""
    rows = -(-count // 8)
    table = np.zeros((rows, bits), np.uint8)
    length = min(len(data), rows * bits)
    table.reshape(-1)[:length] = data[:length]
    out = np.zeros((rows, 8), np.uint64)
    for k in range(8):
        at, shift = divmod(k * bits, 8)
        for j in range((shift + bits + 7) // 8):
            by, part = 8 * j - shift, table[:, at + j].astype(np.uint64)
            out[:, k] |= part << np.uint64(by) if by >= 0 else part >> np.uint64(-by)
    return out.reshape(-1)[:count] & np.uint64((1 << bits) - 1)


def _field(data: memoryview, at: int, bits: int) -> int:
    start = at >> 3
    return int.from_bytes(data[start : start + PADDING], "little") >> (at & 7) & ((1 << bits) - 1)


def _value(code: int, table: np.ndarray) -> float:
    return float(table[code]) if len(table) else float(np.uint32(code).view(np.float32))


def _values(codes: np.ndarray, table: np.ndarray) -> np.ndarray:
    return table[codes] if len(table) else codes.astype(np.uint32).view(np.float32)


def _codes(values: np.ndarray, small: bool) -> tuple[np.ndarray, np.ndarray]:
    """Codes (N,) uint64 of float32 values, and the table that they are numbers in."""
    if not small:
        return values.astype(np.float32).view(np.uint32).astype(np.uint64), np.zeros(0, np.float32)
    codes, table = quantise(values)
    return codes.astype(np.uint64), table


def quantise(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes (N,) and their values (2^CODE,): means of equally filled bins; code 0 stands for exactly 0."""
    ranked = np.sort(values[values != 0.0])
    bins = np.array_split(ranked, (1 << CODE) - 1)
    means = np.array([b.mean(dtype=np.float64) for b in bins if len(b)], np.float32)
    codes = 1 + np.searchsorted((means[1:] + means[:-1]) / 2, values)
    table = np.zeros(1 << CODE, np.float32)
    table[1 : len(means) + 1] = means
    return np.where(values == 0.0, 0, codes).astype(np.uint8), table


def store(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the file; np.load reads it as well."""
    with atomic_write(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as file:
        for name, array in arrays.items():
            _store(file, f"{name}.npy", np.ascontiguousarray(array))


def _store(file: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    """The gap before the aligned data is an extra field, which readers of zip files skip."""
    npy = BytesIO()
    np.lib.format.write_array(npy, array, version=(1, 0))
    assert file.fp
    before = file.fp.tell() + _LOCAL_HEADER + len(name) + 4 + npy.tell() - array.nbytes
    gap = -before % ALIGNED
    info = zipfile.ZipInfo(name)
    info.extra = struct.pack("<HH", 0xA5A5, gap) + bytes(gap)
    file.writestr(info, npy.getvalue())


def mapped(path: Path | str) -> dict[str, np.ndarray]:
    """The arrays by name. Raises OSError, or one of UNREADABLE for what is no such file."""
    with open(path, "rb") as file, zipfile.ZipFile(file) as archive:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return {x.filename.removesuffix(".npy"): _array(archive, x, data) for x in archive.infolist()}


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, data: memoryview) -> np.ndarray:
    if info.compress_type != zipfile.ZIP_STORED:  # an older version's, or another program's
        with archive.open(info) as member:
            return np.lib.format.read_array(member)
    name, extra = struct.unpack_from("<HH", data, info.header_offset + _LOCAL_HEADER - 4)
    start = info.header_offset + _LOCAL_HEADER + name + extra
    head = BytesIO(data[start : start + _LONGEST_HEAD])
    np.lib.format.read_magic(head)
    shape, _, kind = np.lib.format.read_array_header_1_0(head)
    return np.frombuffer(data, kind, int(np.prod(shape)), start + head.tell()).reshape(shape)


def text_array(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)
