"""What a client may ask for, so that none can take the server from the others."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from dataclasses import dataclass

from asr.audio.features import SAMPLE_RATE

ADDRESSES = 10_000  # whose rate is remembered


@dataclass(frozen=True)
class Limits:
    upload: float = 200e6  # bytes of a request
    duration: float = 2 * 3_600.0  # s of audio in an upload
    files: int = 32  # uploads at a time: arriving, waiting or worked on
    streams: int = 64  # live streams at a time
    connections: int = 512  # open at a time, whatever they do
    rate: float = 300.0  # requests a minute from one address, and as many at once
    idle: float = 30.0  # s in which nothing comes from a client, or goes to it
    stream: float = 8 * 3_600.0  # s that a live stream may last
    backlog: float = 10.0  # s of a live stream that wait for recognition before no more is read
    grace: float = 60.0  # s in which what is under way may be finished after SIGTERM
    conversion: float = 120.0  # s that ffmpeg may take for an upload

    @property
    def backlog_samples(self) -> int:
        return round(self.backlog * SAMPLE_RATE)


class Rate:
    """A token bucket for each address (Turner 1986): holds a minute's worth, and fills within a minute."""

    def __init__(self, a_minute: float):
        self._full = a_minute
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and the time they were counted

    def wait(self, address: str, now: float) -> int:
        """Take a token: 0 when there was one, else the whole seconds until there is."""
        tokens, before = self._buckets.pop(address, (self._full, now))
        tokens = min(self._full, tokens + (now - before) * self._full / 60)
        allowed = tokens >= 1
        self._buckets[address] = (tokens - allowed, now)
        while len(self._buckets) > ADDRESSES:
            self._buckets.popitem(last=False)
        return 0 if allowed else max(1, math.ceil((1 - tokens) * 60 / self._full))


def is_loopback(host: str) -> bool:
    """Is a host, by name or number, this machine itself and reached from nowhere else?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
