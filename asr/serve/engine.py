"""The one thread in which all recognition happens, and one of its kinds of work: uploads, which become files.

The event loop never waits for recognition: it adds work under the engine's lock, and results are called back into it.
"""

from __future__ import annotations

import asyncio
import errno
import re
import shutil
import tempfile
import threading
import time
import traceback
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import IO, Any, BinaryIO, Protocol

import numpy as np
import soundfile

from asr.audio import SAMPLE_RATE, AudioError, Recording
from asr.audio.decoders import Wanted
from asr.audio.quiet import quiet_codecs
from asr.recognizer import Recognizer
from asr.serve import Limits
from asr.transcript import Segment, Transcript

STRANGER = Wanted(from_stranger=True)
FAILED = "the server failed at this {}; its log says more"


class HTTPError(Exception):
    """The answer to a client that gets nothing else: one sentence and HTTP's status."""

    def __init__(self, status: int, text: str, reason: str, retry: int = 0, param: str | None = None):
        super().__init__(text)
        self.status, self.text, self.reason, self.retry, self.param = status, text, reason, retry, param


def bad_upload(text: str, status: int = 400) -> HTTPError:
    """Why a client's audio is not transcribed."""
    return HTTPError(status, text, "invalid_file", param="file")


def upload_warning(recording: Recording) -> str:
    """What was wrong with a file that has been read, and what of it was not heard, without the command's options."""
    notes = (re.sub("[;:] --.*", "", note) for note in recording.notes)
    return "; ".join(filter(None, (recording.warning, *notes))).replace(recording.name, "the upload")


class Work(Protocol):
    """One kind of work of the engine."""

    kind: str  # its name in the metrics

    @property
    def ready(self) -> bool:
        """There is something to do."""

    def step(self) -> float:
        """Do a fraction of a second of it, and never raise -> s of sound that were worked through."""


class Engine:
    """Takes turns between the kinds of work, so that none of them waits for more than a step of each other."""

    def __init__(self, busy: Any, audio: Any):
        """busy, audio: counters by kind, of s spent and of s of sound worked through."""
        self.changed = threading.Condition()  # the lock of all that is shared; notified when work arrives
        self._busy, self._audio = busy, audio
        self._works: Sequence[Work] = ()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="recognition", daemon=True)

    def start(self, *works: Work) -> None:
        """Begin to work; what comes first goes first."""
        self._works = works
        self._thread.start()

    def stop(self) -> None:
        """Return when the step under way is done."""
        with self.changed:
            self._stopped = True
            self.changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self._stopped or any(work.ready for work in self._works))
            if self._stopped:
                return
            for work in (work for work in self._works if work.ready):
                began = time.perf_counter()
                self._audio.labels(work.kind).inc(work.step())
                self._busy.labels(work.kind).inc(time.perf_counter() - began)


class Job:
    """The transcription of one file. Iterate over it for the segments; then `transcript` is there.

    All but `advance` happens in the event loop.
    """

    def __init__(self, path: str, max_duration_s: float, warning: str = ""):
        """warning: what is known to be wrong with the file."""
        self._warning = warning
        self.recording, self._max_duration_s = Recording(path, STRANGER), max_duration_s
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[Segment | Exception | None] = asyncio.Queue()
        self._segments: list[Segment] = []
        self._work: Iterator[Segment] | None = None
        self.cancelled = False  # nobody waits for it any more

    async def __aiter__(self) -> AsyncIterator[Segment]:
        while (item := await self._arrived.get()) is not None:
            if isinstance(item, Exception):
                raise item
            self._segments.append(item)
            yield item

    @property
    def transcript(self) -> Transcript:
        """All of it, when there are no more segments."""
        warning = self._warning or upload_warning(self.recording)
        return Transcript("upload", self.recording.seconds, tuple(self._segments), warning)

    def advance(self, recognizer: Recognizer) -> bool:
        """In the engine's thread: the next segment; False when there is none."""
        if self.cancelled:
            return False
        found: Segment | HTTPError | None
        try:
            self._work = self._work or recognizer.segments(self._blocks())
            found = next(self._work, None)
        except HTTPError as error:
            found = error
        except AudioError as error:
            found = bad_upload(str(error).replace(self.recording.name, "the upload"))
        except Exception:  # the server's own mistake: the other jobs go on
            traceback.print_exc()
            found = bad_upload(FAILED.format("upload"), 500)
        self._loop.call_soon_threadsafe(self._arrived.put_nowait, found)
        return isinstance(found, Segment)

    def _blocks(self) -> Iterator[np.ndarray]:
        for block in self.recording.blocks():
            if self.recording.seconds > self._max_duration_s:
                raise bad_upload(f"the audio is longer than {self._max_duration_s:g} s: send it in parts", 413)
            yield block


class Files:
    """Uploads: each gets a turn after the other, so that a short one need not wait for a long one."""

    kind = "file"

    def __init__(self, engine: Engine, recognizer: Recognizer):
        self._engine, self._recognizer = engine, recognizer
        self._jobs: deque[Job] = deque()

    def add(self, job: Job) -> Job:
        """Called in the event loop; the rest happens in the engine's thread."""
        with self._engine.changed:
            self._jobs.append(job)
            self._engine.changed.notify()
        return job

    @property
    def ready(self) -> bool:
        return bool(self._jobs)

    def step(self) -> float:
        job = self._jobs.popleft()
        before = job.recording.seconds
        if job.advance(self._recognizer):
            self._jobs.append(job)
        return job.recording.seconds - before


@asynccontextmanager
async def playable(upload: BinaryIO, limits: Limits, decoders: asyncio.Semaphore) -> AsyncIterator[tuple[str, str]]:
    """The path of a temporary file that libsndfile reads, and what was wrong with the upload. Raises HTTPError."""
    with tempfile.NamedTemporaryFile(prefix="asr-upload-") as copy, tempfile.NamedTemporaryFile(suffix=".wav") as wav:
        if not await asyncio.to_thread(_copy, upload, copy):
            raise bad_upload("the upload is empty")
        if await asyncio.to_thread(_readable, copy.name):
            yield copy.name, ""
        else:
            async with decoders:
                warning = await _decode(copy.name, wav.name, limits)
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
