"""A file as pieces of another one: what moves stays bytes on the disk, and only what is new is held.

A piece is an offset and a length in the other file, or bytes that stand for themselves.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, BinaryIO, Final

from plugin_core.files.placement import copy_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

Piece = tuple[int, int] | bytes
"""Offset and length in the other file, or the bytes."""

_BLOCK: Final = 1 << 20
_LARGE: Final = 1 << 18
"""Bytes from which on the kernel is asked to copy a piece."""
_TOO_SHORT: Final = "the file is too short"


class PieceError(ValueError):
    """A piece lies outside the other file."""


def size_of(piece: Piece) -> int:
    """Return the length of a piece in bytes."""
    return len(piece) if isinstance(piece, bytes) else piece[1]


def total_of(pieces: Iterable[Piece]) -> int:
    """Return the size in bytes of what pieces make."""
    return sum(map(size_of, pieces))


def join(pieces: Iterable[Piece]) -> list[Piece]:
    """Put together what goes on where the piece before ended; empty pieces go."""
    joined: list[Piece] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if not size_of(piece):
            continue
        if isinstance(piece, bytes) and isinstance(last, bytes):
            joined[-1] = last + piece
        elif isinstance(piece, tuple) and isinstance(last, tuple) and last[0] + last[1] == piece[0]:
            joined[-1] = (last[0], last[1] + piece[1])
        else:
            joined.append(piece)
    return joined


def lay(pieces: Sequence[Piece], other: Path, target: Path) -> None:
    """Make a file of pieces of another one; the target must exist and be empty.

    Raises:
        PieceError: a piece lies outside the other file.
        OSError: the disk is full or gone.
    """
    places = list(_places(pieces))
    unmoved = sum(size_of(piece) for place, piece in places if _is_unmoved(place, piece))
    if 2 * unmoved >= total_of(pieces) > 0:
        # A whole copy can share its blocks with the file where the file system knows how to.
        copy_file(other, target, flush=False)
        places = [(place, piece) for place, piece in places if not _is_unmoved(place, piece)]
    with other.open("rb") as source, target.open("rb+") as opened:
        for place, piece in places:
            if opened.tell() != place:
                opened.seek(place)
            _put(piece, source, opened)
        opened.truncate(total_of(pieces))


def lay_over(pieces: Sequence[Piece], path: Path) -> None:
    """Make a file what its own pieces say: in place where none of them moves, else by way of a copy beside it.

    Raises:
        OSError: the disk is full or gone; the file may be damaged.
    """
    places = list(_places(pieces))
    if all(isinstance(piece, bytes) or _is_unmoved(place, piece) for place, piece in places):
        with path.open("rb+") as opened:
            for place, piece in places:
                if isinstance(piece, bytes):
                    opened.seek(place)
                    opened.write(piece)
            opened.truncate(total_of(pieces))
        return
    copy = path.with_name(f"{path.name}.tagged")
    try:
        copy.touch(mode=stat.S_IMODE(path.stat().st_mode))
        lay(pieces, path, copy)
        copy.replace(path)
    finally:
        copy.unlink(missing_ok=True)


def digest(pieces: Iterable[Piece], other: Path) -> str:
    """Return the SHA-256 of what pieces make.

    Raises:
        PieceError: a piece lies outside the other file.
    """
    found = hashlib.sha256()
    with other.open("rb", buffering=0) as source:
        buffer = memoryview(bytearray(_BLOCK))
        for piece in pieces:
            for block in (piece,) if isinstance(piece, bytes) else _read(source, *piece, buffer):
                found.update(block)
    return found.hexdigest()


def _places(pieces: Iterable[Piece]) -> Iterator[tuple[int, Piece]]:
    place = 0
    for piece in pieces:
        yield place, piece
        place += size_of(piece)


def _is_unmoved(place: int, piece: Piece) -> bool:
    return isinstance(piece, tuple) and piece[0] == place


def _put(piece: Piece, source: BinaryIO, target: BinaryIO) -> None:
    if isinstance(piece, bytes):
        target.write(piece)
        return
    offset, length = piece
    if length >= _LARGE:
        target.flush()
        done = _copy_in_kernel(source.fileno(), target.fileno(), offset, target.tell(), length)
        target.seek(done, os.SEEK_CUR)
        offset, length = offset + done, length - done
    source.seek(offset)
    while length:
        block = source.read(min(length, _BLOCK))
        if not block:
            raise PieceError(_TOO_SHORT)
        target.write(block)
        length -= len(block)


def _copy_in_kernel(source: int, target: int, start: int, place: int, length: int) -> int:
    """Return how many bytes could be copied this way; what is left has to go through our hands."""
    if not hasattr(os, "copy_file_range"):
        return 0
    done = 0
    try:
        while done < length:
            copied = os.copy_file_range(source, target, length - done, start + done, place + done)
            if not copied:
                break
            done += copied
    except OSError:
        # The copy by hand that follows tells of a disk that is full, and works where only the call does not.
        return done
    return done


def _read(source: BinaryIO, offset: int, length: int, buffer: memoryview) -> Iterator[memoryview]:
    source.seek(offset)
    while length:
        count = source.readinto(buffer[: min(length, len(buffer))])  # type: ignore[attr-defined]
        if not count:
            raise PieceError(_TOO_SHORT)
        length -= count
        yield buffer[:count]
