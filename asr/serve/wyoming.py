"""Wyoming, the protocol of Home Assistant's voice assistants: transcription and wake words as services.

An event is a line of JSON, then as many bytes of further data and of payload as the line says
(github.com/OHF-Voice/wyoming). Nobody vouches for the clients: what is too large is refused before it is read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial

import numpy as np
from wyoming.asr import Transcribe, Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error as ErrorAnswer
from wyoming.event import Event, Eventable, async_read_event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info, WakeModel, WakeProgram
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler, AsyncServer, HandlerFactory
from wyoming.wake import Detect, Detection, NotDetected

from asr import __version__
from asr.audio import SAMPLE_RATE
from asr.live.stream import Result
from asr.serve import Network
from asr.serve.engine import HTTPError
from asr.serve.live import FormatError, PcmFormat, PcmReader, Session, SessionError
from asr.serve.service import Service

LANGUAGE = "en"
ENCODINGS = {2: "s16le", 4: "s32le"}  # by the width of a sample in bytes
CLOSING_S = 5.0  # s in which the last of an answer must be read
MAX_EVENT_BYTES = 1_000_000  # of an event's data, and of its payload


class WyomingServer(AsyncServer):
    """At a socket that is open already, for clients of this machine and of the allowed networks."""

    def __init__(self, service: Service, listening: socket.socket, allowed: Sequence[Network]):
        super().__init__()
        self._service, self._listening, self._allowed = service, listening, allowed

    async def run(self, handler_factory: HandlerFactory | None = None) -> None:
        """Serve until the service stops, and let the clients have their last answers."""
        factory = handler_factory or partial(Connection, self._service)
        callback = partial(self._handler_callback, factory)
        server = await asyncio.start_server(callback, sock=self._listening)
        await self._service.stopping.wait()
        server.close()
        if self._handlers:
            await asyncio.wait(list(self._handlers), timeout=CLOSING_S)

    async def _handler_callback(
        self, handler_factory: HandlerFactory, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._admits(writer.get_extra_info("peername")[0]):
            await super()._handler_callback(handler_factory, reader, writer)
        else:
            writer.close()

    def _admits(self, address: str) -> bool:
        here, metrics = ipaddress.ip_address(address), self._service.metrics
        if not (here.is_loopback or any(here in network for network in self._allowed)):
            metrics.refused.labels("address").inc()
        elif len(self._handlers) >= self._service.limits.connections:
            metrics.refused.labels("connections").inc()
        else:
            return True
        return False


class Connection(AsyncEventHandler):
    """One client: a request (`transcribe`, `detect`), its audio, the answer; and again."""

    def __init__(self, service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        super().__init__(reader, writer)
        self._service = service
        self._request: Transcribe | Detect = Transcribe()
        self._session: Session | None = None  # of the audio under way
        self._opened = ExitStack()  # what the session holds
        self._format, self._pcm = PcmFormat(), PcmReader(PcmFormat())
        self._start_s, self._fed_s = 0.0, 0.0  # s of the audio before the session, and by now
        self._complained = False  # about chunks that came without a start
        self._detected = False

    async def run(self) -> None:
        """Answer events until the client's end, or the server's; then what is still open is finished."""
        try:
            while event := await self._next():
                await self.handle_event(event)
            await self._end(stopped=True)
        except (FormatError, SessionError, HTTPError) as error:
            with suppress(OSError):
                await self._answer(ErrorAnswer(str(error)))
                self.writer.write_eof()
                await asyncio.wait_for(self._discard(), CLOSING_S)  # an unread rest would take the answer with it
        except (OSError, asyncio.IncompleteReadError):  # the client has gone, or reads nothing
            pass
        finally:
            self._opened.close()
            self.writer.close()  # when what was written has gone out
            asyncio.get_running_loop().call_later(CLOSING_S, self.writer.transport.abort)

    async def handle_event(self, event: Event) -> bool:
        if Transcribe.is_type(event.type):
            await self._ask(Transcribe.from_event(event))
        elif Detect.is_type(event.type):
            await self._ask(Detect.from_event(event))
        elif Describe.is_type(event.type):
            await self._answer(info(self._service))
        elif Ping.is_type(event.type):
            await self._answer(Pong(Ping.from_event(event).text))
        elif AudioStart.is_type(event.type):
            await self._end()
            self._format, self._fed_s = _format(event, PcmFormat()), 0.0
            self._begin()
        elif AudioChunk.is_type(event.type):
            await self._hear(event)
        elif AudioStop.is_type(event.type):
            await self._end(stopped=True)
        return True

    async def _ask(self, request: Transcribe | Detect) -> None:
        """Also amid audio: what came so far is finished, and the rest belongs to the new request."""
        under_way = self._session is not None
        await self._end()
        self._request = request
        if isinstance(request, Detect) and not self._names():
            wanted, known = ", ".join(request.names or []), ", ".join(self._service.detectors) or "none"
            await self._answer(ErrorAnswer(f"there is no wake word {wanted} here, only {known}"))
        if under_way:
            self._begin()

    def _begin(self) -> None:
        detect = isinstance(self._request, Detect)
        names = self._names() if detect else []
        self._opened.enter_context(self._service.place("stream"))
        self._session = self._service.session(words=not detect, wake=names)
        self._opened.callback(self._session.drop)
        self._start_s, self._complained, self._detected = self._fed_s, False, False
        self._pcm = PcmReader(self._format)
        self._answering = asyncio.create_task(
            self._detections(self._session) if detect else self._transcript(self._session)
        )
        self._opened.callback(self._answering.cancel)

    def _names(self) -> list[str]:
        known, wanted = self._service.detectors, self._request.names
        if wanted is not None and not isinstance(wanted, list):
            raise FormatError("names must be a list")
        return [name for name in known if not wanted or name in wanted]

    async def _hear(self, event: Event) -> None:
        if not self._session:
            if not self._complained:
                await self._answer(ErrorAnswer("audio-chunk came before audio-start: send audio-start first"))
            self._complained = True
            return
        format = _format(event, self._format)
        if format != self._format:
            await self._feed(self._pcm.flush())
            self._format, self._pcm = format, PcmReader(format)
        await self._feed(self._pcm.feed(event.payload or b""))

    async def _feed(self, samples: np.ndarray) -> None:
        if self._session:
            self._fed_s += len(samples) / SAMPLE_RATE
            await self._session.feed(samples)

    async def _end(self, stopped: bool = False) -> None:
        """Finish the audio under way. stopped: by the client, who is told that nothing was detected."""
        if not self._session:
            return
        await self._feed(self._pcm.flush())
        self._session.end()
        await self._answering
        self._opened.close()
        self._session = None
        if stopped and isinstance(self._request, Detect) and not self._detected:
            await self._answer(NotDetected())

    async def _transcript(self, session: Session) -> None:
        """Sentences go out when they are written; as plain text words do as soon as they will not change any more."""
        finals: list[str] = []
        shown = 0  # words of the sentence under way that have gone out
        await self._answer(TranscriptStart(language=LANGUAGE))
        async for result in session:
            final = isinstance(result, Result) and result.kind == "final"
            new = (result.text if final else result.stable if self._service.plain else "").split()[shown:]
            if new:
                begins = not (shown or finals)
                await self._answer(TranscriptChunk(text=("" if begins else " ") + " ".join(new)))
                shown += len(new)
            if final:
                finals += [result.text] if result.text else []
                shown = 0
        self._service.log(" ".join(finals))
        await self._answer(Transcript(text=" ".join(finals), language=LANGUAGE))
        await self._answer(TranscriptStop())

    async def _detections(self, session: Session) -> None:
        start_s = self._start_s
        async for heard in session:
            for detection in heard.detections:
                self._detected = True
                time_ms = round(1_000 * (start_s + detection.time))
                await self._answer(Detection(name=heard.name, timestamp=time_ms))

    async def _next(self) -> Event | None:
        """The next event; None at the end, the client's or the server's."""
        return await self._service.unless_stopped(read_event(self.reader), self._service.limits.idle)

    async def _discard(self) -> None:
        while await self.reader.read(MAX_EVENT_BYTES):
            pass

    async def _answer(self, answer: Eventable) -> None:
        """Raises TimeoutError when the client does not read."""
        await asyncio.wait_for(self.write_event(answer.event()), self._service.limits.idle)


class _BoundedReader:
    """The part of a stream that `async_read_event` asks for, with a limit to what an event may hold."""

    def __init__(self, reader: asyncio.StreamReader):
        self._reader = reader

    async def readline(self) -> bytes:
        try:
            return await self._reader.readline()
        except ValueError:  # a line may be as long as the reader's limit: 64 KiB
            raise FormatError("a line is too long to be an event") from None

    async def readexactly(self, count: int) -> bytes:
        if count > MAX_EVENT_BYTES:
            raise FormatError(f"an event may hold {MAX_EVENT_BYTES} bytes of sound or data, and this one has {count}")
        return await self._reader.readexactly(count)


async def read_event(reader: asyncio.StreamReader) -> Event | None:
    """The next event; None at the end. Raises FormatError, asyncio.IncompleteReadError."""
    try:
        event = await async_read_event(_BoundedReader(reader))
    except (AttributeError, LookupError, RecursionError, TypeError):  # the package trusts the JSON that it gets
        raise FormatError("this is no event of Wyoming's") from None
    if event and not (isinstance(event.type, str) and isinstance(event.data, dict)):
        raise FormatError("this is no event of Wyoming's")
    return event


def _format(event: Event, default: PcmFormat) -> PcmFormat:
    """How the samples of a start or a chunk are written; default: what the event does not say. Raises FormatError."""
    data, encoding = event.data, default.encoding
    if (width := data.get("width")) is not None:
        encoding = ENCODINGS.get(width, "") if isinstance(width, int) else ""
    if not encoding:
        raise FormatError("audio must have samples of 2 or 4 bytes")
    return PcmFormat(encoding, data.get("rate", default.rate), data.get("channels", default.channels))


def info(service: Service) -> Info:
    """What Home Assistant is told about the services: the recogniser, and the wake words if there are any."""
    common = {"attribution": Attribution(name="asr", url=""), "installed": True, "version": __version__}
    model = AsrModel(name=service.model, description="BiGRU with CTC", languages=["en"], **common)
    program = AsrProgram(
        name="asr",
        description="Speech recognition without a cloud",
        models=[model],
        supports_transcript_streaming=True,
        **common,
    )
    words = [
        WakeModel(name=name, description=detector.phrase, phrase=detector.phrase, languages=["en"], **common)
        for name, detector in service.detectors.items()
    ]
    wake = WakeProgram(name="wakeword", description="Wake words without a cloud", models=words, **common)
    return Info(asr=[program], wake=[wake] if words else [])
