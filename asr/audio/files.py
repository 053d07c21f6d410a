"""Any audio file -> 16 kHz mono blocks, in bounded memory."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, TypeAlias

import numpy as np
import soundfile
import soxr

from asr.audio.containers import Part, PartFile, parts
from asr.audio.decoders import (
    PIECE,
    UNKNOWN,
    AudioCutOff,
    AudioError,
    FFmpegDecoder,
    Mixer,
    NonSeekableSoundFile,
    RawDecoder,
    SoundFileDecoder,
    Wanted,
    probe,
)
from asr.audio.features import BAD_SAMPLES, SAMPLE_RATE
from asr.audio.quiet import quiet_codecs

STDIN = "-"
SUFFIXES = frozenset(  # what a folder is searched for; a file named by the user may be called anything
    ".wav .flac .ogg .oga .opus .mp3 .mp2 .aiff .aif .aifc .au .snd .caf .w64 .rf64 .voc .sph "
    ".m4a .m4b .aac .ac3 .amr .ape .mka .wma .wv "
    ".mp4 .m4v .mov .mkv .webm .avi .wmv .flv .mpg .mpeg .ogv .3gp".split()
)

Source: TypeAlias = str | os.PathLike | bytes | bytearray | memoryview | IO[bytes]


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


@dataclass(frozen=True)
class Samples:
    """Sound that is in memory: (n, channels), and its rate in Hz."""

    values: np.ndarray
    rate: int
    name = "the array"


class SamplesDecoder:
    """Mono pieces of samples in memory."""

    def __init__(self, samples: Samples, mixer: Mixer):
        self.rate, self.frames, self.fault = samples.rate, len(samples.values), ""
        self._values, self._mixer = samples.values, mixer

    def __iter__(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self._values), PIECE):
            yield self._mixer(self._values[start : start + PIECE])


Decoder: TypeAlias = "SoundFileDecoder | FFmpegDecoder | RawDecoder | SamplesDecoder"


class Recording:
    """A source of audio while it is read: a path, "-" for standard input, the bytes of a file, or an open file.

    After the last block ``seconds`` is its length, ``warning`` says what was wrong with it ("": nothing), and ``notes``
    say what was left out or chosen.
    """

    def __init__(self, source: Source | Samples, wanted: Wanted = Wanted(), raw: tuple[int, int, int] | None = None):
        """raw: rate, bytes of a sample and channels, where the source has no header."""
        self.name = _name(source)
        self.seconds, self.warning = 0.0, ""
        self.notes: list[str] = []
        self._source, self._wanted, self._raw = source, wanted, raw

    def blocks(self, seconds: float = 10.0) -> Iterator[np.ndarray]:
        """Blocks (n,) float32 at 16 kHz; all but the last hold so many seconds. Samples beyond full scale are kept.

        Raises AudioError where there is no usable audio.
        """
        heard, used, faults = 0, list[Decoder](), list[str]()
        mixer = Mixer(self._wanted.channel, self.name)
        samples = _all(self._decoders(mixer), used, faults, self.notes)
        for block in _regrouped(samples, max(1, round(seconds * SAMPLE_RATE))):
            heard += len(block)
            self.seconds = heard / SAMPLE_RATE
            yield block
        if not any(decoder.frames for decoder in used):
            raise AudioError(f"{self.name} holds no audio" + (f": {faults[0]}" if faults else ""))
        if faults:
            self.warning = f"{self.name} could be read for {self.seconds:.1f} s only: {faults[0]}"
        elif mixer.bad:
            self.warning = f"{self.name}: {mixer.bad} {BAD_SAMPLES}"
        if mixer.cancelled:
            self.notes.append(f"{self.name}: its channels cancel out, so one is heard: --channel N takes another")

    def _opened(self, source: Source) -> IO[bytes]:
        """The source, open and seekable: what comes through a pipe is first copied to disk, unless it is raw."""
        try:
            if source == STDIN:
                return sys.stdin.buffer if self._raw else _spooled(sys.stdin.buffer)
            if isinstance(source, (bytes, bytearray, memoryview)):
                return _spooled(io.BytesIO(source))
            if not isinstance(source, (str, os.PathLike)):
                return _spooled(source)
            file = open(source, "rb")
            if self._raw or file.seekable():
                return file
            with file:
                return _spooled(file)
        except OSError as error:
            raise AudioError(f"{self.name} cannot be read: {error.strerror}") from error

    def _decoders(self, mixer: Mixer) -> Iterator[Decoder]:
        """One for each recording in the source."""
        if isinstance(self._source, Samples):
            yield SamplesDecoder(self._source, mixer)
            return
        with self._opened(self._source) as file:
            if self._raw:
                yield RawDecoder(file, *self._raw, mixer)
                return
            if not os.fstat(file.fileno()).st_size:
                raise AudioError(f"{self.name} is empty")
            found = parts(file)
            for part in found:
                own = part if len(found) > 1 or part.header else None
                decoder = self._decoder(file, own, mixer)
                yield decoder
                if isinstance(decoder, SoundFileDecoder) and decoder.gave_up and shutil.which("ffmpeg"):
                    yield self._by_ffmpeg(file, own, mixer, decoder.frames / decoder.rate)

    def _decoder(self, file: IO[bytes], part: Part | None, mixer: Mixer) -> Decoder:
        decoder: Decoder
        try:
            decoder = SoundFileDecoder(PartFile(file, part) if part else file, mixer)
        except soundfile.LibsndfileError:
            decoder = self._by_ffmpeg(file, part, mixer)
        else:
            if self._wanted.track not in (None, 1):  # libsndfile knows of one
                decoder = self._by_ffmpeg(file, part, mixer)
        if not 1_000 <= decoder.rate <= 1_000_000:
            raise AudioError(f"{self.name} claims a sample rate of {decoder.rate} Hz: its header is damaged")
        return decoder

    def _by_ffmpeg(self, file: IO[bytes], part: Part | None, mixer: Mixer, start: float = 0.0) -> FFmpegDecoder:
        """From a time (s) on."""
        whole = _spooled(PartFile(file, part)) if part else file
        decoder = FFmpegDecoder(whole.name, self.name, self._wanted, mixer, start)
        decoder.file = whole  # which is deleted when it is closed
        return decoder


def recording(source: Any, rate: int = SAMPLE_RATE) -> Recording:
    """A path, "-", the bytes of a file, an open file, or samples (n,) or (n, channels) at ``rate`` Hz.

    Raises AudioError, which names the type of what is none of these.
    """
    if isinstance(source, io.TextIOBase):
        name = getattr(source, "name", "") or f"the {type(source).__name__}"
        raise AudioError(f"{name} is open as text: open it with mode 'rb'")
    if not (isinstance(rate, (int, float, np.number)) and 1_000 <= rate <= 1_000_000 and rate == int(rate)):
        raise AudioError(f"the rate must be a whole number of 1000 to 1000000 Hz, and not {rate!r}")
    if isinstance(source, (str, os.PathLike, bytes, bytearray, memoryview)) or hasattr(source, "read"):
        return Recording(source)
    samples = np.asarray(source) if hasattr(source, "__array__") or isinstance(source, (list, tuple)) else None
    if samples is None or samples.ndim not in (1, 2) or samples.dtype.kind not in "iuf":
        shape = "" if samples is None else f" of the shape {samples.shape}"
        kind = type(source).__name__
        raise AudioError(f"there is no audio in a {kind}{shape}: give a path, bytes, an open file, or samples (n,)")
    samples = samples.reshape(len(samples), -1 if samples.size else 1)
    if 0 < len(samples) < samples.shape[1]:
        raise AudioError(f"an array {samples.shape} has more channels than samples: give (n, channels), its transpose")
    return Recording(Samples(samples, int(rate)))


def _name(source: Any) -> str:
    if source == STDIN:
        return "standard input"
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    return str(getattr(source, "name", "")) or f"the {type(source).__name__}"


def _all(decoders: Iterable[Decoder], used: list[Decoder], faults: list[str], notes: list[str]) -> Iterator[np.ndarray]:
    """The samples of several recordings one after the other, at 16 kHz; what is to be told of them goes into lists."""
    for decoder in decoders:
        used.append(decoder)
        yield from _resampled(decoder, decoder.rate)
        faults += [decoder.fault] if decoder.fault else []
        notes += [decoder.note] if isinstance(decoder, FFmpegDecoder) and decoder.note else []


def blocks(source: Source, seconds: float = 10.0) -> Iterator[np.ndarray]:
    """The blocks of a Recording; raises AudioCutOff after the last where it has a warning."""
    recording = Recording(source)
    yield from recording.blocks(seconds)
    if recording.warning:
        raise AudioCutOff(recording.warning)


def load(source: Source) -> np.ndarray:
    """All of ``blocks(source)`` as one (n,) float32 array."""
    return np.concatenate([np.zeros(0, np.float32), *blocks(source)])


def duration(source: str) -> float | None:
    """Seconds of audio by the file's header; None where that takes decoding, or fails."""
    if not os.path.isfile(source):  # reading from a pipe would take its audio away
        return None
    try:
        with quiet_codecs(), open(source, "rb") as file, NonSeekableSoundFile(file.fileno(), closefd=False) as sound:
            return sound.frames / sound.samplerate if sound.frames < UNKNOWN else None
    except (OSError, soundfile.LibsndfileError):
        return probe(source).seconds


def _spooled(pipe: IO[bytes] | PartFile) -> IO[bytes]:
    copy = tempfile.NamedTemporaryFile(prefix="asr-")
    shutil.copyfileobj(pipe, copy)
    copy.seek(0)
    return copy


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
