"""Who may come in: how many at a time, and what a request must show before anything of ours looks at it.

The page is reached from this machine alone, and a browser on this machine runs the pages of strangers too. So each
request must name our own address as its host (a stranger's name that was made to lead here does not), come from our own
page, and show the cookie that the link on the terminal was exchanged for.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plugin_core.web_server import MortalConnection, answer, bind

LARGEST_CALL: Final = 64 * 1024
"""Bytes that a call to the page may have; a song that is dropped has its own limit."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_SAFE: Final = frozenset({"GET", "HEAD"})
_NEAR: Final = frozenset({"same-origin", "none"})
"""What a browser says of a request of our own page, and of a link that the user opened."""


class Door:
    """Lets requests through to the page that come from it.

    Args:
        inside: the page.
        port: where it listens.
        renew: told of the new link each time that one was used.
        largest: bytes that a request to a path may have, where that is more than usual.
    """

    def __init__(
        self, inside: ASGIApp, port: int, renew: Callable[[str], None], largest: Callable[[str], int | None]
    ) -> None:
        self._inside = inside
        self._renew = renew
        self._largest = largest
        self._host = f"127.0.0.1:{port}"
        self._origin = f"http://{self._host}"
        # Cookies know no ports: two pages at a time must not share a name.
        self._cookie_name = f"stembridge-{port}"
        self._cookie = secrets.token_urlsafe(32)
        self._token = secrets.token_urlsafe(32)

    @property
    def link(self) -> str:
        """The address that opens the page once."""
        return f"{self._origin}/?token={self._token}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._refuse(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, self._dress(send))
            return
        limit = self._largest(scope["path"]) or LARGEST_CALL
        await self._inside(scope, _bounded(receive, limit), self._dress(send))

    def _refuse(self, scope: Scope, headers: dict[str, str]) -> Response | None:
        """Return the answer to a request that may not come in; None for one that may."""
        if [name for name, _ in scope["headers"]].count(b"host") != 1 or headers["host"] != self._host:
            return _say(421, "this page has another address")
        is_safe = scope["method"] in _SAFE
        origin = headers.get("origin", self._origin if is_safe else "")
        if origin != self._origin or headers.get("sec-fetch-site", "none") not in _NEAR:
            return _say(403, "this page is asked by itself alone")
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if token and scope["path"] == "/" and scope["method"] == "GET":
            return self._exchange(token)
        if not self._is_known(headers.get("cookie", "")):
            return _say(401, "open the link that `stembridge ui` printed last")
        announced = headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced[:20]) > (self._largest(scope["path"]) or LARGEST_CALL):
            return _say(413, "this is larger than the page takes")
        return None

    def _exchange(self, token: str) -> Response:
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            return _say(401, "this link was used, or is of another run: open the one that `stembridge ui` printed last")
        self._token = secrets.token_urlsafe(32)
        self._renew(self.link)
        response = RedirectResponse("/", 303)
        response.set_cookie(self._cookie_name, self._cookie, httponly=True, samesite="strict", path="/")
        return response

    def _is_known(self, cookies: str) -> bool:
        # Other servers of this machine set cookies here too, some of which Python's own parser gives up at.
        found = cookie_parser(cookies).get(self._cookie_name, "")
        return secrets.compare_digest(found.encode(), self._cookie.encode())

    def _dress(self, send: Send) -> Send:
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *own]}
            await send(message)

        return dressed


class TooLargeError(Exception):
    """A body has more bytes than it may."""


def _bounded(receive: Receive, limit: int) -> Receive:
    left = limit

    async def bounded() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise TooLargeError
        return message

    return bounded


def _say(status: int, text: str) -> Response:
    # What of a refused body was not read must not pass for the next request.
    return Response(f"{text}\n", status, {"connection": "close"}, "text/plain; charset=utf-8")


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
