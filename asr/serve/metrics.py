"""What Prometheus can ask for: how much is done, refused and under way. Never what was said."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    def __init__(self):
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        r = {"registry": self.registry}
        self._requests = Counter("asr_requests", "Requests answered", ["route", "status"], **r)
        self._refused = Counter("asr_refused", "Requests and connections refused", ["reason"], **r)
        self._audio = Counter("asr_audio_seconds", "Audio recognised", ["kind"], **r)
        self._busy = Counter("asr_busy_seconds", "Time spent on recognition", ["kind"], **r)
        self._under_way = Gauge("asr_under_way", "Uploads, streams and connections open now", ["kind"], **r)
        self._took = Histogram("asr_transcription_seconds", "From request to answer", buckets=SECONDS, **r)

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def answered(self, route: str, status: int) -> None:
        self._requests.labels(route, str(status)).inc()

    def refused(self, reason: str) -> None:
        self._refused.labels(reason).inc()

    def heard(self, kind: str, seconds: float) -> None:
        self._audio.labels(kind).inc(seconds)

    @contextmanager
    def busy(self, kind: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self._busy.labels(kind).inc(time.perf_counter() - began)

    @contextmanager
    def under_way(self, kind: str) -> Iterator[None]:
        with self._under_way.labels(kind).track_inprogress():
            yield

    @contextmanager
    def transcription(self) -> Iterator[None]:
        with self._took.time():
            yield
