"""Live streams: bytes to samples, which go through the encoder together with those of all other streams."""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import soxr

from asr.audio import SAMPLE_RATE
from asr.audio.decoders import Mixer
from asr.errors import Error
from asr.live import Listener
from asr.live.stream import Result, Stream
from asr.serve.engine import FAILED, Engine

MAX_PIECE_SAMPLES = SAMPLE_RATE  # samples of a stream that a step takes at most
MAX_UNREAD = 1_000  # results that may wait for a client
ENCODINGS = {"s16le": "<i2", "s32le": "<i4", "f32le": "<f4"}  # name: type of a sample


class FormatError(Error):
    """One sentence: what is wrong with a client's audio format, or with its messages."""


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


MIXED_S = 0.02  # s of several channels that are mixed together, however the bytes are cut


class PcmReader:
    """Feed bytes, cut anywhere; flush at the end."""

    def __init__(self, format: PcmFormat):
        self._type, self._channels = ENCODINGS[format.encoding], format.channels
        self._frame_bytes = np.dtype(self._type).itemsize * format.channels
        self._together = 1 if format.channels == 1 else round(format.rate * MIXED_S)  # frames
        self._rest = b""
        self._resampler = None
        if format.rate != SAMPLE_RATE:
            self._resampler = soxr.ResampleStream(format.rate, SAMPLE_RATE, 1, dtype="float32")
        self._mixer = Mixer(None)

    def feed(self, data: bytes, last: bool = False) -> np.ndarray:
        """The samples (n,) float32 at 16 kHz that are now complete."""
        data, unit = self._rest + data, self._frame_bytes * (1 if last else self._together)
        whole = len(data) // unit * unit
        data, self._rest = data[:whole], data[whole:]
        frames = np.frombuffer(data, self._type).reshape(-1, self._channels)
        size = self._together if self._channels > 1 else len(frames) or 1
        mono = np.concatenate([self._mixer(frames[at : at + size]) for at in range(0, len(frames) or 1, size)])
        return self._resampler.resample_chunk(mono, last=last) if self._resampler else mono

    @property
    def bad_samples(self) -> int:
        """So far: NaN, infinite or absurdly large; they became silence."""
        return self._mixer.bad

    def flush(self) -> np.ndarray:
        """What is still held, here and in the resampler."""
        return self.feed(b"", last=True)


class SessionError(Exception):
    """One sentence for the client: why its stream is ended."""


class Watch(Protocol):
    """A stream of wake words: wakeword.several.Watch."""

    def feed(self, samples: np.ndarray) -> list[Any]: ...

    def flush(self) -> list[Any]: ...


class Session:
    """One client's stream, in the event loop: `feed`, `end`, and iterate over the results until they end."""

    def __init__(self, live: Live, stream: Stream | None, watch: Watch | None, backlog_samples: float):
        self.stream, self.watch = stream, watch
        self._live, self._backlog = live, backlog_samples
        self._loop = asyncio.get_running_loop()
        self._room, self._news = asyncio.Event(), asyncio.Event()
        self._room.set()
        self._unread: deque[Any] = deque()
        self._closed = False  # no more results come
        # shared with the engine's thread, under its lock
        self.waiting: deque[np.ndarray] = deque()
        self.ending = False

    async def feed(self, samples: np.ndarray) -> None:
        """Returns when there is room for more; at once where no more results come."""
        if self._closed:
            return
        with self._live.changed:
            self.waiting.append(samples)
            if self._count() > self._backlog:
                self._room.clear()
            self._live.changed.notify()
        await self._room.wait()

    def end(self) -> None:
        """No more sound comes; the results of what came are finished."""
        with self._live.changed:
            self.ending = True
            self._live.changed.notify()

    def drop(self) -> None:
        """Nobody is there any more."""
        self._live.forget(self)
        self._close()

    async def __aiter__(self) -> AsyncIterator[Any]:
        """The results of the recogniser and of the wake words. Raises SessionError."""
        while True:
            await self._news.wait()
            while self._unread:
                item = self._unread.popleft()
                if isinstance(item, Exception):
                    raise item
                yield item
            self._news.clear()
            if self._closed:
                return

    def take(self) -> np.ndarray:
        """In the engine's thread, under its lock: up to a second of what waits."""
        samples = np.concatenate([np.zeros(0, np.float32), *self.waiting])
        self.waiting.clear()
        if len(samples) > MAX_PIECE_SAMPLES:
            self.waiting.append(samples[MAX_PIECE_SAMPLES:])
        if self._count() <= self._backlog and not self._room.is_set():
            self._loop.call_soon_threadsafe(self._room.set)
        return samples[:MAX_PIECE_SAMPLES]

    def put(self, results: list[Any], last: bool = False) -> None:
        """In the engine's thread: results for the client."""
        if results or last:
            self._loop.call_soon_threadsafe(self._receive, results, last)

    def _receive(self, results: list[Any], last: bool) -> None:
        for result in results:
            if self._unread and _replaces(result, self._unread[-1]):
                self._unread.pop()
            self._unread.append(result)
        if len(self._unread) > MAX_UNREAD:
            self._unread = deque([SessionError("the results are not read: the stream is ended")])
            self._live.forget(self)
            last = True
        self._news.set()
        if last:
            self._close()

    def _close(self) -> None:
        self._closed = True
        self._news.set()
        self._room.set()

    def _count(self) -> int:
        return sum(map(len, self.waiting))


def _replaces(new: Any, old: Any) -> bool:
    """Of a client that reads slowly, only the newest partial result is kept."""
    both = isinstance(new, Result) and isinstance(old, Result)
    return both and new.kind == old.kind == "partial" and new.segment == old.segment


class Live:
    """Live streams: all that have new sound go through the encoder together."""

    kind = "live"

    def __init__(self, engine: Engine, listener: Listener, backlog_s: float):
        self.changed = engine.changed
        self._listener, self._backlog = listener, backlog_s * SAMPLE_RATE
        self._sessions: list[Session] = []

    def open(self, words: bool = True, watch: Watch | None = None) -> Session:
        """words: whether speech is recognised; watch: the wake words to listen for."""
        session = Session(self, self._listener.stream() if words else None, watch, self._backlog)
        with self.changed:
            self._sessions.append(session)
        return session

    def forget(self, session: Session) -> None:
        """It gets no more turns."""
        with self.changed:
            if session in self._sessions:
                self._sessions.remove(session)

    @property
    def ready(self) -> bool:
        return any(s.waiting or s.ending for s in self._sessions)

    def step(self) -> float:
        with self.changed:
            blocks = {s: s.take() for s in self._sessions if s.waiting}
            ended = [s for s in self._sessions if s.ending and not s.waiting]
        self._work(blocks)
        self._work(dict.fromkeys(ended, np.zeros(0, np.float32)), last=True)
        for session in ended:
            session.put([], last=True)
            self.forget(session)
        return sum(map(len, blocks.values())) / SAMPLE_RATE

    def _work(self, blocks: dict[Session, np.ndarray], last: bool = False) -> None:
        """Give each session the results of its block, or of its end; a mistake of our own ends them, and no others."""
        streams = {s: s.stream for s in blocks if s.stream}
        try:
            for session, block in blocks.items():
                if session.watch:
                    session.put(session.watch.flush() if last else session.watch.feed(block))
            live = list(streams.values())
            found = self._listener.flush(live) if last else self._listener.feed(live, [blocks[s] for s in streams])
            for session, results in zip(streams, found):
                session.put(results)
        except Exception:
            traceback.print_exc()
            for session in blocks:
                session.put([SessionError(FAILED.format("stream"))], last=True)
                self.forget(session)
