"""Where in a file its recordings lie: one for nearly all files, several where files were joined end to end.

Most decoders stop at the end of the first recording, and trust the length in a WAV header even where a program that
writes into a pipe could not know it.
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


def _found(data: mmap.mmap, mark: bytes) -> Iterator[int]:
    at = data.find(mark)
    while at >= 0:
        yield at
        at = data.find(mark, at + 1)


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
    for at in sorted([*_found(data, b"Xing"), *_found(data, b"Info")]):
        for offset in _XING_OFFSETS:
            frame = at - offset
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
