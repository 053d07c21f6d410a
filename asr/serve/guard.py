"""Stands before every request: who may ask, how often, how much, how slowly."""

from __future__ import annotations

import asyncio
import hmac
import time
from typing import Any
from urllib.parse import SplitResult, urlsplit

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from asr.serve.limits import is_loopback
from asr.serve.service import HTTPError, Service

SUBPROTOCOL = "asr"  # of WebSocket; a browser sends its token as a second one, "bearer.TOKEN"
SLACK = 100_000  # bytes of a request beside the upload


class ClientGone(OSError):
    """The client does not read its answer."""


class Guard:
    """ASGI middleware."""

    def __init__(self, app: Any, service: Service):
        self._app, self._service = app, service

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        service, answer = self._service, Answer(send, self._service)
        try:
            self._admit(scope, headers)
            await self._app(scope, Body(receive, headers, scope, service), answer.send)
        except HTTPError as refused:
            service.metrics.refused(refused.reason)
            if not answer.status:
                await refusal(refused)(scope, receive, answer.send)
        except (ClientDisconnect, ClientGone):
            service.metrics.refused("gone")
        finally:
            service.metrics.answered(route(scope["path"]), answer.status)

    def _admit(self, scope: dict, headers: dict[str, str]) -> None:
        """Raises HTTPError."""
        path, service = scope["path"], self._service
        origin, host = headers.get("origin"), headers.get("host", "")
        if origin is not None and _address(origin).netloc != host:
            raise HTTPError(403, "pages of other sites may not use this server", "origin")
        if not service.token and not is_loopback(_address(f"//{host}").hostname or ""):
            raise HTTPError(403, "without a token this server answers to localhost only", "host")
        if not path.startswith("/v1/") and path != "/metrics":
            return
        wait = service.rate.wait((scope.get("client") or ("",))[0], time.monotonic())
        if wait:
            raise HTTPError(429, f"more than {service.limits.rate:g} requests a minute: try again later", "rate", wait)
        if service.token and not _authorised(scope, headers, service.token):
            text = "this server needs its token: send the header 'Authorization: Bearer TOKEN'"
            raise HTTPError(401, text, "token")


class Body:
    """An ASGI `receive` that gives up on bodies that are too large, or do not come."""

    def __init__(self, receive: Any, headers: dict[str, str], scope: dict, service: Service):
        self._receive, self._limits = receive, service.limits
        self._left, self._complete = service.limits.upload + SLACK, scope["type"] != "http"
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._left:
            raise self._too_large

    async def __call__(self) -> dict:
        if self._complete:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._limits.idle)
        except TimeoutError:
            text = f"nothing came for {self._limits.idle:g} s: the request is given up"
            raise HTTPError(408, text, "idle") from None
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise self._too_large
        self._complete = not message.get("more_body", False)
        return message

    @property
    def _too_large(self) -> HTTPError:
        most = f"{self._limits.upload / 1e6:g} MB"
        return HTTPError(413, f"the request is larger than {most}: compress the audio or send it in parts", "size")


class Answer:
    """An ASGI `send` that remembers the status, and gives up on clients that do not read."""

    def __init__(self, send: Any, service: Service):
        self._send, self._idle = send, service.limits.idle
        self.status = 0  # none yet

    async def send(self, message: dict) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
        elif message["type"] == "websocket.accept":
            self.status = 101
        try:
            await asyncio.wait_for(self._send(message), self._idle)
        except TimeoutError:
            raise ClientGone from None


def refusal(refused: HTTPError) -> JSONResponse:
    """In the form of the OpenAI API's errors."""
    kind = "invalid_request_error" if refused.status < 500 else "server_error"
    error = {"message": refused.text, "type": kind, "param": refused.param, "code": refused.reason}
    headers = {"Retry-After": str(refused.retry)} if refused.retry else {}
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": error}, refused.status, headers)


def route(path: str) -> str:
    """The part of a path that is counted: never more than a few."""
    known = ("/v1/audio/transcriptions", "/v1/models", "/v1/listen", "/v1/wake", "/metrics", "/healthz", "/")
    return path if path in known else "other"


def _address(text: str) -> SplitResult:
    """Of a header; empty where it is none."""
    try:
        return urlsplit(text)
    except ValueError:
        return urlsplit("")


def _authorised(scope: dict, headers: dict[str, str], token: str) -> bool:
    given = headers.get("authorization", "")
    offered = scope.get("subprotocols", ()) if scope["type"] == "websocket" else ()
    candidates = [given[7:]] if given[:7].lower() == "bearer " else []
    candidates += [name.removeprefix("bearer.") for name in offered if name.startswith("bearer.")]
    return any(hmac.compare_digest(c.strip().encode(), token.encode()) for c in candidates)
