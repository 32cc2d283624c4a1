"""The server below the application, as patient with its callers as it must be and no more."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from plugin_core.errors import UsageError
from plugin_core.tasks import start

CONNECTIONS: Final = 64
"""Callers at the same time; more are answered by 503."""

LIFETIME: Final = 30.0
"""Seconds a connection may last, whatever its caller does."""


def open_socket(host: str, port: int) -> socket.socket:
    """Take an address.

    Raises:
        UsageError: it is taken already, or none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=CONNECTIONS)
    except OSError as error:
        # What create_server appends to the reason says no more.
        reason = str(error.strerror or error).partition(" (while")[0]
        raise UsageError(
            f"cannot listen on {show_address(host, port)}: {reason}", remedy="give another --address HOST:PORT"
        ) from error


def show_address(host: str, port: int) -> str:
    """Write host and port as they stand in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def serve(
    application: Starlette, listener: socket.socket, stop: asyncio.Event, *, lifetime: float = LIFETIME
) -> None:
    """Answer calls until ``stop`` is set."""
    config = uvicorn.Config(
        application,
        http=_mortal(lifetime),
        ws="none",
        lifespan="off",
        loop="none",
        # Its own logs would hold the paths.
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=3,
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


def _mortal(lifetime: float) -> type[H11Protocol]:
    class MortalProtocol(H11Protocol):
        """Ends every connection in time: uvicorn itself waits for ever for the first byte and for the rest of one."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._end = self.loop.call_later(lifetime, transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            self._end.cancel()
            super().connection_lost(exc)

    return MortalProtocol
