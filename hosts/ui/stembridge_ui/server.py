"""The server below the page: on loopback alone, and with room for the page whatever else connects."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from plugin_core.errors import UsageError
from plugin_core.tasks import start

HOST: Final = "127.0.0.1"
STRANGERS: Final = 32
"""Connections that have not come in yet; the oldest makes room for one more."""
GUESTS: Final = 64
"""Connections that have; beyond that the one that came in first is closed."""
SILENCE: Final = 10.0
"""Seconds in which a connection must ask for something whole."""


def open_socket(port: int) -> socket.socket:
    """Take a port on loopback; 0 for any.

    Raises:
        UsageError: it is taken.
    """
    try:
        return socket.create_server((HOST, port), backlog=STRANGERS)
    except OSError as error:
        reason = str(error.strerror or error).partition(" (while")[0]
        raise UsageError(f"cannot listen on {HOST}:{port}: {reason}", remedy="give another --port") from error


async def serve(page: ASGIApp, listener: socket.socket, stop: asyncio.Event) -> None:
    """Answer until ``stop`` is set."""
    config = uvicorn.Config(
        page,
        http=_crowd(),
        ws="none",
        lifespan="off",
        loop="none",
        # Its own logs would hold the link.
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    watcher = start(_end(server, stop))
    try:
        await server.serve(sockets=[listener])
    finally:
        watcher.cancel()


class _Server(uvicorn.Server):
    """A server that leaves signals to the command."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _end(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True


def _crowd() -> type[H11Protocol]:
    strangers: dict[H11Protocol, None] = {}
    guests: dict[H11Protocol, None] = {}

    class Connection(H11Protocol):
        """One of at most so many: uvicorn itself waits for ever for the first byte, and for the rest of a request.

        What asks without the cookie is answered and closed at once, so that whoever has asked and stays has shown it.
        """

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._end = self.loop.call_later(SILENCE, transport.abort)
            _admit(self, strangers, STRANGERS)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.scope is not None and not self.transport.is_closing():
                self._end.cancel()
                strangers.pop(self, None)
                # Whoever asked last is closed last.
                guests.pop(self, None)
                _admit(self, guests, GUESTS)

        def connection_lost(self, exc: Exception | None) -> None:
            self._end.cancel()
            strangers.pop(self, None)
            guests.pop(self, None)
            super().connection_lost(exc)

    return Connection


def _admit(one: H11Protocol, crowd: dict[H11Protocol, None], most: int) -> None:
    crowd[one] = None
    while len(crowd) > most:
        oldest = next(iter(crowd))
        del crowd[oldest]
        oldest.transport.abort()
