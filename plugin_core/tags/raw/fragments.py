"""Places in a fragmented MP4 that mutagen forgets when the tags before them grow: it mends the first fragment only.

Layouts: ISO/IEC 14496-12, 8.8.7 (``tfhd``) and 8.8.10 (``tfra``).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO, Final

from mutagen.mp4._atom import Atoms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_HAS_BASE: Final = 0x1
"""Flag of a ``tfhd`` whose samples are counted from the start of the file."""
_BASE: Final = 16
"""Where the base stands in a ``tfhd``: behind size, name, flags and track."""


def fragment_places(file: BinaryIO) -> list[int]:
    """Return where the fragments of an MP4 begin; empty when it has none."""
    return [atom.offset for atom in _atoms(file).atoms if atom.name == b"moof"]


def mend_fragments(file: BinaryIO, before: Sequence[int]) -> None:
    """Let fragments and their index point to where the samples are now.

    Args:
        file: the MP4 after mutagen saved it.
        before: where its fragments began.
    """
    atoms = _atoms(file).atoms
    fragments = [atom for atom in atoms if atom.name == b"moof"]
    moved = dict(zip(before, (atom.offset for atom in fragments), strict=True))
    if all(old == new for old, new in moved.items()):
        return
    for old, fragment in list(zip(before, fragments, strict=True))[1:]:
        for head in fragment.findall(b"tfhd", True):
            _move_base(file, head.offset, fragment.offset - old)
    for atom in atoms:
        if atom.name == b"mfra":
            _mend_index(file, atom.offset, atom.length, moved)


def _atoms(file: BinaryIO) -> Atoms:
    file.seek(0)
    atoms: Atoms = Atoms(file)
    return atoms


def _move_base(file: BinaryIO, place: int, shift: int) -> None:
    file.seek(place + 8)
    flags = int.from_bytes(file.read(4), "big")
    if flags & _HAS_BASE:
        file.seek(place + _BASE)
        base = int.from_bytes(file.read(8), "big")
        file.seek(place + _BASE)
        file.write(struct.pack(">Q", base + shift))


def _mend_index(file: BinaryIO, place: int, length: int, moved: Mapping[int, int]) -> None:
    """Mend every ``tfra`` in a ``mfra``, which mutagen does not look into."""
    file.seek(place)
    data = bytearray(file.read(length))
    start = 8
    while start + 24 <= len(data):
        size = int.from_bytes(data[start : start + 4], "big")
        if data[start + 4 : start + 8] == b"tfra":
            _mend_entries(data, start, min(start + size, len(data)), moved)
        start += max(size, 8)
    file.seek(place)
    file.write(data)


def _mend_entries(data: bytearray, start: int, end: int, moved: Mapping[int, int]) -> None:
    width = 8 if data[start + 8] else 4
    lengths = data[start + 19]
    step = 2 * width + sum((lengths >> bits & 3) + 1 for bits in (4, 2, 0))
    for place in range(start + 24 + width, end - width + 1, step):
        old = int.from_bytes(data[place : place + width], "big")
        data[place : place + width] = moved.get(old, old).to_bytes(width, "big")
