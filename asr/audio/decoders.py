"""Decoders: a mono piece of a file after the other, by libsndfile or by an installed ffmpeg."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from typing import IO

import numpy as np
import soundfile

from asr.audio.features import SAMPLE_RATE
from asr.errors import Error

PIECE = 4_096  # frames decoded at a time: what damage takes with it, at most
UNKNOWN = 2**62  # frames; libsndfile says 2 ** 63 - 1 where the header leaves the length open
_SLACK = 64  # bytes a header may be wrong by before the file counts as cut off
_OPEN = 0x7FFF0000  # bits of a size that means "until the end": a little under 2 or 4 GB
_TAGS = 100_000  # bytes of tags and pictures that may follow the sound


class AudioError(Error):
    """A source gives no usable audio; the message is one sentence for the user."""


class AudioCutOff(AudioError):
    """The audio ends too early; all that could be decoded has been given out before."""


class NonSeekableSoundFile(soundfile.SoundFile):
    """Read from front to back: otherwise soundfile seeks after every read, which is slow, and
    fails at the end of a FLAC stream of unknown length."""

    def seekable(self) -> bool:
        return False


class SoundFileDecoder:
    """Mono pieces of what libsndfile reads; after the last, ``fault`` says why the end came early."""

    def __init__(self, file: IO[bytes]):
        self._file = file
        self._sound = NonSeekableSoundFile(file.fileno(), closefd=False)
        self.rate = self._sound.samplerate
        self.frames = 0  # decoded so far
        self.fault = ""

    def __iter__(self) -> Iterator[np.ndarray]:
        with self._sound as sound:
            weights = np.full(sound.channels, 1 / sound.channels, np.float32)
            try:
                while len(piece := sound.read(PIECE, dtype="float32", always_2d=True)):
                    self.frames += len(piece)
                    yield piece @ weights  # their mean, a hundred times as fast as by mean()
                self.fault = self._early_end(sound)
            except soundfile.LibsndfileError as error:
                self.fault = f"it is damaged ({error.error_string.rstrip('.')})"

    def _early_end(self, sound: soundfile.SoundFile) -> str:
        size = os.fstat(self._file.fileno()).st_size
        left = size - os.lseek(self._file.fileno(), 0, os.SEEK_CUR)
        if sound.format in ("MP3", "OGG") and left > _TAGS:
            return "several recordings are joined in it; split them, or convert it with ffmpeg first"
        if sound.format == "MP3":
            short = self.frames < 0.98 * sound.frames and _mp3_is_counted(self._file)
        else:
            short = self.frames < sound.frames < UNKNOWN or _is_cut(sound.extra_info)
        return "the rest of the file is missing" if short else ""


def _is_cut(log: str) -> bool:
    """Does libsndfile's log of a header tell of bytes that are not there?

    Of wav, aiff, au and their kin it says "data : 320000 (should be 159978)".
    """
    if "Last page lacks an end-of-stream bit" in log:  # Ogg
        return True
    sizes = re.findall(r"(?:data|SSND|Data Size|riff|Riff size) *: (\d+) \(should be (\d+)\)", log)
    return any(int(real) + _SLACK < int(size) and int(size) & _OPEN != _OPEN for size, real in sizes)


def _mp3_is_counted(file: IO[bytes]) -> bool:
    """Does an mp3 carry a Xing header? Without one, its number of frames is a guess."""
    file.seek(0)
    head = file.read(10)
    tag = sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0))) + 10
    file.seek(tag if head.startswith(b"ID3") else 0)
    start = file.read(256)
    return b"Xing" in start or b"Info" in start


class FFmpegDecoder:
    """The same of what an installed ffmpeg reads: video, and containers libsndfile does not know."""

    def __init__(self, path: str, name: str):
        self._path, self._name = path, name
        self.rate = SAMPLE_RATE
        self.frames = 0
        self.fault = ""
        if not shutil.which("ffmpeg"):
            raise AudioError(f"{name} is not audio that soundfile can read; for video install ffmpeg")

    def __iter__(self) -> Iterator[np.ndarray]:
        with tempfile.TemporaryFile() as log, self._start(log) as process:
            assert process.stdout
            while data := process.stdout.read(4 * PIECE):
                piece = np.frombuffer(data[: len(data) // 4 * 4], np.float32)
                self.frames += len(piece)
                yield piece
            status = process.wait()
            log.seek(0)
            self._judge(status, log.read(1 << 20).decode(errors="replace"))

    def _start(self, log: IO[bytes]) -> subprocess.Popen:
        # first_pts and async fill gaps with silence, so that times are those of the picture;
        # "file:" keeps odd names from being options or addresses, and playlists off the network
        command = ["ffmpeg", "-nostdin", "-v", "error", "-i", f"file:{self._path}"]
        command += ["-map", "0:a:0", "-ac", "1"]
        command += ["-af", f"aresample={SAMPLE_RATE}:async=1:first_pts=0", "-f", "f32le", "pipe:1"]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)

    def _judge(self, status: int, log: str) -> None:
        """ffmpeg ends well even if the file does not: only its messages tell."""
        lines = [re.sub(r"^\[.*?\] ", "", line) for line in log.splitlines()] or ["no reason given"]
        if not self.frames:
            reason = lines[0].removeprefix(f"file:{self._path}: ").rstrip(".")
            raise AudioError(f"{self._name} is not audio that soundfile or ffmpeg can read ({reason})")
        if status or any(re.search("partial file|ended prematurely|truncated", line) for line in lines):
            self.fault = "the rest of the file is missing or damaged"


def probed_duration(path: str) -> float | None:
    command = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"]
    command += [f"file:{path}"]
    try:
        return float(subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).stdout)
    except (OSError, ValueError):
        return None
