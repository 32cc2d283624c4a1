"""LIST INFO of a WAV, which mutagen does not read: the only tags many recorders and editors write."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LIST: Final = 1 << 20
"""Bytes read of a LIST chunk; real ones have a few hundred."""
MAX_CHUNKS: Final = 10_000


def read_info(file: BinaryIO) -> dict[str, list[str]]:
    """Return the texts of LIST INFO by their id (``INAM``); empty when there is none or the file ends early."""
    file.seek(0)
    if file.read(12)[8:] != b"WAVE":
        return {}
    found: dict[str, list[str]] = {}
    for _ in range(MAX_CHUNKS):
        head = file.read(8)
        if len(head) < 8:
            break
        name, size = struct.unpack("<4sI", head)
        start = file.tell()
        if name == b"LIST":
            for key, text in _texts(file.read(min(size, MAX_LIST))):
                found.setdefault(key, []).append(text)
        file.seek(start + size + size % 2)
    return found


def _texts(data: bytes) -> Iterator[tuple[str, str]]:
    if data[:4] != b"INFO":
        return
    place = 4
    while place + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        yield name.decode("latin-1"), _decode(data[place + 8 : place + 8 + size])
        place += 8 + size + size % 2


def _decode(data: bytes) -> str:
    # The format names no encoding: writers use UTF-8 or the Windows code page.
    text = data.partition(b"\0")[0]
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("cp1252", "replace")
