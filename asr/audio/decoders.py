"""Decoders: one mono piece of a recording after the other, by libsndfile, by an installed ffmpeg, or of raw samples."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
import soundfile

from asr.audio.containers import PartFile, is_counted, is_cut
from asr.audio.features import SAMPLE_RATE, AudioError, clean_samples
from asr.audio.quiet import quiet_codecs

PIECE = 4_096  # frames decoded at a time: what damage takes with it, at most
PIECES = 16  # that are decoded while libraries are kept quiet once
UNKNOWN = 2**62  # frames; libsndfile says 2 ** 63 - 1 where the header leaves the length open
CANCELLED = 0.1  # channels cancel where their mean has less of the power than unlike channels would leave
SILENT = 1e-4  # a track that never gets louder is taken for silent; -80 dBFS
EARLY_S = 0.3  # seconds that may be missing at the end of what ffmpeg reads; also 2 % of it
# all that ffmpeg reads of a stranger's file: in others, such as playlists, a file can name other files and addresses
_CONTAINERS = "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dts,dv,eac3,flac,flv,loas,matroska,mov,mp3,mpc,mpc8,mpeg,mpegts"
_CONTAINERS += ",mxf,nut,ogg,rm,shn,tak,truehd,tta,voc,w64,wav,wtv,wv"
_STRANGER = "-protocol_whitelist", "file", "-format_whitelist", _CONTAINERS
# -timelimit: s of the processor after which it gives up on a file that was made to hang it; sound of days takes less
_FFMPEG = "ffmpeg", "-nostdin", "-v", "error", "-timelimit", "1800"
_BUFFERED = 2_000  # bytes of a file that libsndfile leaves unread at its end: tags
_TAGS = 100_000  # bytes of tags and pictures that may follow the sound
_ESTIMATED = {"aac", "ac3", "eac3", "mp3", "amr", "mpeg", "mpegts", "dts", "latm", "loas"}  # lengths ffmpeg guesses
CUT = "the rest of the file is missing"


class AudioCutOff(AudioError):
    """The audio is damaged or ends too early; all that could be decoded has been given out before."""


@dataclass(frozen=True)
class Wanted:
    """Which of the channels and of the sound tracks of a file, counted from 1. None: all channels; the first track
    that is not silent."""

    channel: int | None = None
    track: int | None = None
    from_stranger: bool = False  # the file may be made to do harm


class Mixer:
    """Channels to one, so that they never cancel each other out; samples that are no numbers become silence."""

    def __init__(self, channel: int | None, name: str = ""):
        """name: of the source, for errors."""
        self._channel, self._name = channel, name
        self._instead: int | None = None  # the channel that is heard where the channels cancel
        self.cancelled = False
        self.bad = 0  # samples that were no sound

    def __call__(self, piece: np.ndarray) -> np.ndarray:
        """piece (n, channels) -> (n,) float32: the mean, or the channel that is wanted. Raises AudioError."""
        channels = piece.shape[1]
        piece, bad = clean_samples(piece)
        self.bad += bad
        if self._channel is not None:
            if self._channel > channels:
                raise AudioError(f"{self._name} has no channel {self._channel}, only {channels}: choose one of these")
            return piece[:, self._channel - 1]
        if channels == 1:
            return piece[:, 0]
        mean = piece @ np.full(channels, 1 / channels, np.float32)
        powers = np.einsum("nc,nc->c", piece, piece, dtype=np.float64)
        if powers.max() < 1e-9 * len(piece) or mean @ mean >= CANCELLED * powers.sum() / channels**2:
            return mean
        self.cancelled = True
        if self._instead is None or powers[self._instead] < CANCELLED * powers.max():
            self._instead = int(powers.argmax())
        return piece[:, self._instead]


class NonSeekableSoundFile(soundfile.SoundFile):
    """Read from front to back: otherwise soundfile seeks after every read, which is slow, and
    fails at the end of a FLAC stream of unknown length."""

    def seekable(self) -> bool:
        return False


class SoundFileDecoder:
    """Mono pieces of what libsndfile reads; after the last, ``fault`` says why the end came early."""

    def __init__(self, file: IO[bytes] | PartFile, mixer: Mixer):
        self._file, self._mixer = file, mixer
        handle = file if isinstance(file, PartFile) else file.fileno()
        with quiet_codecs():
            self._sound = NonSeekableSoundFile(handle, closefd=False)
        self.rate = self._sound.samplerate
        self.frames = 0  # decoded so far
        self.fault = ""
        self.gave_up = False  # at damage, with most of a file of this kind still to come

    def __iter__(self) -> Iterator[np.ndarray]:
        with self._sound as sound:
            try:
                error = None
                while not error:
                    pieces, error = self._read(sound)
                    for piece in pieces:
                        self.frames += len(piece)
                        yield self._mixer(piece)
                    if len(pieces) < PIECES:
                        break
                if error:
                    raise error
                left = self._left()
                self.fault = self._early_end(sound)
            except soundfile.LibsndfileError as error:
                left = self._left()
                self.fault = f"it is damaged ({error.error_string.rstrip('.')})"
            self.gave_up = bool(self.fault) and sound.format in ("MP3", "FLAC") and left > _BUFFERED
            self.fault = "it is damaged" if self.gave_up else self.fault

    def _read(self, sound: soundfile.SoundFile) -> tuple[list[np.ndarray], soundfile.LibsndfileError | None]:
        """The next pieces, fewer than PIECES at the end, and what went wrong after them."""
        pieces: list[np.ndarray] = []
        with quiet_codecs():
            try:
                while len(pieces) < PIECES and len(piece := sound.read(PIECE, dtype="float32", always_2d=True)):
                    pieces.append(piece)
            except soundfile.LibsndfileError as error:
                return pieces, error
        return pieces, None

    def _early_end(self, sound: soundfile.SoundFile) -> str:
        if sound.format in ("MP3", "OGG") and self._left() > _TAGS:
            return "several recordings are joined in it; split them, or convert it with ffmpeg first"
        if sound.format == "MP3":
            short = self.frames < 0.98 * sound.frames and is_counted(self._file)
        else:
            short = self.frames < sound.frames < UNKNOWN or is_cut(self._file, sound.extra_info)
        return CUT if short else ""

    def _left(self) -> int:
        """Bytes behind what has been decoded."""
        if isinstance(self._file, PartFile):
            return self._file.size - self._file.tell()
        return os.fstat(self._file.fileno()).st_size - os.lseek(self._file.fileno(), 0, os.SEEK_CUR)


class RawDecoder:
    """Samples without a header, little-endian: 8 bits unsigned; 16, 24 or 32 bits signed."""

    def __init__(self, file: IO[bytes], rate: int, width: int, channels: int, mixer: Mixer):
        self._file, self._width, self._channels, self._mixer = file, width, channels, mixer
        self.rate, self.frames, self.fault = rate, 0, ""

    def __iter__(self) -> Iterator[np.ndarray]:
        size = self._width * self._channels
        while data := self._file.read(PIECE * size):
            data = data[: len(data) // size * size]
            self.frames += len(data) // size
            yield self._mixer(self._samples(data).reshape(-1, self._channels))

    def _samples(self, data: bytes) -> np.ndarray:
        if self._width == 1:
            return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
        if self._width == 3:
            wide = np.zeros((len(data) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            return wide.view("<i4")[:, 0]
        return np.frombuffer(data, f"<i{self._width}")


class FFmpegDecoder:
    """The same of what an installed ffmpeg reads: video, and containers libsndfile does not know."""

    def __init__(self, path: str, name: str, wanted: Wanted, mixer: Mixer, start: float = 0.0):
        """start: s of sound that are passed over."""
        self._path, self._name, self._wanted, self._mixer, self._begin = path, name, wanted, mixer, start
        self.rate, self.frames, self.fault, self.note = SAMPLE_RATE, 0, "", ""
        self.file: IO[bytes] | None = None  # kept open while it is read, where it is a copy
        if not shutil.which("ffmpeg"):
            raise AudioError(f"{name} is not audio that soundfile can read; for video install ffmpeg")
        self._tracks = probe(path, wanted.from_stranger).tracks
        if wanted.track and wanted.track > max(1, len(self._tracks)):
            raise AudioError(f"{name} has no sound track {wanted.track}, only {len(self._tracks)}: choose one of these")

    def __iter__(self) -> Iterator[np.ndarray]:
        if self._wanted.track:
            yield from self._track(self._wanted.track - 1)
            return
        last = max(0, len(self._tracks) - 1)
        for number in range(last + 1):
            silent: int | None = 0  # frames that are held back; None: this track is heard
            self.frames = 0
            for piece in self._track(number):
                if silent is not None and number < last and np.abs(piece).max(initial=0) < SILENT:
                    silent += len(piece)
                    continue
                while silent:
                    held, silent = min(silent, PIECE), silent - min(silent, PIECE)
                    yield np.zeros(held, np.float32)
                silent = None
                yield piece
            if silent is None or number == last:
                if last:
                    self.note = f"{self._name}: track {number + 1} of {last + 1} is heard; --track N takes another"
                return

    def _track(self, number: int) -> Iterator[np.ndarray]:
        track = self._tracks[number] if self._tracks else Track(0, 0.0)
        channels = track.channels or 1
        with tempfile.TemporaryFile() as log, self._start(log, number, channels) as process:
            assert process.stdout
            size = 4 * channels
            while data := process.stdout.read(PIECE * size):
                piece = np.frombuffer(data[: len(data) // size * size], np.float32).reshape(-1, channels)
                self.frames += len(piece)
                yield self._mixer(piece)
            status = process.wait()
            log.seek(0)
            self._judge(status, log.read(1 << 20).decode(errors="replace"), track.seconds)

    def _start(self, log: IO[bytes], number: int, channels: int) -> subprocess.Popen:
        # first_pts and async fill gaps with silence, so that times are those of the picture;
        # "file:" keeps odd names from being options or addresses, and playlists off the network
        safe = _STRANGER if self._wanted.from_stranger else ()
        command = [*_FFMPEG, *safe, "-i", f"file:{self._path}", "-map", f"0:a:{number}", "-ac", str(channels)]
        command += ["-ss", str(self._begin)] if self._begin else []
        command += ["-af", f"aresample={SAMPLE_RATE}:async=1:first_pts=0", "-f", "f32le", "pipe:1"]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)

    def _judge(self, status: int, log: str, seconds: float) -> None:
        """ffmpeg ends well even if the file does not: only its messages and the length that was promised tell."""
        lines = [re.sub(r"^\[.*?\] ", "", line) for line in log.splitlines()] or ["no reason given"]
        if not self.frames and not self._begin:
            if "matches no streams" in lines[0]:
                raise AudioError(f"{self._name} is not audio: ffmpeg finds pictures or text in it, but no sound")
            reason = lines[0].removeprefix(f"file:{self._path}: ").rstrip(".")
            raise AudioError(f"{self._name} is not audio that soundfile or ffmpeg can read ({reason})")
        told = "partial file|ended prematurely|truncated|Input/output error|buffer exhausted"
        early = self._begin + self.frames / self.rate < seconds - max(EARLY_S, 0.02 * seconds)
        with open(self._path, "rb") as file:
            early = early or is_cut(file)
        if status or early or any(re.search(told, line) for line in lines):
            self.fault = CUT + " or damaged"


@dataclass(frozen=True)
class Track:
    """A sound track of a file: its channels (0: not known) and its seconds (0: not known)."""

    channels: int
    seconds: float


@dataclass(frozen=True)
class Probed:
    """What ffprobe says of a file; nothing where it is not installed or fails."""

    tracks: tuple[Track, ...] = ()
    seconds: float | None = None


def probe(path: str, from_stranger: bool = False) -> Probed:
    command = ["ffprobe", "-v", "error", *(_STRANGER if from_stranger else ())]
    command += ["-of", "json", "-show_format", "-show_streams", f"file:{path}"]
    try:
        said = json.loads(subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=60).stdout)
        whole, streams = said["format"], said["streams"]
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired):
        return Probed()
    sounds = [s for s in streams if s.get("codec_type") == "audio"]
    guessed = not _ESTIMATED.isdisjoint(str(whole.get("format_name", "")).split(","))
    alone = all(s.get("codec_type") == "audio" for s in streams)
    length = _seconds(whole.get("duration"))
    tracks = []
    for sound in sounds:
        own = _seconds(sound.get("duration")) or _seconds(sound.get("tags", {}).get("DURATION"))
        tracks.append(Track(int(sound.get("channels", 0)), 0.0 if guessed else own or (length if alone else 0.0)))
    return Probed(tuple(tracks), length or None)


def _seconds(text: str | None) -> float:
    """ "12.5" or "00:00:12.5" -> 12.5; 0 for anything else."""
    try:
        return sum(float(part) * 60**k for k, part in enumerate(reversed((text or "").split(":"))))
    except ValueError:
        return 0.0
