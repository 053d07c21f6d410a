"""Arrays in an uncompressed .npz, laid so that they are used where they lie: the file is mapped, not read."""

from __future__ import annotations

import mmap
import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from tokenize import TokenError

import numpy as np

from asr.files import atomic_write

ALIGNED = 64  # bytes that every array begins at a multiple of
UNREADABLE = (
    ValueError, KeyError, TypeError, AttributeError, EOFError, struct.error, zipfile.BadZipFile, RuntimeError,
    NotImplementedError, SyntaxError, TokenError,
)  # fmt: skip
_LOCAL_HEADER = 30  # bytes, before the name
_LONGEST_HEAD = 1024  # bytes of an array's own header


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
