"""One request and its answer, in words that may be logged; bodies are never in memory whole."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote_plus

from plugin_core.errors import ServiceError, SourceError, SpoiltFileError
from plugin_core.model import show_path
from plugin_core.settings import Secret
from plugin_core.transfer.files import FileReader


class Opened(Protocol):
    """A body ready for one try."""

    @property
    def length(self) -> int:
        """Bytes that ``blocks`` will give."""
        ...

    def blocks(self) -> AsyncGenerator[bytes]:
        """Give the bytes; to be read once.

        Raises:
            SourceError: a file is gone, unreadable, or no longer what it was when it was opened.
        """
        ...

    async def close(self) -> None:
        """Let go of files."""
        ...


class Body(Protocol):
    """What a request carries."""

    @property
    def content_type(self) -> str:
        """Its media type; "" for none."""
        ...

    async def open(self) -> Opened:
        """Open it for one try; it may be opened again for the next."""
        ...


@dataclass(frozen=True)
class Data:
    """Bytes at hand: JSON, XML, an empty body."""

    content: bytes = field(default=b"", repr=False)
    content_type: str = ""

    async def open(self) -> Opened:
        """Open it for one try."""
        return _OpenedPieces([self.content])


@dataclass(frozen=True)
class Form:
    """Fields as ``application/x-www-form-urlencoded``."""

    fields: Mapping[str, str]
    content_type: str = "application/x-www-form-urlencoded"

    async def open(self) -> Opened:
        """Open it for one try."""
        pairs = (f"{quote_plus(name)}={quote_plus(_reveal(value))}" for name, value in self.fields.items())
        return _OpenedPieces(["&".join(pairs).encode()])


@dataclass(frozen=True)
class FileBody:
    """A file as it is, or a stretch of it, for PUT.

    Args:
        path: where it is.
        content_type: its media type.
        offset: bytes before the stretch.
        length: bytes of the stretch; default all that follow.
    """

    path: Path
    content_type: str = "application/octet-stream"
    offset: int = 0
    length: int | None = None

    async def open(self) -> Opened:
        """Open it for one try.

        Raises:
            SourceError: it cannot be read.
        """
        return _OpenedPieces([await FileReader.open(self.path, self.offset, self.length)])


@dataclass(frozen=True)
class FilePart:
    """One file of a multipart body.

    Args:
        field: the form field's name.
        path: where the file is.
        name: the file name the other side is told; default the path's own.
        content_type: its media type.
    """

    field: str
    path: Path
    name: str = ""
    content_type: str = "application/octet-stream"

    @property
    def shown_name(self) -> str:
        """The file name as it is sent, before quoting."""
        return self.name or self.path.name


@dataclass(frozen=True)
class Multipart:
    """Fields and files as ``multipart/form-data``, fields first."""

    fields: Mapping[str, str]
    files: Sequence[FilePart] = ()
    boundary: str = field(default_factory=lambda: f"stembridge-{secrets.token_hex(16)}")

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self.boundary}"

    async def open(self) -> Opened:
        """Open it for one try.

        Raises:
            SourceError: a file cannot be read, or is empty.
        """
        opened = _OpenedPieces([self._head()])
        try:
            for part in self.files:
                reader = await FileReader.open(part.path)
                opened.pieces += [self._part_head(part), reader, b"\r\n"]
                if not reader.size:
                    raise SourceError(f"{show_path(part.path)} is empty")
        except BaseException:
            await opened.close()
            raise
        opened.pieces.append(f"--{self.boundary}--\r\n".encode())
        return opened

    def _head(self) -> bytes:
        return b"".join(
            f'--{self.boundary}\r\nContent-Disposition: form-data; name="{_quote(name)}"\r\n\r\n'.encode()
            + _reveal(value).encode("utf-8", "replace")
            + b"\r\n"
            for name, value in self.fields.items()
        )

    def _part_head(self, part: FilePart) -> bytes:
        return (
            f"--{self.boundary}\r\nContent-Disposition: form-data; "
            f'name="{_quote(part.field)}"; filename="{_quote(part.shown_name)}"\r\n'
            f"Content-Type: {part.content_type}\r\n\r\n"
        ).encode("utf-8", "replace")


class _OpenedPieces:
    """Bytes and files, one after the other."""

    def __init__(self, pieces: list[bytes | FileReader]) -> None:
        self.pieces = pieces

    @property
    def length(self) -> int:
        return sum(piece.size if isinstance(piece, FileReader) else len(piece) for piece in self.pieces)

    async def blocks(self) -> AsyncGenerator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, FileReader):
                async for block in piece.blocks():
                    yield block
            elif piece:
                yield piece

    async def close(self) -> None:
        for piece in self.pieces:
            if isinstance(piece, FileReader):
                await piece.close()


def _reveal(value: str) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _quote(text: str) -> str:
    """Quote a name for a header as browsers do."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A").replace("\0", "")


Bytes = Callable[[int, int | None], None]
"""Told how many bytes are through, and of how many if that is known; cheap, called often."""


class DigestError(SpoiltFileError):
    """What was downloaded, again and again, has not the digest that was announced."""


class MissingError(ServiceError):
    """There is nothing at an address, or nothing any more."""


class Signer(Protocol):
    """Signs a request as it is sent, so that every try is signed anew."""

    def __call__(self, method: str, url: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return the headers to add.

        Args:
            method: upper-case.
            url: as it is sent, percent-encoded.
            headers: as they are sent, by lower-case name.
        """
        ...


class Dialect(Protocol):
    """How a service says things that HTTP has no common words for."""

    def describe(self, answer: Answer) -> str:
        """Put an answer that is not the expected one into one line, without secrets."""
        ...

    def pause(self, answer: Answer) -> float:
        """Return the seconds the service asks for in a way of its own; 0 when it asks for none."""
        ...


@dataclass(frozen=True)
class Call:
    """One request; every ``Secret`` in it is revealed only while it is sent.

    Args:
        method: ``GET``, ``POST``, ...
        url: absolute, without secrets; https, or http on loopback.
        query: appended to the URL.
        headers: beyond those every request carries.
        body: opened anew for every try.
        what: the call's name in messages ("MVSEP separation/create").
        wants_json: whether anything else than JSON is no answer.
        patience: seconds the service may be silent before its answer; default the transfer's.
        report: told of bytes sent.
        signer: signs each try; such a call is not sent to any other host.
        dialect: reads what the service says of failures.
    """

    method: str
    url: str
    what: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    wants_json: bool = True
    patience: float | None = None
    report: Bytes | None = None
    signer: Signer | None = field(default=None, repr=False)
    dialect: Dialect | None = field(default=None, repr=False)


def parse_json(content: bytes | str) -> Any:
    """Return what a JSON text says; half of a character, which JSON can name and no file takes, becomes a "?".

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deep.
    """
    said = json.loads(content)
    raw = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
    if b"\\ud" not in raw.lower() and b"\xed" not in raw:
        return said
    return json.loads(json.dumps(said, ensure_ascii=False).encode("utf-8", "replace"))


@dataclass(frozen=True)
class Answer:
    """What a service sent back."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    content: bytes = field(repr=False)

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @cached_property
    def _parsed(self) -> tuple[bool, Any]:
        try:
            return True, parse_json(self.content)
        except (ValueError, RecursionError):
            return False, None

    @property
    def is_json(self) -> bool:
        """Whether the content is JSON, whatever its type says."""
        return self._parsed[0]

    @property
    def data(self) -> Any:
        """The content as JSON; None when it is something else."""
        return self._parsed[1]

    @property
    def text(self) -> str:
        """The content as text; what is no UTF-8 is replaced."""
        return self.content.decode("utf-8", "replace")
