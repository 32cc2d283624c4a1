"""The server below the page: on loopback alone, and with room for the page whatever else connects."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

from starlette.types import ASGIApp

from plugin_core.web_server import MortalConnection, answer, bind

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
    return bind(HOST, port, backlog=STRANGERS, option="--port")


async def serve(page: ASGIApp, listener: socket.socket, stop: asyncio.Event) -> None:
    """Answer until ``stop`` is set."""
    await answer(page, listener, stop, _crowd(), keep_alive=30, grace=1)


def _crowd() -> type[MortalConnection]:
    strangers: dict[MortalConnection, None] = {}
    guests: dict[MortalConnection, None] = {}

    class Visitor(MortalConnection):
        """One of at most so many, which lives on once it has asked for something whole.

        What asks without the cookie is answered and closed at once, so that whoever has asked and stays has shown it.
        """

        lifetime = SILENCE

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            _admit(self, strangers, STRANGERS)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.scope is not None and not self.transport.is_closing():
                self.end.cancel()
                strangers.pop(self, None)
                # Whoever asked last is closed last.
                guests.pop(self, None)
                _admit(self, guests, GUESTS)

        def connection_lost(self, exc: Exception | None) -> None:
            strangers.pop(self, None)
            guests.pop(self, None)
            super().connection_lost(exc)

    return Visitor


def _admit(one: MortalConnection, crowd: dict[MortalConnection, None], most: int) -> None:
    crowd[one] = None
    while len(crowd) > most:
        oldest = next(iter(crowd))
        del crowd[oldest]
        oldest.transport.abort()
