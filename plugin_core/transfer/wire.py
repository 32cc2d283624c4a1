"""httpx, and nothing but httpx, for the rest of this package."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final
from urllib.parse import urlencode

import httpx

from plugin_core._version import __version__
from plugin_core.errors import ServiceError, SettingsError, SourceError, TransientError
from plugin_core.settings import Secret
from plugin_core.transfer.addresses import check_url
from plugin_core.transfer.bodies import Opened
from plugin_core.transfer.calls import Answer, Bytes, Call
from plugin_core.transfer.redaction import guard_logs, holds_secret, redact, register

CONNECT_SECONDS: Final = 15.0
STALL_SECONDS: Final = 60.0
"""Silence that ends a transfer; how long one lasts as a whole has no limit."""
SEND_STALL_SECONDS: Final = 120.0
"""For one piece of an upload, which has 64 KiB on a slow line."""
POOL_SECONDS: Final = 60.0
CONNECTIONS: Final = 20
KEPT: Final = 8
"""Connections that may lie idle: the pool asks each of them, for every request, whether it still stands."""

LARGEST_ANSWER: Final = 64 << 20
"""Bytes an answer may have that is no download; the longest known, the list of models, has about one million."""

_UNSENT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)


@dataclass(frozen=True)
class Failure:
    """Why no answer came."""

    words: str
    is_unsent: bool = False
    """Whether surely no byte of the request reached the service."""


def describe(error: Exception) -> Failure:
    """Put a failure of httpx into words, without what it holds of the request."""
    kinds = {
        httpx.ConnectTimeout: "no connection in time",
        httpx.ReadTimeout: "no answer in time",
        httpx.WriteTimeout: "the upload stalled",
        httpx.PoolTimeout: "too many transfers at once",
        httpx.RemoteProtocolError: "the connection ended within the answer",
        httpx.ReadError: "the connection was lost",
        httpx.WriteError: "the connection was lost",
    }
    words = next((text for kind, text in kinds.items() if isinstance(error, kind)), "")
    detail = " ".join(str(error).split())
    if not words:
        words = (
            f"no connection ({detail})"
            if isinstance(error, httpx.ConnectError)
            else f"{detail or type(error).__name__}"
        )
    return Failure(redact(words), isinstance(error, _UNSENT))


class Clients:
    """One ``httpx.AsyncClient`` for each event loop that asks."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None) -> None:
        self._transport = transport
        self._open: dict[asyncio.AbstractEventLoop, tuple[httpx.AsyncClient, AsyncGenerator[None]]] = {}

    async def current(self) -> httpx.AsyncClient:
        """Return the running loop's client.

        Raises:
            SettingsError: the environment names a proxy that cannot be used.
        """
        loop = asyncio.get_running_loop()
        if loop not in self._open:
            client = open_client(self._transport)
            held = self._hold(loop, client)
            self._open[loop] = client, held
            # A loop that ends closes its unfinished generators, and with this one the connections, which could not
            # be used or closed from any other loop.
            await anext(held)
        return self._open[loop][0]

    async def close(self) -> None:
        """Close the running loop's client."""
        entry = self._open.get(asyncio.get_running_loop())
        if entry is not None:
            await entry[1].aclose()

    async def _hold(self, loop: asyncio.AbstractEventLoop, client: httpx.AsyncClient) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self._open.pop(loop, None)
            await client.aclose()


def open_client(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """Return a client with our manners: no redirects, no cookies, stall timeouts, proxies of the environment.

    Raises:
        SettingsError: the environment names a proxy that cannot be used.
    """
    guard_logs()
    try:
        return httpx.AsyncClient(
            transport=transport,
            verify=_tls() if transport is None else True,
            timeout=httpx.Timeout(
                connect=CONNECT_SECONDS, read=STALL_SECONDS, write=SEND_STALL_SECONDS, pool=POOL_SECONDS
            ),
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=KEPT),
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={"User-Agent": f"stembridge/{__version__}"},
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise SettingsError(f"the proxy in the environment cannot be used: {redact(str(error))}") from None


@functools.cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context()


async def attempt(client: httpx.AsyncClient, call: Call) -> Answer | Failure:
    """Send a request once and read its whole answer.

    Raises:
        ServiceError: the address may not be spoken to, or the answer is too large.
        SourceError: a file of the body cannot be read.
        TransientError: the disk of such a file is away.
    """
    check_url(call.url)
    opened = await call.body.open() if call.body is not None else None
    content = _told(opened, call.report) if opened is not None else None
    try:
        request = build(client, call, opened, content)
        return await _exchange(client, request, call)
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
        # Returned, not raised: the exception holds the request, and with it the token.
        return describe(error)
    except TransientError as error:
        # The disk of the upload went away half-way: to the service a broken connection.
        return Failure(error.message)
    except Exception as error:
        if not holds_secret(str(error)):
            raise
        # A defect of the library that tells what it sent: raised again without that, and without its cause.
        raise RuntimeError(redact(f"{type(error).__name__}: {error}")) from None
    finally:
        if content is not None:
            await content.aclose()
        if opened is not None:
            await opened.close()


def build(
    client: httpx.AsyncClient, call: Call, opened: Opened | None = None, content: AsyncGenerator[bytes] | None = None
) -> httpx.Request:
    """Turn a call into what httpx sends, secrets revealed."""
    url = call.url
    if call.query:
        url += ("&" if "?" in url else "?") + urlencode({name: _reveal(value) for name, value in call.query.items()})
    headers = {"Accept": "application/json"} if call.wants_json else {}
    headers |= {name: _reveal(value) for name, value in call.headers.items()}
    if opened is not None and call.body is not None:
        headers["Content-Length"] = str(opened.length)
        if call.body.content_type:
            headers.setdefault("Content-Type", call.body.content_type)
    request = client.build_request(call.method, url, headers=headers, content=content)
    if call.signer is not None:
        request.headers.update(call.signer(request.method, str(request.url), request.headers))
    if call.patience is not None:
        request.extensions["timeout"] = {**request.extensions["timeout"], "read": call.patience}
    return request


async def _exchange(client: httpx.AsyncClient, request: httpx.Request, call: Call) -> Answer:
    response = await client.send(request, stream=True)
    try:
        content = bytearray()
        async for block in response.aiter_bytes():
            content += block
            if len(content) > LARGEST_ANSWER:
                raise ServiceError(f"{call.what} answered with more than {LARGEST_ANSWER >> 20} MiB")
        return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, bytes(content))
    finally:
        # Closing a connection that is already broken may say so; the answer, or the reason for none, is known.
        with suppress(httpx.HTTPError, OSError):
            await response.aclose()


async def _told(opened: Opened, report: Bytes | None) -> AsyncGenerator[bytes]:
    sent = 0
    async with aclosing(opened.blocks()) as blocks:
        async for block in blocks:
            sent += len(block)
            if sent > opened.length:
                raise SourceError("what is uploaded is longer than it was said to be")
            yield block
            if report is not None:
                report(sent, opened.length)
    if sent < opened.length:
        raise SourceError("what is uploaded is shorter than it was said to be")


def _reveal(value: str) -> str:
    if isinstance(value, Secret):
        register(value)
        return value.reveal()
    return value
