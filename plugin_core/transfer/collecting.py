"""The body of a download on its way to the disk: large pieces, and the next one is read while one is written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final

import httpcore
import httpx

from plugin_core.tasks import start
from plugin_core.transfer.clients import STALL_SECONDS
from plugin_core.transfer.parts import BLOCK
from plugin_core.transfer.ranges import read_length

LARGE: Final = 8 << 20
"""Bytes from which on a body is worth a connection of its own."""

Write = Callable[[list[bytes]], Awaitable[None]]


async def collect(response: httpx.Response, write: Write) -> None:
    """Give a body to ``write`` in pieces of about one mebibyte; what came before a break is written, too."""
    collector = _Collector(write)
    try:
        async with aclosing(_pieces(response)) as pieces:
            async for piece in pieces:
                await collector.add(piece)
    finally:
        await collector.flush()


class _Collector:
    """Gathers small pieces into large ones, at most one of which is being written."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._pieces: list[bytes] = []
        self._length = 0
        self._writing: asyncio.Future[None] | None = None

    async def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._length += len(piece)
        if self._length >= BLOCK:
            await self._start()

    async def flush(self) -> None:
        if self._pieces:
            await self._start()
        await self._settle()

    async def _start(self) -> None:
        await self._settle()
        pieces, self._pieces, self._length = self._pieces, [], 0
        self._writing = start(self._write(pieces))

    async def _settle(self) -> None:
        """Wait for the disk; a task that is cancelled meanwhile ends only after it."""
        writing = self._writing
        if writing is None:
            return
        await asyncio.wait([writing])
        self._writing = None
        writing.result()


async def _pieces(response: httpx.Response) -> AsyncGenerator[bytes]:
    """Give a body as it comes; a large one of known length straight from the connection.

    The parser between takes four times as long as the connection itself, to find nothing: a body of known length has no
    structure. The connection ends with the body.
    """
    length = read_length(response.headers)
    stream = response.extensions.get("network_stream")
    is_plain = "transfer-encoding" not in response.headers and response.http_version == "HTTP/1.1"
    raw = response.aiter_raw()
    if stream is None or length is None or length < LARGE or not is_plain:
        async for piece in raw:
            yield piece
        return
    left = length
    # The parser holds what arrived together with the headers, and gives all of it in its first piece.
    async for piece in raw:
        left -= len(piece)
        yield piece
        break
    while left > 0:
        piece = (await _read(stream))[:left]
        left -= len(piece)
        yield piece


async def _read(stream: httpcore.AsyncNetworkStream) -> bytes:
    try:
        piece = await stream.read(BLOCK, STALL_SECONDS)
    except httpcore.TimeoutException as error:
        raise httpx.ReadTimeout(str(error)) from None
    except httpcore.NetworkError as error:
        raise httpx.ReadError(str(error)) from None
    if not piece:
        raise httpx.RemoteProtocolError("the connection was closed")
    return piece
