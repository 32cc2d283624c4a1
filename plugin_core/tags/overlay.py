"""A file as a writer would leave it, without a byte of it being written.

Whoever edits a file in place edits an overlay the same way. What it moves is remembered as a piece of the file, what it
writes as bytes; what it writes as it was counts as unwritten.
"""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from plugin_core.tags.pieces import Piece, join, size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_MOVED: Final = 1 << 12
"""Bytes from which on a read may be the first half of a move."""
_AHEAD: Final = 1 << 16
_LEAF: Final = 32
"""Bytes that are told apart as a whole."""
_LEAVES: Final = 1 << 12


class TagExcerpt(bytes):
    """Bytes that know where they come from."""

    pieces: tuple[Piece, ...] = ()


class Overlay(io.BufferedIOBase):
    """A file that can be read and written; the one below is only read.

    Args:
        below: the file, open for reading; it stays the caller's.
    """

    def __init__(self, below: BinaryIO) -> None:
        self.name = below.name
        """Of the file below; some kinds are told by it."""
        self._below = below
        self._size = below.seek(0, os.SEEK_END)
        self._place = 0
        self._starts = [0] if self._size else []
        self._pieces: list[Piece] = [(0, self._size)] if self._size else []
        self._ahead = b""
        self._ahead_at = 0

    @property
    def pieces(self) -> list[Piece]:
        """What the file is made of by now."""
        return join(self._pieces)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place.

        Raises:
            OSError: it lies before the beginning, as for any file.
        """
        place = offset + (0, self._place, self._size)[whence]
        if place < 0:
            raise OSError(22, os.strerror(22))
        self._place = place
        return place

    def read(self, size: int | None = -1, /) -> bytes:
        """Read on; a large read remembers where its bytes are from."""
        place = self._place
        end = self._size if size is None or size < 0 else min(place + size, self._size)
        self._place = max(place, end)
        if end - place < _MOVED:
            return self._read_little(place, end)
        pieces = self.between(place, end)
        excerpt = TagExcerpt(b"".join(map(self._bytes_of, pieces)))
        excerpt.pieces = tuple(pieces)
        return excerpt

    def write(self, data: Any, /) -> int:
        """Put bytes in the place of those that are there; a place behind the end leaves zeros."""
        if not len(data):
            return 0
        if self._place > self._size:
            self._splice(self._size, self._size, [bytes(self._place - self._size)])
        place, end = self._place, self._place + len(data)
        if isinstance(data, TagExcerpt):
            self._splice(place, end, data.pieces)
        else:
            self._write_new(place, bytes(data))
        self._place = end
        return len(data)

    def truncate(self, size: int | None = None, /) -> int:
        """Cut the file, or let it grow with zeros."""
        size = self._place if size is None else size
        if size > self._size:
            self._splice(self._size, self._size, [bytes(size - self._size)])
        else:
            self._splice(size, self._size, [])
        return size

    def resize(self, start: int, old: int, new: int) -> None:
        """Let a part of the file have another size, and what is behind it move; a part that grows ends in zeros."""
        tail = self.between(start + old, self._size)
        self._splice(start + min(old, new), self._size, [bytes(max(new - old, 0)), *tail])

    def cut(self, place: int) -> list[Piece]:
        """Take the end of the file away, from a place on, and return it."""
        tail = self.between(place, self._size)
        self._splice(place, self._size, [])
        return tail

    def append(self, pieces: Iterable[Piece]) -> None:
        """Put pieces behind what is there."""
        self._splice(self._size, self._size, list(pieces))

    def read_below(self, offset: int, length: int) -> bytes:
        return self._bytes_of((offset, length))

    def _read_little(self, place: int, end: int) -> bytes:
        """Read what parsers take bit by bit out of a larger read."""
        start = place - self._ahead_at
        if start < 0 or end > self._ahead_at + len(self._ahead):
            stop = min(max(place + _AHEAD, end), self._size)
            self._ahead = b"".join(map(self._bytes_of, self.between(place, stop)))
            self._ahead_at, start = place, 0
        return self._ahead[start : start + max(end - place, 0)]

    def _write_new(self, place: int, data: bytes) -> None:
        old = self._read_little(place, min(place + len(data), self._size))
        leaf = max(_LEAF, len(data) // _LEAVES)
        for start, end in _differences(old, data[: len(old)], leaf):
            self._splice(place + start, place + end, [data[start:end]])
        if len(old) < len(data):
            self._splice(self._size, self._size, [data[len(old) :]])

    def _bytes_of(self, piece: Piece) -> bytes:
        if isinstance(piece, bytes):
            return piece
        self._below.seek(piece[0])
        return self._below.read(piece[1])

    def between(self, start: int, end: int) -> list[Piece]:
        """Return the pieces from one place to another."""
        found: list[Piece] = []
        number = max(bisect_right(self._starts, start) - 1, 0)
        while start < end:
            piece, begin = self._pieces[number], self._starts[number]
            stop = min(end, begin + size_of(piece))
            found.append(_part(piece, start - begin, stop - begin))
            start, number = stop, number + 1
        return found

    def _splice(self, start: int, end: int, pieces: Sequence[Piece]) -> None:
        """Put pieces between two places; only at the end of the file their size may differ from what they replace."""
        end = min(end, self._size)
        # What lies behind the change is still what was read; all of it where nothing moves.
        self._ahead, self._ahead_at = self._ahead[max(end - self._ahead_at, 0) :], max(end, self._ahead_at)
        first = max(bisect_right(self._starts, start) - 1, 0)
        last = max(bisect_right(self._starts, end) - 1, 0)
        edges: list[Piece] = []
        if self._pieces:
            edges = [_part(self._pieces[first], 0, start - self._starts[first])]
            tail = self._pieces[last]
            edges.append(_part(tail, end - self._starts[last], size_of(tail)))
        before, after = edges or (b"", b"")
        kept = [piece for piece in (before, *pieces, after) if size_of(piece)]
        place = self._starts[first] if self._pieces else 0
        starts = []
        for piece in kept:
            starts.append(place)
            place += size_of(piece)
        self._pieces[first : last + 1] = kept
        self._starts[first : last + 1] = starts
        self._size = self._starts[-1] + size_of(self._pieces[-1]) if self._pieces else 0


def _part(piece: Piece, start: int, end: int) -> Piece:
    if isinstance(piece, bytes):
        return piece[start:end]
    return piece[0] + start, end - start


def _differences(one: bytes, other: bytes, leaf: int) -> Iterator[tuple[int, int]]:
    """Give where two texts of one size differ; what is alike in less than a few leaves between them is not told."""
    start = _alike(one, other, leaf)
    while start < len(one):
        end = start + leaf
        while one[end : end + 4 * leaf] != other[end : end + 4 * leaf]:
            end += leaf
        yield start, min(end, len(one))
        start = end + _alike(one[end:], other[end:], leaf)


def _alike(one: bytes, other: bytes, leaf: int) -> int:
    """Return how much is alike from the beginning, in whole leaves; all of it where nothing differs."""
    if one == other:
        return len(one)
    low, high = 0, len(one) // leaf + 1
    while high - low > 1:
        middle = (low + high) // 2
        if one[: middle * leaf] == other[: middle * leaf]:
            low = middle
        else:
            high = middle
    return low * leaf
