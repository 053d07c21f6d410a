"""Wyoming, the protocol of Home Assistant's voice assistants: transcription and wake words as services."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event, Eventable, async_write_event
from wyoming.info import Describe
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect, Detection, NotDetected

from asr.live.stream import Result
from asr.serve.live import Session, SessionError
from asr.serve.pcm import FormatError, PcmFormat, PcmReader
from asr.serve.service import HTTPError, Service
from asr.serve.wyoming_events import EventError, read_event
from asr.serve.wyoming_info import info

LANGUAGE = "en"
ENCODINGS = {2: "s16le", 4: "s32le"}  # by the width of a sample in bytes
CLOSING = 5.0  # s in which the last of an answer must be read

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@asynccontextmanager
async def wyoming_server(service: Service, listening: socket.socket, allowed: Sequence[Network]) -> AsyncIterator[None]:
    """Open for clients of the allowed networks, and of this machine, as long as the context."""
    tasks: set[asyncio.Task] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            tasks.add(task)
        try:
            if _admitted(service, writer, allowed, len(tasks)):
                await Connection(service, reader, writer).run()
        finally:
            tasks.discard(asyncio.current_task())
            writer.close()  # when what was written has gone out
            asyncio.get_running_loop().call_later(CLOSING, writer.transport.abort)

    server = await asyncio.start_server(connected, sock=listening)
    try:
        yield
    finally:
        server.close()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSING)


def _admitted(service: Service, writer: asyncio.StreamWriter, allowed: Sequence[Network], count: int) -> bool:
    address = writer.get_extra_info("peername")[0]
    here = ipaddress.ip_address(address)
    if not (here.is_loopback or any(here in network for network in allowed)):
        service.metrics.refused("address")
    elif count > service.limits.connections:
        service.metrics.refused("connections")
    elif service.rate.wait(address, time.monotonic()):
        service.metrics.refused("rate")
    else:
        return True
    return False


class Connection:
    """One client: a request (`transcribe`, `detect`), its audio, the answer; and again."""

    def __init__(self, service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._service, self._reader, self._writer = service, reader, writer
        self._request: Transcribe | Detect = Transcribe()

    async def run(self) -> None:
        gone = (OSError, EventError, FormatError, asyncio.IncompleteReadError, TimeoutError, SessionError, HTTPError)
        with suppress(*gone):
            while event := await self._next():
                if Transcribe.is_type(event.type):
                    self._request = Transcribe.from_event(event)
                elif Detect.is_type(event.type):
                    self._request = Detect.from_event(event)
                elif Describe.is_type(event.type):
                    await self._write(info(self._service))
                elif Ping.is_type(event.type):
                    await self._write(Pong(Ping.from_event(event).text))
                elif AudioStart.is_type(event.type):
                    await self._audio(event)

    async def _audio(self, start: Event) -> None:
        """One piece of audio, from its start to its stop."""
        pcm, detect = PcmReader(_format(start)), isinstance(self._request, Detect)
        names = self._names() if detect else []
        with self._service.place("stream"):
            session = self._service.session(words=not detect, wake=names)
            answering = asyncio.create_task(self._detections(session) if detect else self._transcript(session))
            try:
                while (event := await self._next()) and not AudioStop.is_type(event.type):
                    if AudioChunk.is_type(event.type):
                        await session.feed(pcm.feed(event.payload or b""))
                    elif Ping.is_type(event.type):
                        await self._write(Pong(Ping.from_event(event).text))
                await session.feed(pcm.flush())
                session.end()
                await answering
            finally:
                answering.cancel()
                session.drop()

    def _names(self) -> list[str]:
        known, wanted = self._service.detectors, self._request.names
        if wanted is not None and not isinstance(wanted, list):
            raise EventError("names must be a list")
        return [name for name in known if not wanted or name in wanted]

    async def _transcript(self, session: Session) -> None:
        """Words go out as soon as they will not change any more."""
        finals: list[str] = []
        told = 0  # words of the sentence under way
        await self._write(TranscriptStart(language=LANGUAGE))
        async for result in session:
            final = isinstance(result, Result) and result.kind == "final"
            new = (result.text if final else result.stable).split()[told:]
            if new:
                begins = not (told or finals)
                await self._write(TranscriptChunk(text=("" if begins else " ") + " ".join(new)))
                told += len(new)
            if final:
                finals += [result.text] * bool(result.text)
                told = 0
        self._service.said(" ".join(finals))
        await self._write(Transcript(text=" ".join(finals), language=LANGUAGE))
        await self._write(TranscriptStop())

    async def _detections(self, session: Session) -> None:
        any_found = False
        async for heard in session:
            for detection in heard.detections:
                any_found = True
                await self._write(Detection(name=heard.name, timestamp=round(1_000 * detection.time)))
        if not any_found:
            await self._write(NotDetected())

    async def _next(self) -> Event | None:
        """The next event; None at the end, the client's or the server's."""
        return await self._service.unless_stopped(read_event(self._reader), self._service.limits.idle)

    async def _write(self, event: Eventable) -> None:
        await asyncio.wait_for(async_write_event(event.event(), self._writer), self._service.limits.idle)


def _format(event: Event) -> PcmFormat:
    """Raises FormatError."""
    data = event.data
    encoding = ENCODINGS.get(data.get("width")) if isinstance(data.get("width"), int) else None
    if not encoding:
        raise FormatError("audio must have samples of 2 or 4 bytes")
    return PcmFormat(encoding, data.get("rate"), data.get("channels"))
