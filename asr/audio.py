"""Any audio file -> 16 kHz mono blocks, in bounded memory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

SAMPLE_RATE = 16_000  # Hz
STDIN = "-"
SUFFIXES = frozenset(  # what a folder is searched for; a file named by the user may be called anything
    ".wav .flac .ogg .oga .opus .mp3 .mp2 .aiff .aif .aifc .au .snd .caf .w64 .rf64 .voc .sph "
    ".m4a .m4b .aac .ac3 .amr .ape .mka .wma .wv "
    ".mp4 .m4v .mov .mkv .webm .avi .wmv .flv .mpg .mpeg .ogv .3gp".split()
)

_PIECE = 4_096  # frames decoded at a time: what damage takes with it, at most
_UNKNOWN = 2**62  # frames; libsndfile says 2 ** 63 - 1 where the header leaves the length open
_LOUDEST = 1e9  # beyond any scale samples are stored in; its power still fits a float32
_SLACK = 64  # bytes a header may be wrong by before the file counts as cut off
_OPEN = 0x7FFF0000  # bits of a size that means "until the end": a little under 2 or 4 GB
_TAGS = 100_000  # bytes of tags and pictures that may follow the sound


class AudioError(Exception):
    """A source gives no usable audio; the message is one sentence for the user."""


class AudioCutOff(AudioError):
    """The audio ends too early; all that could be decoded has been given out before."""


def find(paths: Sequence[str]) -> list[str | AudioError]:
    """Sources in the order given; a folder becomes the audio files below it, sorted.

    What cannot be used becomes an AudioError in its place, so that the rest can go on.
    """
    found: list[str | AudioError] = []
    for path in paths:
        if os.path.isdir(path):
            found += _below(path)
        elif path == STDIN or os.path.exists(path):
            found.append(path)
        else:
            found.append(AudioError(f"{path} does not exist"))
    return found


def _below(folder: str) -> list[str | AudioError]:
    files: list[str] = []
    errors: list[OSError] = []
    for parent, _, names in os.walk(folder, onerror=errors.append):
        # a leading dot marks hidden files and the companions macOS leaves on foreign disks
        shown = [os.path.join(parent, name) for name in names if not name.startswith(".")]
        files += [path for path in shown if os.path.splitext(path)[1].lower() in SUFFIXES]
    unread = [AudioError(f"folder {e.filename} cannot be read: {e.strerror}") for e in errors]
    return sorted(files) + unread or [AudioError(f"folder {folder} holds no audio files")]


def blocks(source: str, seconds: float = 10.0) -> Iterator[np.ndarray]:
    """Yield the audio of a file, or of standard input ("-"), as (n,) float32 at 16 kHz.

    Every block but the last holds ``seconds`` of the mean of the channels. Samples beyond
    full scale stay as they are. Raises AudioError, and AudioCutOff after the last block of
    a file that is shorter than it should be.
    """
    name = "standard input" if source == STDIN else source
    with _opened(source, name) as file:
        decoder = _decoder(file, name)
        pieces = _resampled(_sane(decoder, name), decoder.rate)
        yield from _regrouped(pieces, max(1, round(seconds * SAMPLE_RATE)))
    if not decoder.frames:
        raise AudioError(f"{name} holds no audio" + (f": {decoder.fault}" if decoder.fault else ""))
    if decoder.fault:
        heard = decoder.frames / decoder.rate
        raise AudioCutOff(f"{name} could be read for {heard:.1f} s only: {decoder.fault}")


def load(source: str) -> np.ndarray:
    """All of ``blocks(source)`` as one (n,) float32 array."""
    return np.concatenate([np.zeros(0, np.float32), *blocks(source)])


def duration(source: str) -> float | None:
    """Seconds of audio by the file's header; None where that takes decoding, or fails."""
    if not os.path.isfile(source):  # reading from a pipe would take its audio away
        return None
    try:
        with open(source, "rb") as file, _Straight(file.fileno(), closefd=False) as sound:
            return sound.frames / sound.samplerate if sound.frames < _UNKNOWN else None
    except (OSError, soundfile.LibsndfileError):
        return _probed(source)


def _opened(source: str, name: str) -> BinaryIO:
    """The source, open and seekable: what comes through a pipe is first copied to disk."""
    try:
        if source == STDIN:
            return _spooled(sys.stdin.buffer)
        file = open(source, "rb")
        if file.seekable():
            return file
        with file:
            return _spooled(file)
    except OSError as error:
        raise AudioError(f"{name} cannot be read: {error.strerror}") from error


def _spooled(pipe: BinaryIO) -> BinaryIO:
    copy = tempfile.NamedTemporaryFile(prefix="asr-")
    shutil.copyfileobj(pipe, copy)
    copy.seek(0)
    return copy


def _decoder(file: BinaryIO, name: str) -> _SoundFile | _FFmpeg:
    if not os.fstat(file.fileno()).st_size:
        raise AudioError(f"{name} is empty")
    try:
        decoder = _SoundFile(file)
    except soundfile.LibsndfileError:
        decoder = _FFmpeg(file.name, name)
    if not 1_000 <= decoder.rate <= 1_000_000:
        raise AudioError(f"{name} claims a sample rate of {decoder.rate} Hz: its header is damaged")
    return decoder


def _sane(pieces: Iterable[np.ndarray], name: str) -> Iterator[np.ndarray]:
    for piece in pieces:
        if not np.abs(piece).max(initial=0) < _LOUDEST:  # also true of NaN
            raise AudioError(f"{name} holds samples that are NaN, infinite or absurdly large")
        yield piece


def _resampled(pieces: Iterable[np.ndarray], rate: int) -> Iterator[np.ndarray]:
    resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
    for piece in pieces:
        yield resampler.resample_chunk(piece)
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _regrouped(pieces: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """The same samples in arrays of ``size``; the last one may be shorter."""
    held, count = [], 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        if count >= size:
            samples, count = np.concatenate(held), count % size
            whole = len(samples) - count
            yield from samples[:whole].reshape(-1, size)
            held = [samples[whole:]]
    if count:
        yield np.concatenate(held)


class _Straight(soundfile.SoundFile):
    """Read from front to back: otherwise soundfile seeks after every read, which is slow, and
    fails at the end of a FLAC stream of unknown length."""

    def seekable(self) -> bool:
        return False


class _SoundFile:
    """Mono pieces of what libsndfile reads; after the last, ``fault`` says why the end came early."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._sound = _Straight(file.fileno(), closefd=False)
        self.rate = self._sound.samplerate
        self.frames = 0  # decoded so far
        self.fault = ""

    def __iter__(self) -> Iterator[np.ndarray]:
        with self._sound as sound:
            weights = np.full(sound.channels, 1 / sound.channels, np.float32)
            try:
                while len(piece := sound.read(_PIECE, dtype="float32", always_2d=True)):
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
            short = self.frames < sound.frames < _UNKNOWN or _is_cut(sound.extra_info)
        return "the rest of the file is missing" if short else ""


def _is_cut(log: str) -> bool:
    """Does libsndfile's log of a header tell of bytes that are not there?

    Of wav, aiff, au and their kin it says "data : 320000 (should be 159978)".
    """
    if "Last page lacks an end-of-stream bit" in log:  # Ogg
        return True
    sizes = re.findall(r"(?:data|SSND|Data Size|riff|Riff size) *: (\d+) \(should be (\d+)\)", log)
    return any(int(real) + _SLACK < int(size) and int(size) & _OPEN != _OPEN for size, real in sizes)


def _mp3_is_counted(file: BinaryIO) -> bool:
    """Does an mp3 carry a Xing header? Without one, its number of frames is a guess."""
    file.seek(0)
    head = file.read(10)
    tag = sum(byte << shift for byte, shift in zip(head[6:], (21, 14, 7, 0))) + 10
    file.seek(tag if head.startswith(b"ID3") else 0)
    start = file.read(256)
    return b"Xing" in start or b"Info" in start


class _FFmpeg:
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
            while data := process.stdout.read(4 * _PIECE):
                piece = np.frombuffer(data[: len(data) // 4 * 4], np.float32)
                self.frames += len(piece)
                yield piece
            status = process.wait()
            log.seek(0)
            self._judge(status, log.read(1 << 20).decode(errors="replace"))

    def _start(self, log: BinaryIO) -> subprocess.Popen:
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


def _probed(path: str) -> float | None:
    command = ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"]
    command += [f"file:{path}"]
    try:
        return float(subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL).stdout)
    except (OSError, ValueError):
        return None
