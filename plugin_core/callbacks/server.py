"""What answers the calls, and the server below: as patient with callers as it must be, and no more."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from plugin_core.abilities import HasCallbacks
from plugin_core.callbacks import Paths
from plugin_core.errors import ServiceError, StembridgeError, blame
from plugin_core.web_server import MortalConnection, answer, bind


class Allowance:
    """A bucket of calls that fills again by itself.

    Args:
        burst: calls that may come at once.
        rate: calls a second after that.
        clock: seconds, growing.
    """

    def __init__(self, burst: int, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = float(burst)
        self._rate = rate
        self._clock = clock
        self._left = float(burst)
        self._seen = clock()

    def take(self) -> bool:
        """Take one call; False when there is none left."""
        now = self._clock()
        self._left = min(self._burst, self._left + max(now - self._seen, 0.0) * self._rate)
        self._seen = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    @property
    def seconds(self) -> float:
        """Seconds until there is one again."""
        return max(0.0, (1.0 - self._left) / self._rate)


LARGEST: Final = 256 * 1024
"""Bytes a call may have; a whole job of any service has far less."""

MOST_NAMES: Final = 100
"""Names looked at in one call."""

BODY_SECONDS: Final = 10.0
"""Seconds a body may take to arrive."""

Wake = Callable[[Collection[str]], Collection[str]]
"""Wake the jobs of these names and return their ids; blocks, runs in a thread."""

Heard = Callable[[str, Collection[str]], None]
"""Hear that a provider's service called, and which jobs were woken."""

_log = logging.getLogger(__name__)


class _TooLargeError(Exception):
    """The body has more bytes than any callback."""


class Receiver:
    """Takes calls and wakes jobs.

    Args:
        providers: whose services may call, by name.
        paths: where.
        wake: wakes jobs.
        heard: told of each call that could be read.
        allowance: makes the allowance of one provider.
        body_seconds: how long a body may take.
    """

    def __init__(
        self,
        providers: Mapping[str, HasCallbacks],
        paths: Paths,
        wake: Wake,
        heard: Heard,
        *,
        allowance: Callable[[], Allowance] = lambda: Allowance(burst=60, rate=10),
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        self._providers = providers
        self._paths = paths
        self._wake = wake
        self._heard = heard
        self._allowances = {name: allowance() for name in providers}
        self._body_seconds = body_seconds

    def application(self) -> Starlette:
        application = Starlette(
            routes=[Route("/{provider}/{token}", self._answer, methods=["GET", "POST"])],
            exception_handlers={HTTPException: _refuse},
        )
        application.router.redirect_slashes = False
        return application

    async def _answer(self, request: Request) -> Response:
        name = request.path_params["provider"]
        # A wrong path is never counted: a flood of guesses must not keep the services' own calls out.
        if not self._paths.is_right(name, request.path_params["token"]) or name not in self._providers:
            return _respond(404)
        if not self._allowances[name].take():
            return _respond(429, {"Retry-After": str(math.ceil(self._allowances[name].seconds))})
        if request.method != "POST":
            # Services try an address out before they keep it.
            return _respond(200)
        try:
            async with asyncio.timeout(self._body_seconds):
                body = await self._read(request)
        except _TooLargeError:
            return _respond(413)
        except (TimeoutError, ClientDisconnect):
            return _respond(408)
        return await self._take(name, body, request.headers.get("content-type", ""))

    async def _read(self, request: Request) -> bytes:
        announced = request.headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced[:20]) > LARGEST:
            raise _TooLargeError
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST:
                raise _TooLargeError
        return bytes(body)

    async def _take(self, name: str, body: bytes, content_type: str) -> Response:
        try:
            woken = await asyncio.to_thread(self._wake_named, name, body, content_type)
        except ServiceError as error:
            _log.info("a call for %s is passed over: %s", name, error)
            return _respond(400)
        except StembridgeError as error:
            _log.warning("a call for %s woke nothing: %s", name, error)
            return _respond(503, {"Retry-After": "30"})
        self._heard(name, woken)
        return _respond(200)

    def _wake_named(self, name: str, body: bytes, content_type: str) -> Collection[str]:
        with blame(name):
            names = list(self._providers[name].read_callback(body, content_type))[:MOST_NAMES]
        return self._wake(names) if names else ()


def _refuse(_request: Request, error: Exception) -> Response:
    return _respond(error.status_code if isinstance(error, HTTPException) else 500)


def _respond(status: int, headers: Mapping[str, str] | None = None) -> Response:
    # One call a connection: what of a refused body was not read must not pass for the next call.
    return Response(status_code=status, headers={"Connection": "close", **(headers or {})})


CONNECTIONS: Final = 64
"""Callers at the same time; more are answered by 503."""

LIFETIME: Final = 30.0
"""Seconds a connection may last, whatever its caller does."""


def open_socket(host: str, port: int) -> socket.socket:
    """Take an address.

    Raises:
        UsageError: it is taken already, or none of this machine's.
    """
    return bind(host, port, backlog=CONNECTIONS, option="--address HOST:PORT")


async def serve(
    application: Starlette, listener: socket.socket, stop: asyncio.Event, *, lifetime: float = LIFETIME
) -> None:
    """Answer calls until ``stop`` is set."""
    connection = type("Caller", (MortalConnection,), {"lifetime": lifetime})
    await answer(application, listener, stop, connection, most=CONNECTIONS, keep_alive=5, grace=3)
