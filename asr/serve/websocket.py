"""/v1/listen: live audio in, words out; docs/serving.md describes the messages."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from asr.commands.display import as_json
from asr.live.stream import Result
from asr.serve.guard import SUBPROTOCOL
from asr.serve.live import Session, SessionError
from asr.serve.pcm import FormatError, PcmFormat, PcmReader
from asr.serve.service import Service

NORMAL, GOING_AWAY, BAD, OVER = 1000, 1001, 1003, 1008  # WebSocket's codes for an end (RFC 6455, 7.4.1)


class ProtocolError(ValueError):
    """One sentence: what a client's message should have been."""


@dataclass(frozen=True)
class Start:
    """A client's first message; each field may be left out."""

    format: PcmFormat = PcmFormat()
    partials: bool = True  # partial results, too
    words: bool = True  # recognise speech
    wake: tuple[str, ...] = ()  # wake words to listen for, by name
    scores: bool = False  # the detectors' outputs, too

    @staticmethod
    def of(text: str, known: dict[str, Any]) -> Start:
        """known: the wake words of this server. Raises ProtocolError, FormatError."""
        message = _message(text)
        if message.get("type") != "start":
            raise ProtocolError('the first message must be {"type": "start", ...}, or audio')
        audio = {key: message[key] for key in ("encoding", "rate", "channels") if key in message}
        flags = {key: message[key] for key in ("partials", "words", "scores") if key in message}
        wake = message.get("wake", [])
        if not all(isinstance(flag, bool) for flag in flags.values()):
            raise ProtocolError("partials, words and scores must be true or false")
        if not (isinstance(wake, list) and all(isinstance(n, str) and n in known for n in wake)):
            raise ProtocolError(f"wake must be a list of names, of: {', '.join(known) or 'none here'}")
        return Start(PcmFormat(**audio), wake=tuple(wake), **flags)


class LiveText:
    """An ASGI application for one socket at a time, many at once."""

    def __init__(self, service: Service):
        self._service = service

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        socket, service = WebSocket(scope, receive, send), self._service
        with service.place("stream"):
            await socket.accept(SUBPROTOCOL if SUBPROTOCOL in scope["subprotocols"] else None)
            with suppress(WebSocketDisconnect, OSError, RuntimeError):  # the client has gone
                await self._talk(socket)

    async def _talk(self, socket: WebSocket) -> None:
        try:
            first = await self._service.unless_stopped(self._receive(socket))
            if first is None:
                return await _end(socket, GOING_AWAY)
            start = Start.of(first["text"], self._service.detectors) if first.get("text") is not None else Start()
        except (ProtocolError, FormatError) as error:
            return await _fail(socket, str(error), BAD)
        session = self._service.session(start.words, list(start.wake))
        writer = asyncio.create_task(self._write(socket, session, start))
        reader = asyncio.create_task(self._read(socket, session, PcmReader(start.format), first))
        try:
            done, _ = await asyncio.wait({writer, reader}, return_when=asyncio.FIRST_COMPLETED)
            if reader in done:
                reader.result()  # raises what went wrong
                session.end()
            await writer
            stopping = self._service.stopping.is_set()
            await _end(socket, GOING_AWAY if stopping else NORMAL)
        except (ProtocolError, FormatError) as error:
            await _fail(socket, str(error), BAD)
        except SessionError as error:
            await _fail(socket, str(error), OVER)
        finally:
            session.drop()
            reader.cancel()
            writer.cancel()

    async def _read(self, socket: WebSocket, session: Session, pcm: PcmReader, first: dict) -> None:
        """Sound to the session until the client's end, or the server's."""
        message: dict | None = first
        longest = self._service.limits.stream
        until = time.monotonic() + longest
        while message:
            if message.get("bytes") is not None:
                await session.feed(pcm.feed(message["bytes"]))
            elif message is not first and _message(message["text"]).get("type") == "end":
                break
            elif message is not first:
                raise ProtocolError('after the start there may only be audio, and {"type": "end"}')
            if time.monotonic() > until:
                raise ProtocolError(f"a stream may last {longest:g} s: begin another one")
            message = await self._service.unless_stopped(self._receive(socket))
        await session.feed(pcm.flush())

    async def _receive(self, socket: WebSocket) -> dict:
        try:
            message = await asyncio.wait_for(socket.receive(), self._service.limits.idle)
        except TimeoutError:
            raise ProtocolError(f"nothing came for {self._service.limits.idle:g} s: the stream is ended") from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", NORMAL))
        return message

    async def _write(self, socket: WebSocket, session: Session, start: Start) -> None:
        async for item in session:
            if isinstance(item, Result):
                if item.kind == "final":
                    self._service.said(item.text)
                if start.partials or item.kind != "partial":
                    await socket.send_text(as_json(item))
                continue
            for content in _wake(item, start.scores):
                await socket.send_text(json.dumps(content))


def _wake(heard: Any, scores: bool) -> list[dict]:
    """The messages about what a detector made of a block."""
    told = [
        {"kind": "wake", "name": heard.name, "time": round(d.time, 3), "score": round(d.score, 4)}
        for d in heard.detections
    ]
    if scores:
        values = [round(float(x), 4) for x in heard.scores]
        times = {"time": round(heard.time, 3), "step": round(heard.step, 4)}
        told.append({"kind": "scores", "name": heard.name, **times, "scores": values})
    return told


def _message(text: str) -> dict:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ProtocolError("a message of text must be a JSON object")
    return found


async def _end(socket: WebSocket, code: int) -> None:
    await socket.send_text(json.dumps({"kind": "end"}))
    await socket.close(code)


async def _fail(socket: WebSocket, text: str, code: int) -> None:
    await socket.send_text(json.dumps({"kind": "error", "message": text}))
    await socket.close(code, text[:100])
