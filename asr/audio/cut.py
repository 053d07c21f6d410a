"""Does a file promise more than it holds? Decoders mostly take what is there for all of it."""

from __future__ import annotations

import io
import re
import struct
from typing import IO

from asr.audio.joined import PartFile

SLACK = 64  # bytes a header may be wrong by before the file counts as cut off
_OPEN = 0x7FFF0000  # bits of a size that means "until the end": a little under 2 or 4 GB
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")  # begins the object that has the file's size
_OGG_END = 4  # the bit that marks the last page of a stream


def is_cut(file: IO[bytes] | PartFile, log: str = "") -> bool:
    """Do the headers of a seekable file tell of bytes that are not there, or is its end missing?

    log: what libsndfile says of them. Of wav, aiff, au and their kin it says "data : 320000 (should be 159978)".
    """
    if "Last page lacks an end-of-stream bit" in log:  # Ogg
        return True
    sizes = re.findall(r"(?:data|SSND|Data Size|riff|Riff size) *: (\d+) \(should be (\d+)\)", log)
    if any(int(real) + SLACK < int(size) and int(size) & _OPEN != _OPEN for size, real in sizes):
        return True
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(1 << 16) or b""
    beginnings = {b"caff": _caf, b"OggS": _ogg, b"RIFF": _avi, b"Crea": _voc, b"NIST": _sphere}
    told = beginnings.get(head[:4], _asf)
    return told(file, head, size)


def _caf(file: IO[bytes] | PartFile, head: bytes, size: int) -> bool:
    at = 8
    while at + 12 <= len(head):
        length = int.from_bytes(head[at + 4 : at + 12], "big", signed=True)
        if head[at : at + 4] == b"data" or length < 0:
            return at + 12 + length > size
        at += 12 + length
    return False


def _asf(file: IO[bytes] | PartFile, head: bytes, size: int) -> bool:
    """wma and wmv."""
    properties = head.find(_ASF_PROPERTIES)
    return properties >= 0 and int.from_bytes(head[properties + 40 : properties + 48], "little") > size


def _ogg(file: IO[bytes] | PartFile, head: bytes, size: int) -> bool:
    """The last page is whole and says that it is the last."""
    file.seek(max(0, size - (1 << 17)))  # a page has 65,307 bytes at most
    tail = file.read(1 << 17) or b""
    page = tail.rfind(b"OggS")
    if page < 0 or page + 27 > len(tail):
        return True
    lengths = tail[page + 27 : page + 27 + tail[page + 26]]
    return not tail[page + 5] & _OGG_END or page + 27 + tail[page + 26] + sum(lengths) > len(tail)


def _avi(file: IO[bytes] | PartFile, head: bytes, size: int) -> bool:
    """One list after the other, of up to 1 GB; 0: its writer could not go back to it."""
    at = 0
    while head[8:11] == b"AVI" and at + 8 <= size:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF" or not length:
            return False
        at += 8 + length + length % 2
    return at > size + SLACK


def _voc(file: IO[bytes] | PartFile, head: bytes, size: int) -> bool:
    """Blocks; the last has the number 0 and nothing else."""
    at = int.from_bytes(head[20:22], "little")
    while at + 4 <= size:
        file.seek(at)
        block = file.read(4)
        if not block[0]:
            return False
        at += 4 + int.from_bytes(block[1:], "little")
    return at > size


def _sphere(file: IO[bytes] | PartFile, head: bytes, size: int) -> bool:
    """NIST's .sph, not compressed: samples of a known number and width behind a header of text."""
    fields = dict(re.findall(rb"^(\w+) -i (\d+)", head[:1024], re.MULTILINE))
    named = [int(fields.get(name, 0)) for name in (b"sample_count", b"sample_n_bytes", b"channel_count")]
    compressed = re.search(rb"^sample_coding .*(embedded|shorten)", head[:1024], re.MULTILINE)
    header = int(head[8:16]) if head[8:16].strip().isdigit() else 0
    return not compressed and header + named[0] * named[1] * (named[2] or 1) > size + SLACK


def is_counted(file: IO[bytes] | PartFile) -> bool:
    """Does an mp3 carry a Xing header? Without one, its number of frames is a guess."""
    file.seek(0)
    head = file.read(10) or b""
    tag = sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0))) + 10
    file.seek(tag if head.startswith(b"ID3") else 0)
    start = file.read(256) or b""
    return b"Xing" in start or b"Info" in start
