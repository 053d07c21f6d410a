"""The compact file of an n-gram model, which is mapped: only what is looked up comes into memory.

Its arrays lie in an uncompressed .npz, laid so that they are used where they lie.
"""

from __future__ import annotations

import json
import mmap
import struct
import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from tokenize import TokenError

import numpy as np

from asr.files import atomic_write
from asr.language.ngram import NgramError, NgramModel, pack_levels
from asr.language.packed import EXACT, Level, PackedLevel

ALIGNED = 64  # bytes that every array begins at a multiple of
UNREADABLE = (
    ValueError, KeyError, TypeError, AttributeError, EOFError, struct.error, zipfile.BadZipFile, RuntimeError,
    NotImplementedError, SyntaxError, TokenError,
)  # fmt: skip
_LOCAL_HEADER = 30  # bytes, before the name
_LONGEST_HEAD = 1024  # bytes of an array's own header
FORMAT = "n-gram language model"
VERSION = 2
ARRAYS = {
    "records": np.uint8, "is_node": np.uint8, "ranks": np.uint32, "nodes": np.uint8, "prob_table": np.float32,
    "backoff_table": np.float32,
}  # fmt: skip


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


def save(model: NgramModel, path: Path | str) -> None:
    """Write the compact file, scores above unigrams in 8 bits."""
    exact = any(level.prob_bits == EXACT for level in model.packed[1:])
    levels = pack_levels(model.levels, small=True) if exact else model.packed
    header = {
        "format": FORMAT,
        "version": VERSION,
        "levels": [{"size": x.size, "word_bits": x.word_bits, "start_bits": x.start_bits} for x in levels],
    }
    words = zlib.compress("\n".join(model.words).encode(), 9)
    arrays = {"header": text_array(json.dumps(header).encode()), "words": text_array(words)}
    for n, level in enumerate(levels, start=1):
        arrays |= {f"{name}{n}": getattr(level, name) for name in ARRAYS}
    store(Path(path), arrays)


def load(path: Path | str) -> NgramModel:
    """Map what `save` wrote. Raises NgramError for anything else."""
    try:
        arrays = mapped(path)
        header = json.loads(bytes(arrays["header"]))
        if header["format"] == FORMAT and header["version"] == 1:
            return _version_1(arrays, header["order"])
        if header["format"] != FORMAT or header["version"] != VERSION:
            raise NgramError(
                f"{path} is version {header['version']} of the {header['format']} format; "
                f"this program reads versions up to {VERSION}: train it anew with `asr lm train`"
            )
        words = zlib.decompress(bytes(arrays["words"])).decode().split("\n")
        levels = [_level(arrays, n, about) for n, about in enumerate(header["levels"], start=1)]
        if not levels or levels[0].size != len(words):
            raise ValueError
        return NgramModel(words, levels)
    except FileNotFoundError:
        raise NgramError(f"there is no language model {path}") from None
    except NgramError:
        raise
    except (*UNREADABLE, OSError, zlib.error):
        raise NgramError(f"{path} is damaged or not a language model of this program") from None


def _version_1(arrays: dict[str, np.ndarray], order: int) -> NgramModel:
    """The model of an older file: compressed, the words of a level as steps, its bytes by place value."""
    levels = []
    for n in range(1, order + 1):
        steps = np.ascontiguousarray(arrays[f"word{n}"].T).view(np.uint32)[:, 0]
        first = np.concatenate([[0], np.cumsum(arrays[f"children{n}"], dtype=np.int64)])
        scores = [arrays[f"{name}{n}"] for name in ("log_prob", "backoff")]
        if n > 1:
            scores = [arrays[f"{name}_table{n}"][s] for name, s in zip(("log_prob", "backoff"), scores)]
        levels.append(Level(np.cumsum(steps, dtype=np.uint32), first, *scores))
    return NgramModel(arrays["words"].tobytes().decode().split("\n"), levels)


def _level(arrays: dict[str, np.ndarray], n: int, about: dict[str, int]) -> PackedLevel:
    """Raises ValueError where the arrays are too short for what is said about them."""
    parts = {name: arrays[f"{name}{n}"] for name in ARRAYS}
    if any(parts[name].dtype != kind or parts[name].ndim != 1 for name, kind in ARRAYS.items()):
        raise ValueError
    if any(len(parts[name]) not in (0, 256) for name in ("prob_table", "backoff_table")):
        raise ValueError
    level = PackedLevel(size=about["size"], word_bits=about["word_bits"], start_bits=about["start_bits"], **parts)
    if not level.whole:
        raise ValueError
    return level
