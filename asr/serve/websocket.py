"""/v1/listen: live audio in, words out; docs/serving.md describes the messages."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from asr.audio.features import BAD_SAMPLES
from asr.live.stream import Result
from asr.serve.live import FormatError, PcmFormat, PcmReader, Session, SessionError
from asr.serve.service import Service

NORMAL, GOING_AWAY, BAD, OVER = 1000, 1001, 1003, 1008  # WebSocket's codes for an end (RFC 6455, 7.4.1)
SUBPROTOCOL = "asr"


FIELDS = {"type", "encoding", "rate", "channels", "partials", "words", "wake", "scores"}


@dataclass(frozen=True)
class Start:
    """A client's first message; each field may be left out."""

    format: PcmFormat = PcmFormat()
    partials: bool = True  # partial results, too
    words: bool = True  # recognise speech
    wake: tuple[str, ...] = ()  # wake words to listen for, by name
    scores: bool = False  # the detectors' outputs, too

    @staticmethod
    def of(text: str, known: Any) -> Start:
        """known: the wake words of this server, by name. Raises FormatError."""
        message = _message(text)
        if message.get("type") != "start":
            raise FormatError('the first message must be {"type": "start", ...}, or audio')
        if strange := sorted(message.keys() - FIELDS):
            raise FormatError(f"the start has no field {strange[0]!r}: it may have {', '.join(sorted(FIELDS))}")
        audio = {key: message[key] for key in ("encoding", "rate", "channels") if key in message}
        flags = {key: message[key] for key in ("partials", "words", "scores") if key in message}
        wake = message.get("wake", [])
        if not all(isinstance(flag, bool) for flag in flags.values()):
            raise FormatError("partials, words and scores must be true or false")
        if not (isinstance(wake, list) and all(isinstance(n, str) and n in known for n in wake)):
            raise FormatError(f"wake must be a list of names, of: {', '.join(known) or 'none here'}")
        return Start(PcmFormat(**audio), wake=tuple(wake), **flags)


class LiveText:
    """An ASGI application for one socket at a time, many at once."""

    def __init__(self, service: Service):
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket, service = WebSocket(scope, receive, send), self._service
        with service.place("stream"):
            await socket.accept(SUBPROTOCOL if SUBPROTOCOL in scope["subprotocols"] else None)
            with suppress(WebSocketDisconnect, OSError, RuntimeError):  # the client has gone, or reads nothing
                await Conversation(service, socket).run()


class Conversation:
    """One client: its first message, then sound from it and results to it at the same time."""

    def __init__(self, service: Service, socket: WebSocket):
        self._service, self._socket, self._idle = service, socket, service.limits.idle

    async def run(self) -> None:
        """Raises WebSocketDisconnect, TimeoutError and other OSErrors when the client is no longer there."""
        try:
            first = await self._service.unless_stopped(self._receive())
            if first is None:
                return await self._close(GOING_AWAY, kind="end")
            text = first.get("text")
            if text is not None and _message(text).get("type") == "end":  # nothing was said
                return await self._close(NORMAL, kind="end")
            start = Start.of(text, self._service.detectors) if text is not None else Start()
            warning = await self._talk(start, first)
            code = GOING_AWAY if self._service.stopping.is_set() else NORMAL
            await self._close(code, kind="end", **({"warning": warning} if warning else {}))
        except FormatError as error:
            await self._close(BAD, kind="error", message=str(error))
        except SessionError as error:
            await self._close(OVER, kind="error", message=str(error))

    async def _talk(self, start: Start, first: Any) -> str:
        """-> what was wrong with the sound, if anything was. Raises FormatError, SessionError."""
        session, pcm = self._service.session(start.words, list(start.wake)), PcmReader(start.format)
        writer = asyncio.create_task(self._write(session, start))
        reader = asyncio.create_task(self._read(session, pcm, first))
        try:
            done, _ = await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
            if reader in done:
                reader.result()  # raises what went wrong
                session.end()
            await writer
        finally:
            session.drop()
            reader.cancel()
            writer.cancel()
        return f"{pcm.bad_samples} {BAD_SAMPLES}" if pcm.bad_samples else ""

    async def _read(self, session: Session, pcm: PcmReader, first: Any) -> None:
        """Sound to the session until the client's end, or the server's."""
        message, max_stream_s = first, self._service.limits.stream
        until = time.monotonic() + max_stream_s
        while message:
            if message.get("bytes") is not None:
                await session.feed(pcm.feed(message["bytes"]))
            elif message is not first and _message(message["text"]).get("type") == "end":
                break
            elif message is not first:
                raise FormatError('after the start there may only be audio, and {"type": "end"}')
            if time.monotonic() > until:
                raise FormatError(f"a stream may last {max_stream_s:g} s: begin another one")
            message = await self._service.unless_stopped(self._receive())
        await session.feed(pcm.flush())

    async def _receive(self) -> Any:
        try:
            message = await asyncio.wait_for(self._socket.receive(), self._idle)
        except TimeoutError:
            raise FormatError(f"nothing came for {self._idle:g} s: the stream is ended") from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", NORMAL))
        return message

    async def _write(self, session: Session, start: Start) -> None:
        async for item in session:
            if isinstance(item, Result):
                if item.kind == "final":
                    self._service.log(item.text)
                if start.partials or item.kind != "partial":
                    await self._send(item.as_json())
                continue
            for content in _wake_messages(item, start.scores):
                await self._send(json.dumps(content))

    async def _send(self, text: str) -> None:
        """Raises TimeoutError when the client does not read."""
        await asyncio.wait_for(self._socket.send_text(text), self._idle)

    async def _close(self, code: int, **content: str) -> None:
        await self._send(json.dumps(content))
        await asyncio.wait_for(self._socket.close(code, content.get("message", "")[:100]), self._idle)


def _wake_messages(heard: Any, scores: bool) -> list[dict]:
    """heard: wakeword.several.Scored -> the messages about what a detector made of a block."""
    found = [
        {"kind": "wake", "name": heard.name, "time": round(d.time, 3), "score": round(d.score, 4)}
        for d in heard.detections
    ]
    if scores:
        values = [round(float(x), 4) for x in heard.scores]
        times = {"time": round(heard.time, 3), "step": round(heard.step, 4)}
        found.append({"kind": "scores", "name": heard.name, **times, "scores": values})
    return found


def _message(text: str) -> dict:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise FormatError("a message of text must be a JSON object")
    return found
