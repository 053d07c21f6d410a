"""The routes of the HTTP server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from asr.serve.guard import Guard, refusal
from asr.serve.service import ALIASES, HTTPError, Service
from asr.serve.transcriptions import Transcriptions
from asr.serve.websocket import LiveText

PAGE = Path(__file__).parent / "page"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def application(service: Service, *beside: Any) -> Starlette:
    """beside: asynchronous contexts that are open as long as the application runs."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        service.start()
        async with AsyncExitStack() as stack:
            for context in beside:
                await stack.enter_async_context(context)
            yield
        service.stop()

    async def models(request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_model(name) for name in (service.model, *ALIASES)]})

    async def model(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in (service.model, *ALIASES):
            raise HTTPError(
                404, "there is no such model here: GET /v1/models names them", "model_not_found", param="model"
            )
        return JSONResponse(_model(name))

    async def metrics(request: Request) -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def health(request: Request) -> Response:
        stopping = service.stopping.is_set()
        return PlainTextResponse("stopping\n" if stopping else "ok\n", 503 if stopping else 200)

    async def wake(request: Request) -> Response:
        found = [
            {"name": n, "phrase": d.phrase, "threshold": d.options.threshold} for n, d in service.detectors.items()
        ]
        return JSONResponse({"data": found})

    async def page(request: Request) -> Response:
        return FileResponse(PAGE / "index.html", headers=HEADERS)

    routes = [
        Route("/v1/audio/transcriptions", Transcriptions(service), methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/models/{name}", model),
        Route("/v1/wake", wake),
        WebSocketRoute("/v1/listen", LiveText(service)),
        Route("/metrics", metrics),
        Route("/healthz", health),
        Route("/", page),
        Mount("/page", _Files(directory=PAGE)),
    ]
    handlers = {HTTPException: _http_error}
    return Starlette(
        routes=routes, middleware=[Middleware(Guard, service)], exception_handlers=handlers, lifespan=lifespan
    )


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Any) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


def _model(name: str) -> dict:
    return {"id": name, "object": "model", "created": 0, "owned_by": "asr"}


async def _http_error(request: Request, error: HTTPException) -> Response:
    """Starlette's own refusals, as ours look."""
    texts = {404: "there is nothing at this address", 405: "this address does not take this method"}
    text = texts.get(error.status_code, f"{error.detail}")
    response = refusal(HTTPError(error.status_code, text, "http", param=None))
    response.headers.update(error.headers or {})
    return response
