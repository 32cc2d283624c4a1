"""A file as a decoder is to see it: its own bytes, with what a header tells wrongly put right."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.audio.source_file import read_at
from plugin_core.errors import StembridgeError

_READ: Final = 1 << 16
_TAIL: Final = 128
"""libmpg123 looks for a tag there."""


class Span(msgspec.Struct, frozen=True):
    """Bytes of the file, from ``start`` to before ``end``."""

    start: int
    end: int


class Layout(msgspec.Struct, frozen=True):
    """One recording: spans of the file, and bytes that stand in for others."""

    pieces: tuple[Span | bytes, ...]
    claimed: int = 0
    """The size a decoder is told, where it would else guess the length from the size and stop too early."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What the sound itself says, where that is not what the decoder would take it for."""

    layouts: tuple[Layout, ...] = ()
    """The recordings in the file, to be read one after the other; empty: the file as it stands."""
    told: float | None = None
    """The share of the sound that the header counts; None where it counts right."""
    container: str = ""
    """Where that is another than the decoder sees."""
    samples: int = 0
    """An estimate of the samples in each channel, where the header has none; 0 where it has."""


def lay_out(start: int, end: int, patches: Mapping[int, bytes]) -> Layout:
    """Return the bytes from ``start`` to ``end`` with some replaced: offset in the file -> new bytes."""
    pieces: list[Span | bytes] = []
    at = start
    for offset, data in sorted(patches.items()):
        pieces += [Span(at, offset), data]
        at = offset + len(data)
    return Layout((*pieces, Span(at, end)))


class View:
    """A layout as a file that libsndfile reads through soundfile; it may not raise."""

    def __init__(self, path: Path, descriptor: int, layout: Layout) -> None:
        self.trouble: StembridgeError | None = None
        """Why a read failed, for whoever asked for it."""
        self._path = path
        self._descriptor = descriptor
        self._pieces = layout.pieces
        self._is_claimed = layout.claimed > 0
        self._size = layout.claimed or sum(_measure(piece) for piece in layout.pieces)
        self._position = 0

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int) -> bytes:
        """Read up to ``size`` bytes; fewer only at the end, or in trouble."""
        found = bytearray()
        try:
            while len(found) < size and (data := self._read_piece(size - len(found))):
                found += data
                self._position += len(data)
        except StembridgeError as error:
            self.trouble = error
        return bytes(found)

    def _read_piece(self, size: int) -> bytes:
        at = self._position
        if at >= self._size - _TAIL > 0 and self._is_claimed:
            return bytes(min(size, self._size - at))
        for piece in self._pieces:
            length = _measure(piece)
            if at < length:
                if isinstance(piece, bytes):
                    return piece[at : at + size]
                return read_at(self._path, self._descriptor, piece.start + at, min(size, length - at, _READ))
            at -= length
        return b""


def _measure(piece: Span | bytes) -> int:
    return len(piece) if isinstance(piece, bytes) else piece.end - piece.start
