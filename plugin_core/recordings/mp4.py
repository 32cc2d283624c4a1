"""What of the first audio track an MP4 plays (its edit list), and the gain it asks for (ISO 14496-12)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from plugin_core.audio.source_file import read_at
from plugin_core.recordings.boxes import PLENTY, read_head

_MUCH_SECONDS: Final = 0.5
"""An encoder's padding, which edit lists hide as well, is less."""


class Span(NamedTuple):
    """A part of a track, in units of its own clock, usually samples."""

    start: int
    length: int
    clock: int
    """Units a second."""


class UnclearSpanError(ValueError):
    """A track plays in pieces that lie apart, or nobody says for how long."""


def read_span(path: Path, descriptor: int) -> Span | None:
    """Return the part of the first audio track that is played; None where it is all but the encoder's padding.

    Raises:
        UnclearSpanError: it is no single part.
        TransientError: the disk or share does not answer.
    """
    try:
        index = _read_index(path, descriptor)
        track = _find_track(index)
        return None if track is None else _find_cut(track, _read_clock(index, b"mvhd")[0])
    except (struct.error, StopIteration, IndexError):
        # Damaged, which whoever decodes it finds out.
        return None


def read_opus_gain(path: Path, descriptor: int) -> bytes:
    """Return the two bytes of the output gain in the index, big endian; nothing where there is none."""
    index = _read_index(path, descriptor)
    at = bytes(index).find(b"dOps")
    # Version, channels, pre-skip and the input's rate lie in between.
    return bytes(index[at + 12 : at + 14]) if at >= 0 else b""


def _read_index(path: Path, descriptor: int) -> memoryview:
    """Return the contents of ``moov``, empty where there is none."""
    at, end = 0, os.fstat(descriptor).st_size
    while at + 8 <= end:
        name, head, size = read_head(read_at(path, descriptor, at, 16), end - at)
        if size < head:
            break
        if name == b"moov":
            return memoryview(read_at(path, descriptor, at + head, size - head) if size < PLENTY else b"")
        at += size
    return memoryview(b"")


def _boxes(data: memoryview, name: bytes) -> Iterator[memoryview]:
    """Give the contents of each box of a name that lies right here."""
    at = 0
    while at + 8 <= len(data):
        found, head, size = read_head(data[at : at + 16], len(data) - at)
        if size < head:
            return
        if found == name:
            yield data[at + head : at + size]
        at += size


def _find_track(index: memoryview) -> memoryview | None:
    for track in _boxes(index, b"trak"):
        media = next(_boxes(track, b"mdia"), None)
        handler = next(_boxes(media, b"hdlr"), None) if media is not None else None
        if handler is not None and bytes(handler[8:12]) == b"soun":
            return track
    return None


def _read_clock(box: memoryview, name: bytes) -> tuple[int, int]:
    """Return units a second and length in units, by a ``mvhd`` or ``mdhd``."""
    content = next(_boxes(box, name))
    if content[0] == 1:
        return struct.unpack_from(">IQ", content, 20)
    return struct.unpack_from(">II", content, 12)


def _find_cut(track: memoryview, movie_clock: int) -> Span | None:
    clock, length = _read_clock(next(_boxes(track, b"mdia")), b"mdhd")
    edits = next(_boxes(track, b"edts"), None)
    entries = [] if edits is None else list(_read_edits(next(_boxes(edits, b"elst"))))
    # An edit without a time is silence.
    played = [(start, round(seconds * clock / movie_clock)) for seconds, start in entries if start >= 0]
    if not played or not clock or not movie_clock:
        return None
    much = _MUCH_SECONDS * clock
    start, end = played[0][0], sum(played[0])
    for begun, lasting in played[1:]:
        if abs(begun - end) > much:
            raise UnclearSpanError
        end = begun + lasting
    if not length:
        # Fragments follow, and their edits have no length.
        if start > much:
            raise UnclearSpanError
        return None
    if end == start:
        end = length
    return Span(start, end - start, clock) if length - (end - start) > much else None


def _read_edits(content: memoryview) -> Iterator[tuple[int, int]]:
    """Give each edit's length by the movie's clock, and its start by the track's."""
    form = ">Qqi" if content[0] == 1 else ">Iii"
    (count,) = struct.unpack_from(">I", content, 4)
    for number in range(count):
        length, start, _rate = struct.unpack_from(form, content, 8 + number * struct.calcsize(form))
        yield length, start
