"""Live streams under recognition: all that have new sound go through the encoder together."""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Protocol

import numpy as np

from asr.audio.features import SAMPLE_RATE
from asr.live.listener import Listener
from asr.live.stream import Result, Stream
from asr.serve.engine import Engine
from asr.serve.metrics import Metrics

MAX_PIECE_SAMPLES = SAMPLE_RATE  # samples of a stream that a step takes at most
UNREAD = 1_000  # results that may wait for a client


class Watch(Protocol):
    """A stream of wake words: wakeword.serve.Watch."""

    def feed(self, samples: np.ndarray) -> list[Any]: ...


class SessionError(Exception):
    """One sentence for the client: why its stream is ended."""


class Session:
    """One client's stream, in the event loop: `feed`, `end`, and iterate over the results until they end."""

    def __init__(self, live: Live, stream: Stream | None, watch: Watch | None, backlog: int):
        self.stream, self.watch = stream, watch
        self._live, self._backlog = live, backlog
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
            if self._held() > self._backlog:
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
        """The results: of the recogniser, and of the wake words. Raises SessionError."""
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

    # --- in the engine's thread, under its lock

    def take(self) -> np.ndarray:
        """Up to a second of what waits."""
        taken, count = [], 0
        while self.waiting and count < MAX_PIECE_SAMPLES:
            block = self.waiting.popleft()
            if count + len(block) > MAX_PIECE_SAMPLES:
                block, rest = block[: MAX_PIECE_SAMPLES - count], block[MAX_PIECE_SAMPLES - count :]
                self.waiting.appendleft(rest)
            taken.append(block)
            count += len(block)
        if self._held() <= self._backlog and not self._room.is_set():
            self._loop.call_soon_threadsafe(self._room.set)
        return np.concatenate([np.zeros(0, np.float32), *taken])

    def tell(self, results: list[Any], last: bool = False) -> None:
        if results or last:
            self._loop.call_soon_threadsafe(self._told, results, last)

    # --- called back in the event loop

    def _told(self, results: list[Any], last: bool) -> None:
        for result in results:
            if self._unread and _replaces(result, self._unread[-1]):
                self._unread.pop()
            self._unread.append(result)
        if len(self._unread) > UNREAD:
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

    def _held(self) -> int:
        return sum(map(len, self.waiting))


def _replaces(new: Any, old: Any) -> bool:
    """Of a client that reads slowly, only the newest partial result is kept."""
    both = isinstance(new, Result) and isinstance(old, Result)
    return both and new.kind == old.kind == "partial" and new.segment == old.segment


class Live:
    """The sessions of an engine."""

    def __init__(self, engine: Engine, listener: Listener, metrics: Metrics, backlog: int):
        self.changed = engine.changed
        self._listener, self._metrics, self._backlog = listener, metrics, backlog
        self._sessions: list[Session] = []

    def open(self, words: bool = True, watch: Watch | None = None) -> Session:
        """words: whether speech is recognised; watch: the wake words to listen for."""
        session = Session(self, self._listener.stream() if words else None, watch, self._backlog)
        with self.changed:
            self._sessions.append(session)
        return session

    def forget(self, session: Session) -> None:
        with self.changed:
            if session in self._sessions:
                self._sessions.remove(session)

    @property
    def ready(self) -> bool:
        return any(s.waiting or s.ending for s in self._sessions)

    def step(self) -> None:
        with self.changed:
            heard = [(s, s.take()) for s in self._sessions if s.waiting]
            ended = [s for s in self._sessions if s.ending and not s.waiting]
        with self._metrics.busy("live"):
            self._feed(heard)
            self._flush(ended)
        self._metrics.heard("live", sum(len(block) for _, block in heard) / SAMPLE_RATE)

    def _feed(self, heard: list[tuple[Session, np.ndarray]]) -> None:
        spoken = [(s, s.stream, block) for s, block in heard if s.stream]
        try:
            for session, block in heard:
                session.tell(session.watch.feed(block) if session.watch else [])
            results = self._listener.feed([stream for _, stream, _ in spoken], [block for _, _, block in spoken])
        except Exception:
            return self._failed([s for s, _ in heard])
        for (session, _, _), found in zip(spoken, results):
            session.tell(found)

    def _flush(self, ended: list[Session]) -> None:
        spoken = [(s, s.stream) for s in ended if s.stream]
        try:
            results = self._listener.flush([stream for _, stream in spoken])
        except Exception:
            return self._failed([s for s, _ in spoken])
        for (session, _), found in zip(spoken, results):
            session.tell(found)
        for session in ended:
            session.tell([], last=True)
            self.forget(session)

    def _failed(self, sessions: list[Session]) -> None:
        """A mistake of ours: these streams end, the server goes on."""
        traceback.print_exc()
        for session in sessions:
            session.tell([SessionError("the server failed at this stream; its log says more")], last=True)
            self.forget(session)
