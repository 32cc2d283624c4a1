"""The boxes an MP4 is made of (ISO 14496-12)."""

from __future__ import annotations

import os
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from plugin_core.audio.source_file import Window, read_at

PLENTY: Final = 1 << 28
"""More than any index of a song; a size beyond it is damage."""


class OddBoxError(ValueError):
    """A file is not built as those are that we know."""


class FileBox(NamedTuple):
    """A box that lies in no other."""

    name: bytes
    start: int
    """Where it begins in the file, in bytes."""
    content: int
    """Where its content begins."""
    end: int


class Boxes:
    """The boxes that lie side by side in a part of an index, which they fill."""

    def __init__(self, data: memoryview) -> None:
        """Take them.

        Raises:
            OddBoxError: their sizes do not add up.
        """
        self._found: dict[bytes, list[memoryview]] = defaultdict(list)
        at = 0
        while at < len(data):
            name, head, size = read_head(data[at : at + 16], 0) if at + 8 <= len(data) else (b"", 8, 0)
            if not head <= size <= len(data) - at:
                raise OddBoxError
            self._found[name].append(data[at + head : at + size])
            at += size

    @property
    def names(self) -> list[bytes]:
        """Return which there are, in order, each once."""
        return list(self._found)

    def all(self, name: bytes) -> list[memoryview]:
        """Return the contents of each box of a name."""
        return self._found.get(name, [])

    def only(self, *names: bytes) -> memoryview:
        """Return the content of the one box that has one of the names.

        Raises:
            OddBoxError: there is none, or several.
        """
        found = [content for name in names for content in self.all(name)]
        if len(found) != 1:
            raise OddBoxError
        return found[0]

    def inside(self, *path: bytes) -> Boxes:
        """Return what lies in a box that lies in a box, and so on, each the only one of its name.

        Raises:
            OddBoxError: one is missing or there twice, or sizes do not add up.
        """
        return self if not path else Boxes(self.only(path[0])).inside(*path[1:])


def list_boxes(path: Path, descriptor: int) -> Iterator[FileBox]:
    """Give the boxes of a file, which they fill.

    Raises:
        OddBoxError: their sizes do not add up.
        TransientError: the disk or share does not answer.
    """
    window, at, end = Window(path, descriptor), 0, os.fstat(descriptor).st_size
    while at < end:
        data = window.take(at, 16)
        name, head, size = read_head(data, end - at) if len(data) >= 8 else (b"", 8, 0)
        if not head <= size <= end - at:
            raise OddBoxError
        yield FileBox(name, at, at + head, at + size)
        at += size


def read_content(path: Path, descriptor: int, box: FileBox) -> memoryview:
    """Return the content of a box.

    Raises:
        OddBoxError: it is larger than any index.
        TransientError: the disk or share does not answer.
    """
    size = box.end - box.content
    data = read_at(path, descriptor, box.content, size) if size < PLENTY else b""
    if len(data) != size:
        raise OddBoxError
    return memoryview(data)


def read_head(data: bytes | memoryview, room: int) -> tuple[bytes, int, int]:
    """Return a box's name, the bytes of its head, and of the whole; ``room`` where it reaches to the end."""
    size, name = struct.unpack_from(">I4s", data)
    if size == 1 and len(data) >= 16:
        return name, 16, int.from_bytes(data[8:16], "big")
    return name, 8, size or room
