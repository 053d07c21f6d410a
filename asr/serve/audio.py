"""Sound from clients: the bytes of a live stream become samples, an upload becomes a file that can be read."""

from __future__ import annotations

import asyncio
import errno
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, BinaryIO

import numpy as np
import soundfile
import soxr

from asr.audio import SAMPLE_RATE, AudioError, Recording
from asr.audio.decoders import Mixer
from asr.audio.quiet import quiet_codecs
from asr.errors import Error
from asr.serve.access import Limits
from asr.serve.engine import STRANGER, bad_upload, upload_warning
from asr.serve.service import Service

ENCODINGS = {"s16le": "<i2", "s32le": "<i4", "f32le": "<f4"}  # name: type of a sample


class FormatError(Error):
    """One sentence: what is wrong with a client's audio format."""


@dataclass(frozen=True)
class PcmFormat:
    """How a live client's samples are written. Raises FormatError for values that make no sense."""

    encoding: str = "s16le"
    rate: int = SAMPLE_RATE  # Hz
    channels: int = 1  # interleaved; their mean is heard, or one where they cancel

    def __post_init__(self):
        if not (isinstance(self.encoding, str) and self.encoding in ENCODINGS):
            raise FormatError(f"the encoding must be one of {', '.join(ENCODINGS)}")
        if type(self.rate) is not int or not 8_000 <= self.rate <= 192_000:
            raise FormatError("the rate must be a whole number of 8000 to 192000 Hz")
        if type(self.channels) is not int or not 1 <= self.channels <= 8:
            raise FormatError("the number of channels must be 1 to 8")


class PcmReader:
    """Feed bytes, cut anywhere; flush at the end."""

    def __init__(self, format: PcmFormat):
        self._type, self._channels = ENCODINGS[format.encoding], format.channels
        self._frame_bytes = np.dtype(self._type).itemsize * format.channels
        self._rest = b""
        self._resampler = None
        if format.rate != SAMPLE_RATE:
            self._resampler = soxr.ResampleStream(format.rate, SAMPLE_RATE, 1, dtype="float32")
        self._mixer = Mixer(None)

    def feed(self, data: bytes, last: bool = False) -> np.ndarray:
        """The samples (n,) float32 at 16 kHz that are now complete."""
        data = self._rest + data
        whole = len(data) // self._frame_bytes * self._frame_bytes
        data, self._rest = data[:whole], data[whole:]
        mono = self._mixer(np.frombuffer(data, self._type).reshape(-1, self._channels))
        return self._resampler.resample_chunk(mono, last=last) if self._resampler else mono

    @property
    def bad_samples(self) -> int:
        """So far: NaN, infinite or absurdly large; they became silence."""
        return self._mixer.bad

    def flush(self) -> np.ndarray:
        """What the resampler still holds."""
        return self.feed(b"", last=True)


@asynccontextmanager
async def playable(upload: BinaryIO, service: Service) -> AsyncIterator[tuple[str, str]]:
    """The path of a temporary file that libsndfile reads, and what was wrong with the upload. Raises HTTPError."""
    with tempfile.NamedTemporaryFile(prefix="asr-upload-") as copy, tempfile.NamedTemporaryFile(suffix=".wav") as wav:
        if not await asyncio.to_thread(_copy, upload, copy):
            raise bad_upload("the upload is empty")
        if await asyncio.to_thread(_readable, copy.name):
            yield copy.name, ""
        else:
            async with service.conversions:
                warning = await _decode(copy.name, wav.name, service.limits)
            yield wav.name, warning


def _copy(upload: BinaryIO, copy: IO[bytes]) -> int:
    upload.seek(0)
    shutil.copyfileobj(upload, copy)
    copy.flush()
    return copy.tell()


def _readable(path: str) -> bool:
    try:
        with quiet_codecs():
            soundfile.info(path)
    except soundfile.LibsndfileError:
        return False
    return True


async def _decode(source: str, target: str, limits: Limits) -> str:
    """What takes a decoder of another kind becomes a wav file -> what was wrong with it. Raises HTTPError."""
    given_up = threading.Event()
    try:
        work = asyncio.to_thread(_write_wav, Recording(source, STRANGER), target, limits.duration, given_up)
        return await asyncio.wait_for(work, limits.conversion)
    except TimeoutError:
        raise bad_upload(f"the upload took longer than {limits.conversion:g} s to decode") from None
    except AudioError:
        hint = "" if shutil.which("ffmpeg") else " without ffmpeg, which is not installed here: send wav, flac or mp3"
        raise bad_upload(f"the upload is not audio that can be read{hint}") from None
    except soundfile.LibsndfileError:  # which only writes here
        raise OSError(errno.ENOSPC, "no room for the decoded upload") from None
    finally:
        given_up.set()


def _write_wav(recording: Recording, target: str, max_duration_s: float, given_up: threading.Event) -> str:
    """In a thread of its own: the first max_duration_s and a little more -> what was wrong with the recording."""
    with soundfile.SoundFile(target, "w", SAMPLE_RATE, 1, "FLOAT", format="WAV") as wav:
        for block in recording.blocks():
            wav.write(block)
            if given_up.is_set() or recording.seconds > max_duration_s:
                break
    return upload_warning(recording)
