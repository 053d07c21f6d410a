"""What the parts of the server share."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from asr.commands.terminal import say
from asr.live.listener import Listener
from asr.recognizer import Recognizer
from asr.serve.engine import Engine
from asr.serve.files import Files
from asr.serve.limits import Limits, Rate
from asr.serve.live import Live, Session
from asr.serve.metrics import Metrics
from asr.serve.wake_words import provider

ALIASES = ("whisper-1",)  # names under which clients that know no other model may ask for ours
CONVERSIONS = 2  # uploads that ffmpeg decodes at a time
RETRY_S = 5  # s after which a client may try again when there are too many

T = TypeVar("T")


class HTTPError(Exception):
    """The answer to a client that gets nothing else: one sentence and HTTP's status."""

    def __init__(self, status: int, text: str, reason: str, retry: int = 0, param: str | None = None):
        super().__init__(text)
        self.status, self.text, self.reason, self.retry, self.param = status, text, reason, retry, param


class Service:
    """A recogniser with its thread, its limits and its counters; wake words by name, if there are any."""

    def __init__(
        self,
        recognizer: Recognizer,
        listener: Listener,
        limits: Limits = Limits(),
        detectors: Mapping[str, Any] | None = None,
        model: str = "english",
        token: str = "",
        log_text: bool = False,
    ):
        self.limits, self.detectors, self.model, self.token = limits, dict(detectors or {}), model, token
        self.metrics, self.rate, self.stopping = Metrics(), Rate(limits.rate), asyncio.Event()
        self.conversions = asyncio.Semaphore(CONVERSIONS)
        self._engine, self._log_text = Engine(), log_text
        self.files = Files(self._engine, recognizer, self.metrics)
        self.live = Live(self._engine, listener, self.metrics, limits.backlog_samples)
        self._open = {"file": 0, "stream": 0}

    def start(self) -> None:
        """The engine: streams first, for somebody listens to them."""
        self._engine.start(self.live, self.files)

    def stop(self) -> None:
        self._engine.stop()

    @contextmanager
    def place(self, kind: str) -> Iterator[None]:
        """One of the places for a "file" or a "stream". Raises HTTPError when there is none."""
        most = {"file": self.limits.files, "stream": self.limits.streams}[kind]
        if self.stopping.is_set():
            raise HTTPError(503, "the server is being stopped: try again in a moment", "stopping", RETRY_S)
        if self._open[kind] >= most:
            raise HTTPError(503, f"{most} {kind}s are being worked on: try again later", f"{kind}s", RETRY_S)
        self._open[kind] += 1
        try:
            with self.metrics.under_way(kind):
                yield
        finally:
            self._open[kind] -= 1

    @property
    def streams(self) -> int:
        """Live streams that have not said their last."""
        return self._open["stream"]

    def session(self, words: bool, wake: list[str] | None) -> Session:
        """A live stream. words: whether to recognise speech; wake: the detectors it asks for."""
        watch = None
        if wake:
            watch = provider().Watch(self.detectors, wake)
        return self.live.open(words, watch)

    async def unless_stopped(self, waiting: Coroutine[Any, Any, T], seconds: float | None = None) -> T | None:
        """What is waited for; None when the server is being stopped, or after so many seconds."""
        tasks = coming, _ = asyncio.create_task(waiting), asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else None
        finally:
            for task in tasks:
                task.cancel()

    def said(self, text: str) -> None:
        """Logged if that was asked for, and nowhere else."""
        if self._log_text and text:
            say(f"text: {text}")
