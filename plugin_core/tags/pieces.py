"""A file as pieces of another one: what moves stays bytes on the disk, and only what is new is held.

A piece is an offset and a length in the other file, or bytes that stand for themselves. A recipe is such pieces written
down: how to get an old file back, byte for byte, from the new one that was made of it, in little room. ``C offset
length`` copies from the new file, ``L length`` and bytes stand for themselves; numbers are 64 bits, little endian, the
whole is compressed. Audio, pictures and whatever else a change of tags leaves alone is copied, from wherever it was
moved to.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
import zlib
from bisect import bisect_right
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
    """Make a file of pieces of another one; what the target holds is replaced.

    Raises:
        PieceError: a piece lies outside the other file.
        OSError: the disk is full or gone.
    """
    places, total = list(_places(pieces)), total_of(pieces)
    moved = [(place, piece) for place, piece in places if not _is_unmoved(place, piece)]
    is_copied = total > 0 and total >= 2 * total_of(piece for _, piece in moved)
    if is_copied:
        # A whole copy can share its blocks with the file where the file system knows how to.
        copy_file(other, target, flush=False)
    with other.open("rb") as source, target.open("rb+" if is_copied else "wb") as opened:
        for place, piece in moved if is_copied else places:
            if opened.tell() != place:
                opened.seek(place)
            _put(piece, source, opened)
        opened.truncate(total)


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


MAX_RECIPE: Final = 256 * 1024
"""Bytes a job may keep."""
_STEP: Final = 1 << 16
_SEED: Final = 32
_WORTHWHILE: Final = 128
"""Bytes from which on a part of the old file is looked for in the new one."""
_NEAR: Final = (0, 8, 16, 32, 64, 128, 256)
_SEARCHES: Final = 200
"""How often a piece is looked for everywhere; each may read the whole window."""
_WINDOW: Final = 1 << 25
"""How far around its old place a piece is looked for."""
_COPY: Final = struct.Struct("<cqq")
_LITERAL: Final = struct.Struct("<cq")


class RecipeError(PieceError):
    """The recipe does not fit the file."""


def write_recipe(pieces: Sequence[Piece], old: Path) -> bytes:
    """Return the recipe for ``old`` from what is made of its pieces; empty when it is larger than ``MAX_RECIPE``."""
    packer, packed, size = zlib.compressobj(), [], 0
    with old.open("rb") as source:
        for piece in _invert(pieces, source):
            packed.append(packer.compress(_pack(piece)))
            size += len(packed[-1])
            if size > MAX_RECIPE:
                return b""
    recipe = b"".join((*packed, packer.flush()))
    return recipe if len(recipe) <= MAX_RECIPE else b""


def read_recipe(recipe: bytes) -> list[Piece]:
    """Return the old file as pieces of the new one.

    Raises:
        RecipeError: it is none.
    """
    return list(_unpack(recipe))


def _invert(pieces: Sequence[Piece], old: BinaryIO) -> Iterator[Piece]:
    """Give the old file as pieces of the new one; what the new one has no piece of is looked for in its own bytes."""
    new = _Bytes(pieces)
    place, end = 0, old.seek(0, os.SEEK_END)
    for start, length, there in [*sorted(_kept(pieces)), (end, 0, 0)]:
        if start > place:
            old.seek(place)
            yield from new.make(old.read(start - place))
        skipped = max(place - start, 0)
        if skipped < length:
            yield there + skipped, length - skipped
        place = max(place, start + length)


def _kept(pieces: Sequence[Piece]) -> Iterator[tuple[int, int, int]]:
    """Give offset in the old file, length, and offset in the new one."""
    place = 0
    for piece in pieces:
        if isinstance(piece, tuple):
            yield *piece, place
        place += size_of(piece)


class _Bytes:
    """The bytes of a new file that are no pieces of the old one, as one text, and where each stands."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._starts: list[int] = []
        self._places: list[int] = []
        texts, start, place = [], 0, 0
        for piece in pieces:
            if isinstance(piece, bytes):
                self._starts.append(start)
                self._places.append(place)
                texts.append(piece)
                start += len(piece)
            place += size_of(piece)
        self._text = b"".join(texts)

    def make(self, old: bytes) -> Iterator[Piece]:
        """Give bytes of the old file as pieces of the new one."""
        for piece in _match(old, self._text) if len(old) >= _WORTHWHILE else (old,):
            if isinstance(piece, bytes):
                yield piece
            else:
                yield from self._locate(*piece)

    def _locate(self, start: int, length: int) -> Iterator[Piece]:
        while length:
            number = bisect_right(self._starts, start) - 1
            skipped = start - self._starts[number]
            stop = self._starts[number + 1] if number + 1 < len(self._starts) else len(self._text)
            part = min(length, stop - start)
            yield self._places[number] + skipped, part
            start, length = start + part, length - part


def _match(old: bytes, new: bytes) -> Iterator[Piece]:
    shifts = [0, len(new) - len(old)]
    searches = _SEARCHES
    place = literal = 0
    while place < len(old):
        found = _find_near(old, new, place, shifts)
        if found is None and searches:
            searches -= 1
            found = _search(old, new, place)
        if found is None:
            place += _NEAR[-1] * 2
            continue
        start, shift = found
        while start > literal and start + shift > 0 and old[start - 1] == new[start - 1 + shift]:
            start -= 1
        if start > literal:
            yield old[literal:start]
        length = _extend(old, new, start, shift)
        yield start + shift, length
        if shift not in shifts:
            shifts.append(shift)
        place = literal = start + length
    if literal < len(old):
        yield old[literal:]


def _find_near(old: bytes, new: bytes, place: int, shifts: list[int]) -> tuple[int, int] | None:
    """Find where old and new go on alike, moved as some piece before: Ogg pages differ in their numbers only."""
    for near in _NEAR:
        seed = old[place + near : place + near + _SEED]
        for shift in reversed(shifts):
            start = place + near + shift
            if seed and start >= 0 and new[start : start + len(seed)] == seed:
                return place + near, shift
    return None


def _search(old: bytes, new: bytes, place: int) -> tuple[int, int] | None:
    """Find a piece that was moved: a frame, a picture."""
    seed = old[place : place + _SEED]
    if len(seed) < _SEED or seed.count(seed[:1]) == len(seed):
        return None
    at = new.find(seed, max(0, place - _WINDOW), place + _WINDOW)
    return None if at < 0 else (place, at - place)


def _extend(old: bytes, new: bytes, start: int, shift: int) -> int:
    """Return how many bytes are alike from here on, in growing and then in shrinking steps."""
    length, step = 0, _SEED
    grows = True
    while step:
        place = start + length
        here = old[place : place + step]
        if len(here) == step and here == new[place + shift : place + shift + step]:
            length += step
            step = min(2 * step, _STEP) if grows else step
        else:
            grows = False
            step //= 2
    return length


def _pack(piece: Piece) -> bytes:
    if isinstance(piece, bytes):
        return _LITERAL.pack(b"L", len(piece)) + piece
    return _COPY.pack(b"C", *piece)


def _unpack(recipe: bytes) -> Iterator[Piece]:
    try:
        data, place = zlib.decompress(recipe), 0
        while place < len(data):
            if data[place : place + 1] == b"C":
                _, offset, length = _COPY.unpack_from(data, place)
                place += _COPY.size
                yield offset, length
            else:
                _, length = _LITERAL.unpack_from(data, place)
                place += _LITERAL.size
                yield data[place : place + length]
                place += length
    except (zlib.error, struct.error) as error:
        raise RecipeError(str(error)) from error
