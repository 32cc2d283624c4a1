"""An AVI's sound: how long its header says that it is, and when it begins, which ffmpeg does not tell.

A writer says by frames without a byte, or in the header of the stream, that sound begins later than pictures.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from plugin_core.audio.source_file import Window

_HEAD: Final = 12
"""Of the file, and of a list: a name, a size and a kind."""
_LISTS: Final = (b"hdrl", b"strl", b"movi", b"rec ")
_HEADER: Final = 48
_FIRST_FRAMES: Final = 2


class AviSound(NamedTuple):
    """Of the first stream with sound, in seconds."""

    late: float
    """Silence in front of it."""
    lasts: float
    """What its header counts, the silence included; 0 where it counts nothing."""


class _AviPart(NamedTuple):
    name: bytes
    start: int
    size: int


def read_avi(window: Window, size: int) -> AviSound | None:
    """Return what an AVI says of its sound; None where it has none, or its header is damaged."""
    streams = start = length = late = filled = 0
    second = shown = 0.0
    wanted = b""
    for chunk in _list_chunks(window, _HEAD, size):
        if chunk.name == b"strh":
            header = window.take(chunk.start, _HEADER).ljust(_HEADER, b"\0")
            scale, rate, first, count = struct.unpack_from("<IIII", header, 20)
            if header.startswith(b"vids") and rate:
                shown = max(shown, (first + count) * scale / rate)
            elif header.startswith(b"auds") and not wanted:
                start, length = first, count
                second = scale / rate if rate else 0.0
                wanted = b"%02dwb" % streams
            streams += 1
        elif chunk.name == wanted:
            # ffmpeg leaves the gap after the first frame, in which there is no sound yet.
            filled, late = filled + bool(chunk.size), late + (not chunk.size)
            if filled == _FIRST_FRAMES:
                break
    if (start + late) * second > (shown or length * second):
        # Beyond the end of the pictures, or longer than all there is, it is no time.
        start = late = 0
    return AviSound((start + late) * second, (start + length) * second if length else 0.0) if second else None


def _list_chunks(window: Window, start: int, end: int) -> Iterator[_AviPart]:
    """Give the chunks in order, those in lists that hold what we ask for as well."""
    at = start
    while at < end and len(head := window.take(at, _HEAD)) >= 8:
        length = int.from_bytes(head[4:8], "little")
        if head.startswith(b"LIST") and head[8:] in _LISTS:
            at += _HEAD
            continue
        yield _AviPart(head[:4], at + 8, length)
        at += 8 + length + (length & 1)
