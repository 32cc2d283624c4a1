"""The packets of Vorbis and Opus in Ogg, whatever pages they lie in (RFC 3533)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

_PAGE: Final = b"OggS"
_HEADER: Final = 27
_ROOM: Final = _HEADER + 255 + 255 * 255
"""The largest page."""

_BEGINS: Final = 2
"""The flag of a page that begins a stream."""

_CODECS: Final = {b"\x01vorbis": 3, b"OpusHead": 2}
"""How the first packet begins, and how many packets are headers: setup and tags, but no sound."""


class _Stream:
    """The packets of one logical stream."""

    def __init__(self, headers: int) -> None:
        self._headers = headers
        self._open = b""
        """The beginning of a packet that goes on in the next page."""

    def feed(self, lacing: bytes, body: memoryview) -> Iterator[bytes | memoryview]:
        """Take a page and give the packets that end in it, without the headers."""
        start = 0
        if self._headers:
            start, lacing = self._skip_headers(lacing)
        # A packet ends where a segment is shorter than 255 bytes.
        ended = len(lacing.rstrip(b"\xff"))
        end = start + sum(lacing[:ended])
        if ended:
            yield self._open
            yield body[start:end]
            self._open = b""
        if not self._headers:
            self._open += body[end:]

    def _skip_headers(self, lacing: bytes) -> tuple[int, bytes]:
        for number, length in enumerate(lacing):
            self._headers -= length < 255
            if not self._headers:
                return sum(lacing[: number + 1]), lacing[number + 1 :]
        return 0, b""


class OggWalker:
    """Gives the packets of the first stream if it is Vorbis or Opus; of joined files, those of each."""

    def __init__(self) -> None:
        self._stream: _Stream | None = None
        self._serial = b""
        self._is_beginning = False
        self._rest = b""

    def feed(self, piece: bytes, *, is_last: bool = False) -> Iterator[bytes | memoryview]:
        """Take the next bytes of the file and give its packets, as many at a time as lie side by side."""
        data = self._rest + piece
        view, end, at = memoryview(data), len(data), 0
        limit = end - (_HEADER if is_last else _ROOM)
        while at <= limit:
            if not data.startswith(_PAGE, at):
                found = data.find(_PAGE, at + 1)
                at = found if found >= 0 else max(at + 1, limit + 1)
                continue
            body = at + _HEADER + data[at + 26]
            lacing = data[at + _HEADER : body]
            after = body + sum(lacing)
            if after > end:
                at = end
                break
            if data[at + 5] & _BEGINS:
                self._begin(data[at + 14 : at + 18], data[body:after])
            else:
                self._is_beginning = False
            if self._stream is not None and data[at + 14 : at + 18] == self._serial:
                yield from self._stream.feed(lacing, view[body:after])
            at = after
        self._rest = data[at:]

    def _begin(self, serial: bytes, packet: bytes) -> None:
        """Choose the stream: all of a recording begin before any goes on."""
        if not self._is_beginning:
            self._stream = None
        self._is_beginning = True
        headers = next((count for start, count in _CODECS.items() if packet.startswith(start)), 0)
        if self._stream is None and headers:
            self._stream, self._serial = _Stream(headers), serial


def packets(pieces: Iterable[bytes]) -> Iterator[bytes | memoryview]:
    """Give the packets of a whole file that comes in pieces."""
    walker = OggWalker()
    for piece in pieces:
        yield from walker.feed(piece)
    yield from walker.feed(b"", is_last=True)
