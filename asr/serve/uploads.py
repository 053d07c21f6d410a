"""An upload -> a file that libsndfile reads, in bounded memory and time.

Nothing of it is ever taken for a name: ffmpeg, which reads what libsndfile does not, may open this one file, and
only as a container of media (a playlist could name other files).
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, BinaryIO

import soundfile

from asr.audio.features import SAMPLE_RATE
from asr.serve.files import UploadError
from asr.serve.service import Service

CONTAINERS = "mov,matroska,mp3,aac,ac3,amr,ape,asf,avi,caf,flv,mpeg,mpegts,ogg,wav,wv,flac,aiff,au,w64"
UNREADABLE = "the upload is not audio that can be read"


@asynccontextmanager
async def playable(upload: BinaryIO, service: Service) -> AsyncIterator[str]:
    """The path of a temporary file with the upload's audio. Raises UploadError."""
    with tempfile.NamedTemporaryFile(prefix="asr-upload-") as copy, tempfile.NamedTemporaryFile(suffix=".wav") as wav:
        if not await asyncio.to_thread(_copy, upload, copy):
            raise UploadError("the upload is empty")
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


async def _convert(source: str, target: str, longest: float, patience: float) -> None:
    """longest: s of audio that are written, and a little more; patience: s that it may take."""
    if not shutil.which("ffmpeg"):
        raise UploadError(f"{UNREADABLE} without ffmpeg, which is not installed here: send wav, flac, ogg or mp3")
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-protocol_whitelist", "file"]
    command += ["-format_whitelist", CONTAINERS, "-i", f"file:{source}", "-map", "0:a:0", "-ac", "1"]
    command += ["-t", f"{longest + 10:g}", "-af", f"aresample={SAMPLE_RATE}:async=1:first_pts=0"]
    command += ["-c:a", "pcm_f32le", "-f", "wav", f"file:{target}"]
    nothing = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdin=nothing, stdout=nothing, stderr=nothing)
    try:
        status = await asyncio.wait_for(process.wait(), patience)
    except TimeoutError:
        raise UploadError(f"the upload took longer than {patience:g} s to decode") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if status:
        raise UploadError(UNREADABLE)
