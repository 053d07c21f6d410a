"""Sound from clients: the bytes of a live stream become samples, an upload becomes a file that can be read.

Nothing of an upload is ever taken for a name: ffmpeg, which reads what libsndfile does not, may open this one file, and
only as a container of media (a playlist could name other files).
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, BinaryIO

import numpy as np
import soundfile
import soxr

from asr.audio import SAMPLE_RATE
from asr.audio.samples import clean_samples
from asr.errors import Error
from asr.serve.engine import bad_upload
from asr.serve.service import Service

ENCODINGS = {"s16le": "<i2", "s32le": "<i4", "f32le": "<f4"}  # name: type of a sample
CONTAINERS = "mov,matroska,mp3,aac,ac3,amr,ape,asf,avi,caf,flv,mpeg,mpegts,ogg,wav,wv,flac,aiff,au,w64"
UNREADABLE = "the upload is not audio that can be read"


class FormatError(Error):
    """One sentence: what is wrong with a client's audio format."""


@dataclass(frozen=True)
class PcmFormat:
    """How a live client's samples are written. Raises FormatError for values that make no sense."""

    encoding: str = "s16le"
    rate: int = SAMPLE_RATE  # Hz
    channels: int = 1  # interleaved; their mean is heard

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
        self.bad_samples = 0  # so far: NaN, infinite or absurdly large; they became silence

    def feed(self, data: bytes, last: bool = False) -> np.ndarray:
        """The samples (n,) float32 at 16 kHz that are now complete."""
        data = self._rest + data
        whole = len(data) // self._frame_bytes * self._frame_bytes
        data, self._rest = data[:whole], data[whole:]
        samples, bad_samples = clean_samples(np.frombuffer(data, self._type))
        self.bad_samples += bad_samples
        mono = samples.reshape(-1, self._channels).mean(1)
        return self._resampler.resample_chunk(mono, last=last) if self._resampler else mono

    def flush(self) -> np.ndarray:
        """What the resampler still holds."""
        return self.feed(b"", last=True)


@asynccontextmanager
async def playable(upload: BinaryIO, service: Service) -> AsyncIterator[str]:
    """The path of a temporary file with the upload's audio. Raises HTTPError."""
    with tempfile.NamedTemporaryFile(prefix="asr-upload-") as copy, tempfile.NamedTemporaryFile(suffix=".wav") as wav:
        if not await asyncio.to_thread(_copy, upload, copy):
            raise bad_upload("the upload is empty")
        if await asyncio.to_thread(_readable, copy.name):
            yield copy.name
        else:
            async with service.conversions:
                await _convert(copy.name, wav.name, service.limits.duration, service.limits.conversion)
            yield wav.name


def _copy(upload: BinaryIO, copy: IO[bytes]) -> int:
    upload.seek(0)
    shutil.copyfileobj(upload, copy)
    copy.flush()
    return copy.tell()


def _readable(path: str) -> bool:
    try:
        soundfile.info(path)
    except soundfile.LibsndfileError:
        return False
    return True


async def _convert(source: str, target: str, max_duration_s: float, patience_s: float) -> None:
    """max_duration_s: of audio that is written, and a little more; patience_s: that it may take. Raises HTTPError."""
    if not shutil.which("ffmpeg"):
        raise bad_upload(f"{UNREADABLE} without ffmpeg, which is not installed here: send wav, flac, ogg or mp3")
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-protocol_whitelist", "file"]
    command += ["-format_whitelist", CONTAINERS, "-i", f"file:{source}", "-map", "0:a:0", "-ac", "1"]
    command += ["-t", f"{max_duration_s + 10:g}", "-af", f"aresample={SAMPLE_RATE}:async=1:first_pts=0"]
    command += ["-c:a", "pcm_f32le", "-f", "wav", f"file:{target}"]
    nothing = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdin=nothing, stdout=nothing, stderr=nothing)
    try:
        status = await asyncio.wait_for(process.wait(), patience_s)
    except TimeoutError:
        raise bad_upload(f"the upload took longer than {patience_s:g} s to decode") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if status:
        raise bad_upload(UNREADABLE)
