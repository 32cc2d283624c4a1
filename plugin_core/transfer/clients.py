"""The connections of an event loop: each one a client of its own, lent to one transfer at a time.

A pool of httpx's asks every connection it has, at every request, whether it still stands, and gives an idle one to
several requests at once, of which all but one have to ask again. A pool of one has nothing to ask.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import ssl
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any, Final

import certifi
import httpcore
import httpx

from plugin_core._version import __version__
from plugin_core.errors import SettingsError
from plugin_core.transfer.addresses import origin_of
from plugin_core.transfer.redaction import guard_logs, redact

CONNECT_SECONDS: Final = 15.0
STALL_SECONDS: Final = 60.0
"""Silence that ends a transfer; how long one lasts as a whole has no limit."""
SEND_STALL_SECONDS: Final = 120.0
"""For one piece of an upload, which has 64 KiB on a slow line."""
POOL_SECONDS: Final = 60.0
CONNECTIONS: Final = 20
"""Transfers at once; further ones wait for their turn."""

# What an event loop takes from a connection at once; of httpcore's quarter of that each piece costs four times as much.
httpcore.AsyncHTTP11Connection.READ_NUM_BYTES = 256 << 10

_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where systems keep their certificates in one file."""

_OWN_CERTIFICATES: Final = "correct it, or unset it to trust what the system trusts"

Origin = tuple[str, str, int]

_log = logging.getLogger(__name__)


class Clients:
    """The clients of each event loop that asks."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None) -> None:
        self._transport = transport
        self._open: dict[asyncio.AbstractEventLoop, tuple[_Lender, AsyncGenerator[None]]] = {}

    @asynccontextmanager
    async def lend(self, url: str) -> AsyncIterator[httpx.AsyncClient]:
        """Give a client that nobody else uses meanwhile, if possible one with a connection to this address.

        Whoever met trouble with it closes it or leaves by an exception; then it is not lent again.

        Raises:
            SettingsError: the environment names a proxy that cannot be used.
            ServiceError: the address may not be spoken to.
        """
        lender = await self._current()
        async with lender.gate:
            origin = origin_of(url)
            client = lender.take(origin)
            try:
                yield client
            except BaseException:
                # Its connection may be neither usable nor closed: one that broke off behind a proxy blocks for ever.
                await close_client(client)
                raise
            finally:
                lender.put_back(origin, client)

    async def close(self) -> None:
        """Close the running loop's clients."""
        entry = self._open.get(asyncio.get_running_loop())
        if entry is not None:
            await entry[1].aclose()

    async def _current(self) -> _Lender:
        loop = asyncio.get_running_loop()
        if loop not in self._open:
            lender = _Lender(self._transport)
            held = self._hold(loop, lender)
            self._open[loop] = lender, held
            # A loop that ends closes its unfinished generators, and with this one the connections, which could not
            # be used or closed from any other loop.
            await anext(held)
        return self._open[loop][0]

    async def _hold(self, loop: asyncio.AbstractEventLoop, lender: _Lender) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self._open.pop(loop, None)
            await lender.close()


class _Lender:
    """The clients of one event loop."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None) -> None:
        self.gate = asyncio.Semaphore(CONNECTIONS)
        self._transport = transport
        self._all: list[httpx.AsyncClient] = []
        self._idle: list[tuple[Origin, httpx.AsyncClient]] = []

    def take(self, origin: Origin) -> httpx.AsyncClient:
        """Take the client last used for an origin, else a new one, else the one that was idle longest."""
        for index in range(len(self._idle) - 1, -1, -1):
            if self._idle[index][0] == origin:
                return self._idle.pop(index)[1]
        if len(self._all) == CONNECTIONS:
            return self._idle.pop(0)[1]
        client = open_client(self._transport)
        self._all.append(client)
        return client

    def put_back(self, origin: Origin, client: httpx.AsyncClient) -> None:
        """Keep a client, and its connection, for the next transfer, unless it was closed."""
        if client.is_closed:
            self._all.remove(client)
        else:
            self._idle.append((origin, client))

    async def close(self) -> None:
        for client in self._all:
            await close_client(client)


class _NoCookies(CookieJar):
    """A jar that takes nothing, and does not look at what it is offered."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Leave them."""


async def close_client(client: httpx.AsyncClient) -> None:
    """Close a client whose connection may be broken already."""
    try:
        await client.aclose()
    except (httpx.HTTPError, OSError) as error:
        _log.debug("a connection did not close: %s", error)


def open_client(transport: httpx.AsyncBaseTransport | None) -> httpx.AsyncClient:
    """Return a client of one connection and our manners: no redirects or cookies, stall timeouts, the user's proxies.

    Raises:
        SettingsError: the environment names a proxy or certificates that cannot be used.
    """
    guard_logs()
    try:
        return httpx.AsyncClient(
            transport=transport,
            verify=trust_of_environment() if transport is None else True,
            timeout=httpx.Timeout(
                connect=CONNECT_SECONDS, read=STALL_SECONDS, write=SEND_STALL_SECONDS, pool=POOL_SECONDS
            ),
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
            follow_redirects=False,
            cookies=_NoCookies(),
            headers={"User-Agent": f"stembridge/{__version__}"},
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise SettingsError(
            f"the proxy in the environment cannot be used: {redact(str(error))}",
            remedy="correct or unset HTTPS_PROXY and ALL_PROXY",
        ) from None


def trust_of_environment() -> ssl.SSLContext:
    """Return whom we trust: the certificates that the environment names, else those of the system.

    Raises:
        SettingsError: the environment names what holds no certificates.
    """
    return trust(os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", ""))


@functools.cache
def trust(file: str, folder: str, platform: str = sys.platform) -> ssl.SSLContext:
    """Return the context that trusts the certificates of a file and of a folder; of neither: the system's store.

    Raises:
        SettingsError: there are none.
    """
    named = {"SSL_CERT_FILE": (file, Path(file).is_file), "SSL_CERT_DIR": (folder, Path(folder).is_dir)}
    for name, (path, is_there) in named.items():
        if path and not is_there():
            raise SettingsError(f"{name} names {path}, which is not there", remedy=_OWN_CERTIFICATES)
    if file or folder:
        try:
            return ssl.create_default_context(cafile=file or None, capath=folder or None)
        except OSError as error:
            what = f"SSL_CERT_FILE names {file}, in which no certificates can be read"
            raise SettingsError(what, remedy=_OWN_CERTIFICATES) from error
    if platform in ("darwin", "win32"):
        # Their stores know what OpenSSL does not: the CAs that a company gave out.
        import truststore

        system: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return system
    # Where OpenSSL was built for another place than this system keeps its certificates, or there are none at all.
    places = ssl.get_default_verify_paths()
    is_usable = places.cafile or (places.capath and any(Path(places.capath).iterdir()))
    bundle = "" if is_usable else next((path for path in _BUNDLES if Path(path).is_file()), certifi.where())
    return ssl.create_default_context(cafile=bundle or None)
