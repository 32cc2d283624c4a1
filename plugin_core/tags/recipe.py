"""How to get an old file back from the new one that was made of it, byte for byte, in little room.

A recipe is a list of pieces: ``C offset length`` copies from the new file, ``L length`` and bytes stand for themselves;
numbers are 64 bits, little endian, the whole is compressed. Audio, pictures and whatever else a change of tags leaves
alone is copied, from wherever it was moved to.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_RECIPE: Final = 256 * 1024
"""Bytes a job may keep."""
_STEP: Final = 1 << 16
_SEED: Final = 32
_NEAR: Final = (0, 8, 16, 32, 64, 128, 256)
_SEARCHES: Final = 200
"""How often a piece is looked for everywhere; each may read the whole window."""
_WINDOW: Final = 1 << 25
"""How far around its old place a piece is looked for."""
_COPY: Final = struct.Struct("<cqq")
_LITERAL: Final = struct.Struct("<cq")

Piece = tuple[int, int] | bytes
"""Offset and length in the new file, or the bytes."""


class RecipeError(ValueError):
    """The recipe does not fit the file."""


def write_recipe(old: Path, new: Path) -> bytes:
    """Return the recipe for ``old`` from ``new``; empty when it is larger than ``MAX_RECIPE``. Neither may be empty."""
    packer, packed, size = zlib.compressobj(), [], 0
    with _mapped(old) as one, _mapped(new) as other:
        for piece in _match(one, other):
            packed.append(packer.compress(_pack(piece)))
            size += len(packed[-1])
            if size > MAX_RECIPE:
                return b""
    recipe = b"".join((*packed, packer.flush()))
    return recipe if len(recipe) <= MAX_RECIPE else b""


def follow_recipe(recipe: bytes, new: Path, target: BinaryIO) -> str:
    """Write the old file into ``target`` and return its SHA-256.

    Raises:
        RecipeError: the recipe does not fit.
    """
    digest = hashlib.sha256()
    with new.open("rb") as source:
        for piece in _unpack(recipe):
            for block in (piece,) if isinstance(piece, bytes) else _read(source, *piece):
                digest.update(block)
                target.write(block)
    return digest.hexdigest()


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        yield mapped


def _match(old: mmap.mmap, new: mmap.mmap) -> Iterator[Piece]:
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


def _find_near(old: mmap.mmap, new: mmap.mmap, place: int, shifts: list[int]) -> tuple[int, int] | None:
    """Find where old and new go on alike, moved as some piece before: Ogg pages differ in their numbers only."""
    for near in _NEAR:
        seed = old[place + near : place + near + _SEED]
        for shift in reversed(shifts):
            start = place + near + shift
            if seed and start >= 0 and new[start : start + len(seed)] == seed:
                return place + near, shift
    return None


def _search(old: mmap.mmap, new: mmap.mmap, place: int) -> tuple[int, int] | None:
    """Find a piece that was moved: a frame, a picture."""
    seed = old[place : place + _SEED]
    if len(seed) < _SEED or seed.count(seed[:1]) == len(seed):
        return None
    at = new.find(seed, max(0, place - _WINDOW), place + _WINDOW)
    return None if at < 0 else (place, at - place)


def _extend(old: mmap.mmap, new: mmap.mmap, start: int, shift: int) -> int:
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


def _read(source: BinaryIO, offset: int, length: int) -> Iterator[bytes]:
    source.seek(offset)
    while length:
        block = source.read(min(length, _STEP))
        if not block:
            raise RecipeError("the file is too short")
        length -= len(block)
        yield block
