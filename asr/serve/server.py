"""uvicorn, with an end that lets live streams finish, and connections that may not stay silent."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from asr.commands.terminal import say
from asr.serve.service import Service

BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 22\r\nConnection: close\r\n\r\ntoo many connections.\n"
)
MESSAGE = 1_000_000  # bytes of a WebSocket message


class PatientServer(Server):
    def __init__(self, config: Config, service: Service):
        super().__init__(config)
        self._service = service

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            scheme = "https" if self.config.is_ssl else "http"
            host, port = server.sockets[0].getsockname()[:2]
            say(f"serving at {scheme}://{f'[{host}]' if ':' in host else host}:{port}; Ctrl-C ends")

    async def shutdown(self, sockets: Any = None) -> None:
        """New requests are refused, live streams get their last words, then the rest is waited for."""
        self._service.stopping.set()
        until = time.monotonic() + self._service.limits.grace
        while self._service.streams and time.monotonic() < until and not self.force_exit:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)


def server(app: Any, service: Service, certificate: str | None = None, key: str | None = None) -> PatientServer:
    limits = service.limits

    class Protocol(H11Protocol):
        """Closes what has sent no whole head of a request for a while, and what is one connection too many."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._silence = self.loop.call_later(limits.idle, self._give_up)
            if len(self.connections) > limits.connections:
                service.metrics.refused("connections")
                transport.write(BUSY)
                transport.close()

        def connection_lost(self, error: Exception | None) -> None:
            self._silence.cancel()
            super().connection_lost(error)

        def on_response_complete(self) -> None:
            self._silence.cancel()
            self._silence = self.loop.call_later(limits.idle, self._give_up)
            super().on_response_complete()

        def _give_up(self) -> None:
            waiting = self.cycle is None or self.cycle.response_complete
            if waiting and self.transport.get_protocol() is self:
                self.transport.abort()

    config = Config(
        app,
        http=Protocol,
        ws="websockets-sansio",
        ws_max_size=MESSAGE,
        ws_per_message_deflate=False,
        ws_ping_interval=None,  # the answer would wait behind unread sound; Limits.idle finds who has gone
        lifespan="on",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=round(limits.grace),
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    return PatientServer(config, service)
