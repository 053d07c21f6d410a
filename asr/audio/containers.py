"""What the bytes of a file tell: where its recordings lie, and whether it promises more than it holds.

Nearly all files hold one recording; several where files were joined end to end. Most decoders stop at the end of the
first, trust the length in a WAV header even where a program that writes into a pipe could not know it, and take what is
there for all of it.
"""

from __future__ import annotations

import io
import mmap
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

RIFF, EBML, SEGMENT = b"RIFF", b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_UNKNOWN_SIZES = 0, 0x80000000  # beside those from 0x7fff0000 and 0xffff0000 on: "until the end"
_XING_OFFSETS = 36, 21, 13, 38, 23, 15  # bytes from the start of an mp3 frame to its Xing header, by its kind
SLACK = 64  # bytes a header may be wrong by before the file counts as cut off
_OPEN = 0x7FFF0000  # bits of a size that means "until the end": a little under 2 or 4 GB
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")  # begins the object that has the file's size
_OGG_END = 4  # the bit that marks the last page of a stream

_WITH_BIT_3 = b"".join(re.escape(bytes([value])) for value in range(256) if value & 8)
_BEGINNINGS = [  # of files of one kind each, long enough that sound does not hold them by chance
    re.compile(beginning, re.DOTALL)
    for beginning in (
        rb"fLaC\0\0\0\x22",
        rb"FORM.{4}AIF[FC]",
        rb"caff\0\x01\0\0desc",
        rb"\.snd\0\0.{6}\0\0\0[\x01-\x1b]\0",
        rb"RF64\xff{4}WAVE",
        rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\0\xaa\0\x62\xce\x6c",  # wma, wmv
        rb"wvpk.{4}[\x02-\x10]\x04.{2}[^\xff].{3}\0{4}.{4}.[" + _WITH_BIT_3 + rb"]",  # the first block: number 0
        rb"TTA1[\x01\x02]\0.\0[\x08\x10\x18]\0",
        rb"FLV\x01[\x01\x04\x05]\0\0\0\x09",
        rb"Creative Voice File\x1a",
        rb"#!AMR(-WB)?\n",
    )
]


@dataclass(frozen=True)
class Part:
    """One recording: bytes [start, end) of the file, behind a header that replaces a missing or wrong one."""

    start: int
    end: int
    header: bytes = b""


def parts(file: IO[bytes]) -> list[Part]:
    """The recordings in a seekable file, in order; a file of unknown kind is one recording."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    whole = [Part(0, size)]
    with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
        if data[:4] == RIFF and data[8:12] == b"WAVE":
            return list(_wav(data, size)) or whole
        if data[:4] == b"OggS":
            starts = list(_ogg(data, size))
        elif data[:4] == EBML:
            starts = list(_matroska(data, size))
        elif data[4:8] == b"ftyp":
            starts = list(_mp4(data, size))
        elif data[:3] == b"ID3" or data[:1] == b"\xff":
            starts = [0, *list(_mp3(data))[1:]]
        elif beginning := next((b for b in _BEGINNINGS if b.match(data)), None):
            starts = [found.start() for found in beginning.finditer(data)]
        else:
            return whole
    return [Part(a, b) for a, b in zip(starts, [*starts[1:], size])]


class PartFile(io.RawIOBase):
    """A part of a file as a file of its own, for libsndfile."""

    def __init__(self, file: IO[bytes], part: Part):
        self._file, self._part, self._at = file, part, 0
        self.size = len(part.header) + part.end - part.start

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self.size)[whence]
        return self._at

    def readinto(self, buffer) -> int:
        header = self._part.header[self._at : self._at + len(buffer)]
        if header:
            data = header
        else:
            self._file.seek(self._part.start + self._at - len(self._part.header))
            data = self._file.read(min(len(buffer), max(0, self.size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _ogg(data: mmap.mmap, size: int) -> Iterator[int]:
    """Pages that begin a stream and do not follow another such page: RFC 3533."""
    at, began = 0, False
    while 0 <= at < size - 27:
        begins = bool(data[at + 5] & 2)
        if begins and not began:
            yield at
        began = begins
        after = at + 27 + data[at + 26]
        at = data.find(b"OggS", after + sum(data[at + 27 : after]))


def _matroska(data: mmap.mmap, size: int) -> Iterator[int]:
    """Each recording is a header and a segment; the segment's size may be unknown (all ones)."""
    at = 0
    while 0 <= at < size and data[at : at + 4] == EBML:
        yield at
        length, used = _ebml_size(data, at + 4)
        at = at + 4 + used + length
        if data[at : at + 4] != SEGMENT:
            return
        length, used = _ebml_size(data, at + 4)
        at = data.find(EBML, at + 4) if length == (1 << 7 * used) - 1 else at + 4 + used + length


def _ebml_size(data: mmap.mmap, at: int) -> tuple[int, int]:
    """-> the size that is written there, and how many bytes it takes: RFC 8794."""
    first = data[at] if at < len(data) else 0
    used = 9 - first.bit_length()
    value = int.from_bytes(data[at : at + used], "big") & ((1 << 7 * used) - 1)
    return value, used


def _mp4(data: mmap.mmap, size: int) -> Iterator[int]:
    """Boxes in a row, also of m4a, mov and 3gp; each recording begins with one that says its type: ISO 14496-12."""
    at = 0
    while at + 16 <= size:
        length, name, long = struct.unpack_from(">I4sQ", data, at)
        if name == b"ftyp":
            yield at
        length = {0: size - at, 1: long}.get(length, length)
        if length < 8:
            return
        at += length


def _mp3(data: mmap.mmap) -> Iterator[int]:
    """Frames with a Xing header: each is the first of a file."""
    for found in re.finditer(b"Xing|Info", data):
        for offset in _XING_OFFSETS:
            frame = found.start() - offset
            if frame >= 0 and data[frame] == 0xFF and data[frame + 1] & 0xE6 == 0xE2:  # the mark of a frame, layer III
                yield frame
                break


def _wav(data: mmap.mmap, size: int) -> Iterator[Part]:
    """Each chunk of samples is a recording; all it needs beside is the chunk that says their format."""
    at, kind, number = 12, b"", 0
    found: list[Part] = []
    while at + 8 <= size:
        name, length = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if name == RIFF:  # another file follows
            at += 12
            continue
        if name == b"fmt ":
            kind = data[at : at + 8 + length]
        elif name == b"data":
            start, number = at + 8, number + 1
            unknown = length & 0x7FFF0000 == 0x7FFF0000 or length in _UNKNOWN_SIZES
            if unknown and not (length == 0 and _is_chunk(data, start, size)):
                length = size - start
                found.append(Part(start, size, _wav_header(kind, length)))
            else:
                found.append(Part(start, min(size, start + length), _wav_header(kind, length)))
        elif not _is_chunk(data, at, size):
            break
        at += 8 + length + length % 2
    if number > 1 or (found and struct.unpack_from("<I", data, found[0].start - 4)[0] != _length(found[0])):
        yield from (part for part in found if part.end > part.start)


def _length(part: Part) -> int:
    """Bytes of samples that the header of a part promises."""
    return struct.unpack_from("<I", part.header, len(part.header) - 4)[0]


def _wav_header(kind: bytes, length: int) -> bytes:
    shown = min(length, 0xFFFFFFFF - 100)
    return RIFF + struct.pack("<I", 4 + len(kind) + 8 + shown) + b"WAVE" + kind + b"data" + struct.pack("<I", shown)


def _is_chunk(data: mmap.mmap, at: int, size: int) -> bool:
    """Does a chunk begin here: four printable letters, and a length that fits into the file?"""
    if at + 8 > size:
        return at == size
    name, length = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
    return all(32 <= c < 127 for c in name) and at + 8 + length <= size + 1


# Is a file's end missing?


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
    beginnings = {b"caff": _caf, b"OggS": _cut_ogg, b"RIFF": _avi, b"Crea": _voc, b"NIST": _sphere}
    return beginnings.get(head[:4], _asf)(file, head, size)


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


def _cut_ogg(file: IO[bytes] | PartFile, head: bytes, size: int) -> bool:
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
