"""Any audio file -> 16 kHz mono blocks, in bounded memory."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

import numpy as np
import soundfile
import soxr

from asr.audio.decoders import (
    UNKNOWN,
    AudioCutOff,
    AudioError,
    FFmpegDecoder,
    NonSeekableSoundFile,
    SoundFileDecoder,
    probed_duration,
)
from asr.audio.features import SAMPLE_RATE

STDIN = "-"
SUFFIXES = frozenset(  # what a folder is searched for; a file named by the user may be called anything
    ".wav .flac .ogg .oga .opus .mp3 .mp2 .aiff .aif .aifc .au .snd .caf .w64 .rf64 .voc .sph "
    ".m4a .m4b .aac .ac3 .amr .ape .mka .wma .wv "
    ".mp4 .m4v .mov .mkv .webm .avi .wmv .flv .mpg .mpeg .ogv .3gp".split()
)

_MAX_AMPLITUDE = 1e9  # beyond any scale samples are stored in; its power still fits a float32


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
        with open(source, "rb") as file, NonSeekableSoundFile(file.fileno(), closefd=False) as sound:
            return sound.frames / sound.samplerate if sound.frames < UNKNOWN else None
    except (OSError, soundfile.LibsndfileError):
        return probed_duration(source)


def _opened(source: str, name: str) -> IO[bytes]:
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


def _spooled(pipe: IO[bytes]) -> IO[bytes]:
    copy = tempfile.NamedTemporaryFile(prefix="asr-")
    shutil.copyfileobj(pipe, copy)
    copy.seek(0)
    return copy


def _decoder(file: IO[bytes], name: str) -> SoundFileDecoder | FFmpegDecoder:
    if not os.fstat(file.fileno()).st_size:
        raise AudioError(f"{name} is empty")
    try:
        decoder: SoundFileDecoder | FFmpegDecoder = SoundFileDecoder(file)
    except soundfile.LibsndfileError:
        decoder = FFmpegDecoder(file.name, name)
    if not 1_000 <= decoder.rate <= 1_000_000:
        raise AudioError(f"{name} claims a sample rate of {decoder.rate} Hz: its header is damaged")
    return decoder


def _sane(pieces: Iterable[np.ndarray], name: str) -> Iterator[np.ndarray]:
    for piece in pieces:
        if not np.abs(piece).max(initial=0) < _MAX_AMPLITUDE:  # also true of NaN
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
