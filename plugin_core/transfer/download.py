"""Bringing one file here: resumed where it broke off, checked, and under its name only when it is whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

import httpcore
import httpx

from plugin_core.errors import ServiceError, SpoiltFileError, StembridgeError, TransientError
from plugin_core.files.disk import explain_write_error
from plugin_core.tasks import finish, outlast, start, start_in_thread
from plugin_core.transfer.addresses import MOST_REDIRECTS, resolve
from plugin_core.transfer.calls import Bytes, DigestError, MissingError
from plugin_core.transfer.clients import STALL_SECONDS
from plugin_core.transfer.parts import (
    BLOCK,
    Note,
    PartFile,
    continues,
    place_of,
    range_headers,
    read_length,
    read_span,
    read_validator,
)
from plugin_core.transfer.pauses import LONGEST, read_retry_after
from plugin_core.transfer.redaction import redact_url
from plugin_core.transfer.wire import describe

LARGE: Final = 8 << 20
"""Bytes from which on a body is worth a connection of its own."""

CRAWL_SECONDS: Final = 120.0
CRAWL: Final = 16 << 10
"""Bytes that have to come in that time: with fewer, another connection is tried."""

Write = Callable[[list[bytes], bool], Awaitable[None]]
"""Takes pieces, and whether they are the last."""


async def collect(response: httpx.Response, write: Write) -> None:
    """Give a body to ``write`` in pieces of about one mebibyte; what came before a break is written, too."""
    collector = _Collector(write)
    loop = asyncio.get_running_loop()
    began, came = loop.time(), 0
    try:
        async with aclosing(_pieces(response)) as pieces:
            async for piece in pieces:
                await collector.add(piece)
                came += len(piece)
                if loop.time() - began > CRAWL_SECONDS:
                    if came < CRAWL:
                        # Bit by bit it would never stall, and never end.
                        raise httpx.ReadTimeout("the download crawls")
                    began, came = loop.time(), 0
    except asyncio.CancelledError:
        # Who is told to end does so, also where the disk takes no more.
        with suppress(OSError, StembridgeError):
            await collector.flush()
        raise
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
            await self._start(is_end=False)

    async def flush(self) -> None:
        if self._pieces:
            await self._start(is_end=True)
        await self._settle()

    async def _start(self, *, is_end: bool) -> None:
        await self._settle()
        pieces, self._pieces, self._length = self._pieces, [], 0
        self._writing = start(self._write(pieces, is_end))

    async def _settle(self) -> None:
        """Wait for the disk; a task that is cancelled meanwhile, however often, ends only after it."""
        writing, self._writing = self._writing, None
        if writing is not None:
            try:
                await finish(writing)
            except Exception:
                # What was to follow has no place: behind a hole it would be taken for what is missing.
                self._pieces = []
                raise
            finally:
                # Who was cancelled meanwhile ends here, also where the disk is full, and begins no further write.
                await asyncio.sleep(0)


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


T = TypeVar("T")

RESUMPTIONS: Final = 200
"""Tries in all, also of a download that gets a little further each time."""

_AGAIN: Final = frozenset({408, 425, 429})


@dataclass(frozen=True)
class _Broken:
    """A try that did not bring the whole file."""

    words: str
    retry_after: float | None = None
    kind: type[TransientError] = TransientError
    """Of the error, if it was the last try: something else came than the file that was announced, or nothing whole."""
    remedy: str = ""
    is_lasting: bool = False
    """Whether another try at once would end alike."""


@dataclass
class Download:
    """One file to bring.

    Args:
        lend: gives a client for an address; it carries no credentials.
        what: its name in messages.
        url: where the file is.
        target: where it goes.
        part: where its bytes are collected.
        size: announced bytes; None when nobody said.
        md5: announced digest; "" when nobody said.
        limit: most bytes accepted.
        report: told of bytes written.
        clock: seconds since the epoch.
    """

    lend: Callable[[str], AbstractAsyncContextManager[httpx.AsyncClient]]
    what: str
    url: str
    target: Path
    part: PartFile
    size: int | None
    md5: str
    limit: int
    report: Bytes | None
    clock: Callable[[], float]
    _beginning: Note | None = field(default=None, init=False)
    """What the next bytes are the first of."""

    @cached_property
    def _place(self) -> str:
        return place_of(self.url)

    async def run(self, earlier: Sequence[Path], tries: int, back_off: Callable[[int, float], Awaitable[None]]) -> int:
        """Bring it to its target; ``tries`` counts tries in a row that brought nothing new."""
        try:
            if earlier or self.part.is_begun:
                # Inside, since who is cancelled meanwhile has it opened all the same.
                await self._on_disk(self.part.open, self._place, earlier)
            await self._complete(tries, back_off)
            if self.part.is_open:
                await self._on_disk(self.part.finish, self.target)
        finally:
            if self.part.is_open:
                await self._on_disk(self.part.close)
        return self.part.length

    async def _complete(self, tries: int, back_off: Callable[[int, float], Awaitable[None]]) -> None:
        fruitless = 0
        broken: _Broken | None = None
        for _ in range(RESUMPTIONS):
            before = self.part.length
            broken = await self._try()
            if broken is None:
                return
            fruitless = 0 if self.part.length > before else fruitless + 1
            if fruitless >= tries or broken.is_lasting or (broken.retry_after or 0.0) > LONGEST:
                break
            await back_off(max(fruitless, 1), broken.retry_after or 0.0)
        assert broken is not None
        what = f"{self.what}: {redact_url(self.url)}: {broken.words}"
        raise broken.kind(what, retry_after=broken.retry_after, remedy=broken.remedy)

    async def _try(self) -> _Broken | None:
        """Bring what is missing; None once the file is whole."""
        note = self.part.note
        if note is None or note.total is None or self.part.length < note.total:
            broken = await self._fetch()
            if broken is not None:
                return broken
        return await self._check()

    async def _fetch(self) -> _Broken | None:
        self._beginning = None
        try:
            async with self._open_response() as response:
                broken = await self._accept(response)
                if broken is not None or response.status_code == 416:
                    return broken
                await collect(response, self._write)
                if self._beginning is not None:
                    await self._write([], True)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            failure = describe(error, self.url)
            return _Broken(failure.words, remedy=failure.remedy, is_lasting=failure.is_lasting)
        return None

    @asynccontextmanager
    async def _open_response(self) -> AsyncIterator[httpx.Response]:
        url = self.url
        headers = {"Accept-Encoding": "identity", **range_headers(self.part.note, self.part.length)}
        for _ in range(MOST_REDIRECTS):
            async with self.lend(url) as client, client.stream("GET", url, headers=headers) as response:
                if not response.has_redirect_location:
                    yield response
                    return
                url = resolve(url, response.headers["location"])
        raise ServiceError(f"{self.what} points from one place to the next without end")

    async def _accept(self, response: httpx.Response) -> _Broken | None:
        """Decide from the headers whether the bytes that follow are wanted, and where they go."""
        status, headers = response.status_code, response.headers
        if status >= 500 or status in _AGAIN:
            return _Broken(f"HTTP {status}", read_retry_after(headers.get("retry-after"), self.clock()))
        if status == 416:
            return await self._accept_end(response)
        if status not in (200, 206):
            raise self._refused(status)
        if headers.get("content-type", "").startswith("text/html"):
            return _Broken("a web page instead of the file", kind=SpoiltFileError)
        if headers.get("content-encoding", "identity") not in ("", "identity"):
            return _Broken(f"the file came encoded ({headers['content-encoding'][:20]})")
        if status == 206:
            return await self._accept_rest(response)
        return await self._begin(response, read_length(headers))

    async def _accept_end(self, response: httpx.Response) -> _Broken | None:
        """There is nothing behind our part: it is whole, or it is no part of this file."""
        span, note = read_span(response.headers), self.part.note
        total = None if span is None else span.total
        if total == self.part.length and note is not None and note.total in (None, total):
            return None
        await self._forget()
        return _Broken("the file is not the one that was begun")

    async def _accept_rest(self, response: httpx.Response) -> _Broken | None:
        if continues(response.headers, self.part.note, self.part.length):
            return None
        await self._forget()
        return _Broken("the service resumed at another place")

    async def _begin(self, response: httpx.Response, total: int | None) -> _Broken | None:
        if total is not None and total > self.limit:
            raise self._too_large()
        if total is not None and self.size is not None and total != self.size:
            return _Broken(f"{total} bytes, but {self.size} were announced", kind=SpoiltFileError)
        note = Note(place=self._place, validator=read_validator(response.headers), total=total)
        # With the first bytes: to begin and to write take one trip to a thread.
        self._beginning = note
        return None

    async def _write(self, pieces: list[bytes], is_end: bool) -> None:
        beginning, self._beginning = self._beginning, None
        note = beginning or self.part.note
        length = (self.part.length if beginning is None else 0) + sum(map(len, pieces))
        if length > self.limit:
            raise self._too_large()
        is_whole = is_end and note is not None and length == note.total and not self.md5
        await self._on_disk(self._append, pieces, beginning, is_whole)
        if self.report is not None and self.part.note is not None:
            self.report(self.part.length, self.part.note.total or self.size)

    def _append(self, pieces: list[bytes], beginning: Note | None, is_whole: bool) -> None:
        if beginning is not None:
            # What comes whole at once is never resumed.
            self.part.begin(beginning, is_kept=not is_whole)
        if pieces:
            self.part.append(pieces)
        if is_whole:
            self.part.finish(self.target)

    async def _check(self) -> _Broken | None:
        """Compare what is there with what was promised; None when it is the whole file."""
        length = self.part.length
        total = self.part.note.total if self.part.note is not None else None
        if total is not None and length < total:
            return _Broken(f"it broke off after {length} of {total} bytes")
        expected = total if total is not None else self.size
        if expected is not None and length != expected:
            await self._forget()
            return _Broken(f"{length} bytes came, but {expected} were announced", kind=SpoiltFileError)
        if self.md5 and await self._on_disk(self.part.digest) != self.md5:
            await self._forget()
            return _Broken("its digest is not the announced one", kind=DigestError)
        return None

    async def _forget(self) -> None:
        await self._on_disk(self.part.begin, Note(place=self._place))

    async def _on_disk(self, work: Callable[..., T], *args: object) -> T:
        """Do something slow in a thread; when this task is cancelled, end only after the thread has."""
        done = start_in_thread(work, *args)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            # Otherwise it would leave open what the thread is about to open.
            await outlast(done)
            raise
        except OSError as error:
            raise explain_write_error(self.part.path, error) from error

    def _refused(self, status: int) -> ServiceError:
        is_gone = status in (404, 410)
        reason = "the file is gone" if is_gone else "the file cannot be had"
        kind = MissingError if is_gone else ServiceError
        return kind(f"{self.what}: {redact_url(self.url)}: {reason} (HTTP {status})")

    def _too_large(self) -> ServiceError:
        return ServiceError(f"{self.what}: {redact_url(self.url)} is larger than {self.limit} bytes")
