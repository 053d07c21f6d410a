"""The HTTP server: its routes, what it checks before every request, and its end, which lets live streams finish."""

from __future__ import annotations

import asyncio
import hmac
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn import Config, Server

from asr.commands.terminal import say
from asr.serve import is_loopback
from asr.serve.engine import HTTPError
from asr.serve.service import ALIASES, Service
from asr.serve.transcriptions import Transcriptions, captions, error_body
from asr.serve.websocket import LiveText

PAGE = Path(__file__).parent / "page"
HEADERS = {  # of every answer: what browsers may do with it
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
MAX_FORM_BYTES = 100_000  # of a request beside the upload
MAX_MESSAGE_BYTES = 1_000_000  # of WebSocket
ROUTES = ("/v1/audio/transcriptions", "/v1/models", "/v1/listen", "/v1/wake", "/metrics", "/healthz", "/")


def application(service: Service, beside: Callable[[], Coroutine[None, None, None]] | None = None) -> Starlette:
    """beside: what else runs until the service stops, such as Wyoming's server."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        service.start()
        task = asyncio.create_task(beside()) if beside else None
        yield
        if task:
            await task
        service.engine.stop()

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_model(name) for name in (service.model, *ALIASES)]})

    async def model(request: Request) -> Response:
        name, text = request.path_params["name"], "there is no such model here: GET /v1/models names them"
        if name not in (service.model, *ALIASES):
            raise HTTPError(404, text, "model_not_found", param="model")
        return JSONResponse(_model(name))

    async def translations(request: Request) -> Response:
        text = "this server writes English speech as English text and translates nothing: use /v1/audio/transcriptions"
        raise HTTPError(400, text, "not_supported")

    async def metrics(request: Request) -> Response:
        text = generate_latest(service.metrics.registry)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def health(request: Request) -> Response:
        stopping = service.stopping.is_set()
        return PlainTextResponse("stopping\n" if stopping else "ok\n", 503 if stopping else 200)

    async def wake(request: Request) -> Response:
        words = service.detectors.items()
        found = [{"name": n, "phrase": d.phrase, "threshold": d.options.threshold} for n, d in words]
        return JSONResponse({"data": found})

    async def page(request: Request) -> Response:
        return FileResponse(PAGE / "index.html")

    routes = [
        Route("/v1/audio/transcriptions", Transcriptions(service), methods=["POST"]),
        Route("/v1/audio/translations", translations, methods=["POST"]),
        Route("/v1/captions", captions, methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/models/{name}", model),
        Route("/v1/wake", wake),
        WebSocketRoute("/v1/listen", LiveText(service)),
        Route("/metrics", metrics),
        Route("/healthz", health),
        Route("/", page),
        Mount("/page", StaticFiles(directory=PAGE)),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, service)],
        exception_handlers={HTTPException: _http_error},
        lifespan=lifespan,
    )


def _model(name: str) -> dict:
    return {"id": name, "object": "model", "created": 0, "owned_by": "asr"}


async def _http_error(request: Request, error: Exception) -> Response:
    """Starlette's own refusals, as ours look."""
    assert isinstance(error, HTTPException)
    texts = {404: "there is nothing at this address", 405: "this address does not take this method"}
    response = refusal(HTTPError(error.status_code, texts.get(error.status_code, error.detail), "http"))
    response.headers.update(error.headers or {})
    return response


def refusal(error: HTTPError) -> JSONResponse:
    """The answer to a request that is refused."""
    headers = {"Retry-After": str(error.retry)} if error.retry else {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error_body(error), error.status, headers)


class Guard:
    """ASGI middleware before every request: who may ask, how much may be sent, how long sending may pause."""

    def __init__(self, app: ASGIApp, service: Service):
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        status, metrics = 0, self._service.metrics  # 0: no answer

        async def noted(message: Message) -> None:
            nonlocal status
            status = 101 if message["type"] == "websocket.accept" else message.get("status", status)
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            self._admit(scope)
            await self._app(scope, self._limited(scope, receive), noted)
        except HTTPError as error:
            metrics.refused.labels(error.reason).inc()
            if not status:
                await refusal(error)(scope, receive, noted)
        except ClientDisconnect:
            metrics.refused.labels("gone").inc()
        finally:
            metrics.requests.labels(counted_route(scope["path"]), str(status)).inc()

    def _admit(self, scope: Scope) -> None:
        """Raises HTTPError."""
        headers, token = Headers(scope=scope), self._service.token
        origin, host = headers.get("origin"), headers.get("host", "")
        if origin is not None and _address(origin).netloc != host:
            raise HTTPError(403, "pages of other sites may not use this server", "origin")
        if not token and not is_loopback(_address(f"//{host}").hostname or ""):
            raise HTTPError(403, "without a token this server answers to localhost only", "host")
        needs_token = scope["path"].startswith("/v1/") or scope["path"] == "/metrics"
        if token and needs_token and not _authorised(scope, headers, token):
            text = "this server needs its token: send the header 'Authorization: Bearer TOKEN'"
            raise HTTPError(401, text, "token")

    def _limited(self, scope: Scope, receive: Receive) -> Receive:
        """A `receive` that gives up on bodies that are too large, or do not come. Raises HTTPError."""
        limits, length = self._service.limits, Headers(scope=scope).get("content-length", "")
        text = f"the request is larger than {limits.upload / 1e6:g} MB: compress the audio or send it in parts"
        too_large = HTTPError(413, text, "size")
        left, complete = limits.upload + MAX_FORM_BYTES, scope["type"] != "http"
        if length.isdecimal() and int(length) > left:
            raise too_large

        async def limited() -> Message:
            nonlocal left, complete
            if complete:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), limits.idle)
            except TimeoutError:
                text = f"nothing came for {limits.idle:g} s: the request is given up"
                raise HTTPError(408, text, "idle") from None
            left -= len(message.get("body", b""))
            if left < 0:
                raise too_large
            complete = not message.get("more_body", False)
            return message

        return limited


def counted_route(path: str) -> str:
    """The name under which a path is counted: there are never more than a few."""
    return path if path in ROUTES else "other"


def _address(text: str) -> SplitResult:
    """The parts of a header that names an address; empty where it is none."""
    try:
        return urlsplit(text)
    except ValueError:
        return urlsplit("")


def _authorised(scope: Scope, headers: Headers, token: str) -> bool:
    """A browser cannot give a WebSocket headers: it sends the token as a second subprotocol, "bearer.TOKEN"."""
    given = headers.get("authorization", "")
    candidates = [given[7:]] if given[:7].lower() == "bearer " else []
    candidates += [n.removeprefix("bearer.") for n in scope.get("subprotocols", ()) if n.startswith("bearer.")]
    return any(hmac.compare_digest(c.strip().encode(), token.encode()) for c in candidates)


class GracefulServer(Server):
    """uvicorn, with an end that lets live streams finish."""

    def __init__(self, app: ASGIApp, service: Service):
        limits, self._service = service.limits, service
        config = Config(
            app,
            http="h11",
            ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,
            ws_ping_interval=None,  # the answer would wait behind unread sound; Limits.idle finds who has gone
            lifespan="on",
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=limits.connections + 1,  # uvicorn refuses the one that reaches it
            timeout_graceful_shutdown=round(limits.grace),
        )
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            host, port = server.sockets[0].getsockname()[:2]
            say(f"serving at http://{f'[{host}]' if ':' in host else host}:{port}; Ctrl-C ends")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """New requests are refused, live streams get their last words, then the rest is waited for."""
        self._service.stopping.set()
        until = time.monotonic() + self._service.limits.grace
        while self._service.streams and time.monotonic() < until and not self.force_exit:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)
