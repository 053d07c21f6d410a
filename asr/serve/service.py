"""What the parts of the server share: the recogniser's thread, places for clients, counters, wake words."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from asr.commands.terminal import say
from asr.live import Listener
from asr.recognizer import Recognizer
from asr.serve import Limits
from asr.serve.engine import Engine, Files, HTTPError
from asr.serve.live import Live, Session

ALIASES = ("whisper-1",)  # names under which clients that know no other model may ask for ours
CONVERSIONS = 2  # uploads that ffmpeg decodes at a time
RETRY_S = 5  # s after which a client may try again when there are too many
ANSWER_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)  # s: the bounds of the histogram of answers
WAKE_WORDS = "wakeword.several"  # a module with `detectors(names, phrases, recognizer)` and `Watch(detectors, names)`

T = TypeVar("T")


async def unless(
    other: Coroutine[Any, Any, object], waiting: Coroutine[Any, Any, T], seconds: float | None = None
) -> T | None:
    """What is waited for; None when the other comes first, or after so many seconds."""
    tasks = coming, _ = asyncio.create_task(waiting), asyncio.create_task(other)
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return coming.result() if coming.done() else None
    finally:
        for task in tasks:
            task.cancel()


def wake_words() -> Any:
    """The module of wake words: `asr` imports nothing of the package above it, and loads this one by its name."""
    return import_module(WAKE_WORDS)


class Metrics:
    """Counters for Prometheus: how much is done, refused and under way; never what was said."""

    def __init__(self) -> None:
        self.registry = r = CollectorRegistry()
        ProcessCollector(registry=r)
        self.requests = Counter("asr_requests", "Requests answered", ["route", "status"], registry=r)
        self.refused = Counter("asr_refused", "Requests and connections refused", ["reason"], registry=r)
        self.audio = Counter("asr_audio_seconds", "Audio recognised", ["kind"], registry=r)
        self.busy = Counter("asr_busy_seconds", "Time spent on recognition", ["kind"], registry=r)
        self.under_way = Gauge("asr_under_way", "Uploads and streams open now", ["kind"], registry=r)
        self.took = Histogram("asr_transcription_seconds", "From request to answer", buckets=ANSWER_S, registry=r)


class Service:
    """A recogniser with its thread, its limits and its counters; wake words by name, if there are any."""

    def __init__(
        self,
        recognizer: Recognizer,
        listener: Listener,
        limits: Limits = Limits(),
        detectors: Mapping[str, Any] = {},
        model: str = "english",
        token: str = "",
        log_text: bool = False,
    ):
        self.limits, self.detectors, self.model, self.token = limits, detectors, model, token
        self.metrics, self.stopping = Metrics(), asyncio.Event()
        self.conversions = asyncio.Semaphore(CONVERSIONS)
        self.engine, self._log_text = Engine(self.metrics.busy, self.metrics.audio), log_text
        self.plain = recognizer.options.written is None  # texts are the words said
        self.files = Files(self.engine, recognizer)
        self.live = Live(self.engine, listener, limits.backlog)
        self._open = {"file": 0, "stream": 0}

    def start(self) -> None:
        """Start the engine: streams first, because somebody listens to them."""
        self.engine.start(self.live, self.files)

    @contextmanager
    def place(self, kind: str) -> Iterator[None]:
        """Hold one of the places for a "file" or a "stream". Raises HTTPError when there is none."""
        most = {"file": self.limits.files, "stream": self.limits.streams}[kind]
        if self.stopping.is_set():
            raise HTTPError(503, "the server is being stopped: try again in a moment", "stopping", RETRY_S)
        if self._open[kind] >= most:
            raise HTTPError(503, f"{most} {kind}s are being worked on: try again later", f"{kind}s", RETRY_S)
        self._open[kind] += 1
        try:
            with self.metrics.under_way.labels(kind).track_inprogress():
                yield
        finally:
            self._open[kind] -= 1

    @property
    def streams(self) -> int:
        """How many live streams are open."""
        return self._open["stream"]

    def session(self, words: bool, wake: list[str]) -> Session:
        """A live stream. words: whether to recognise speech; wake: the names of the detectors to run."""
        return self.live.open(words, wake_words().Watch(self.detectors, wake) if wake else None)

    async def unless_stopped(self, waiting: Coroutine[Any, Any, T], seconds: float | None = None) -> T | None:
        """What is waited for; None when the server is being stopped, or after so many seconds."""
        return await unless(self.stopping.wait(), waiting, seconds)

    def log(self, text: str) -> None:
        """Log what was said if that was asked for; it is written nowhere else."""
        if self._log_text and text:
            say(f"text: {text}")
