"""Uploads under recognition: each gets a turn after the other, so that a short one need not wait for a long one."""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import AsyncIterator, Iterator

import numpy as np

from asr import audio
from asr.recognizer import Recognizer
from asr.serve.engine import Engine
from asr.serve.metrics import Metrics
from asr.transcript import Segment, Transcript

BLOCK = 5.0  # s of audio read at a time


class UploadError(Exception):
    """One sentence for the client: why its audio is not transcribed; `status` is HTTP's."""

    def __init__(self, text: str, status: int = 400):
        super().__init__(text)
        self.status = status


class Job:
    """The transcription of one file. Iterate over it for the segments; then `transcript` is there.

    All but `advance` happens in the event loop.
    """

    def __init__(self, path: str, longest: float):
        self._path, self._longest = path, longest
        self._loop = asyncio.get_running_loop()
        self._arrived: asyncio.Queue[Segment | Exception | None] = asyncio.Queue()
        self._segments: list[Segment] = []
        self._work: Iterator[Segment] | None = None
        self.seconds, self.warning = 0.0, ""  # of audio; what was wrong with the rest of it
        self.cancelled = False  # nobody waits for it any more

    async def __aiter__(self) -> AsyncIterator[Segment]:
        while (item := await self._arrived.get()) is not None:
            if isinstance(item, Exception):
                raise item
            self._segments.append(item)
            yield item

    @property
    def transcript(self) -> Transcript:
        return Transcript("upload", self.seconds, tuple(self._segments), self.warning)

    def advance(self, recognizer: Recognizer) -> bool:
        """In the engine's thread: the next segment; False when there is none."""
        found: Segment | UploadError | None
        try:
            if self.cancelled:
                return False
            if self._work is None:
                self._work = recognizer.segments(self._blocks())
            found = next(self._work, None)
        except UploadError as error:
            found = error
        except audio.AudioError as error:
            found = UploadError(str(error).replace(self._path, "the upload"))
        except Exception:  # of ours, not of the client's: the other jobs go on
            traceback.print_exc()
            found = UploadError("the server failed at this upload; its log says more", 500)
        self._loop.call_soon_threadsafe(self._arrived.put_nowait, found)
        return isinstance(found, Segment)

    def _blocks(self) -> Iterator[np.ndarray]:
        try:
            for block in audio.blocks(self._path, BLOCK):
                self.seconds += len(block) / audio.SAMPLE_RATE
                if self.seconds > self._longest:
                    raise UploadError(f"the audio is longer than {self._longest:g} s: send it in parts", 413)
                yield block
        except audio.AudioCutOff as error:
            self.warning = str(error).replace(self._path, "the upload")


class Files:
    """The jobs of an engine. `add` in the event loop, the rest in its thread."""

    def __init__(self, engine: Engine, recognizer: Recognizer, metrics: Metrics):
        self._engine, self._recognizer, self._metrics = engine, recognizer, metrics
        self._jobs: deque[Job] = deque()

    def add(self, job: Job) -> Job:
        with self._engine.changed:
            self._jobs.append(job)
            self._engine.changed.notify()
        return job

    @property
    def ready(self) -> bool:
        return bool(self._jobs)

    def step(self) -> None:
        job = self._jobs.popleft()
        before = job.seconds
        with self._metrics.busy("file"):
            more = job.advance(self._recognizer)
        self._metrics.heard("file", job.seconds - before)
        if more:
            self._jobs.append(job)
