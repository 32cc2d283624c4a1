"""A page or receiver served until it is told to stop, with connections that all end (Starlette on uvicorn)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, ClassVar

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from plugin_core.errors import UsageError
from plugin_core.tasks import start


def bind(host: str, port: int, *, backlog: int, option: str) -> socket.socket:
    """Take an address.

    Args:
        host: a name or number of this machine.
        port: 0 for any.
        backlog: callers that wait until they are let in.
        option: where the user names another address.

    Raises:
        UsageError: it is taken already, or none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=backlog)
    except OSError as error:
        # What create_server appends to the reason says no more.
        reason = str(error.strerror or error).partition(" (while")[0]
        raise UsageError(
            f"cannot listen on {show_address(host, port)}: {reason}", remedy=f"give another {option}"
        ) from error


def show_address(host: str, port: int) -> str:
    """Write host and port as they stand in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class MortalConnection(H11Protocol):
    """Ends after its lifetime: uvicorn itself waits for ever for the first byte and for the rest of a request."""

    lifetime: ClassVar[float]
    """Seconds."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.end = self.loop.call_later(self.lifetime, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self.end.cancel()
        super().connection_lost(exc)


async def answer(
    application: ASGIApp,
    listener: socket.socket,
    stop: asyncio.Event,
    connection: type[MortalConnection],
    *,
    most: int | None = None,
    keep_alive: int,
    grace: int,
) -> None:
    """Answer until ``stop`` is set; signals are the command's.

    Args:
        application: what answers.
        listener: an open socket.
        stop: ends it.
        connection: the kind of each connection.
        most: requests at the same time, beyond which 503 is answered; None: any number.
        keep_alive: seconds for which a connection may rest between two requests.
        grace: seconds for which requests may go on once it is stopped.
    """
    config = uvicorn.Config(
        application,
        http=connection,
        ws="none",
        lifespan="off",
        loop="none",
        # Its own logs would hold paths and links that let people in.
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=most,
        timeout_keep_alive=keep_alive,
        timeout_graceful_shutdown=grace,
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
