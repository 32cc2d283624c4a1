"""Pages of an Ogg whose numbers change because the pages before them became more or fewer.

mutagen reads and writes every page of the song for that; what it needs are the first ones, which hold the tags.
Layout: RFC 3533, section 6.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Final

from plugin_core.tags.overlay import Overlay

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from plugin_core.tags.pieces import Piece


_HEAD: Final = struct.Struct("<4sBBqIII")
_SEGMENTS: Final = 26
"""Where a page says how many segments it has."""
_NUMBER: Final = 18
_BODY: Final = 26
_BLOCK: Final = 1 << 20
_SWAPPED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits the other way round: Ogg's checksums count them so."""

Page = tuple[int, int, int, int, int]
"""Place, size, granule position, serial number of the stream, number of the page."""


def save_before_audio(overlay: Overlay, serial: int, save: Callable[[], None]) -> None:
    """Let tags be saved while no page of audio is there, then put these back under their new numbers.

    A page that was damaged keeps a wrong checksum: the new one is the old one, changed as the number is.

    Args:
        overlay: the file as it was read.
        serial: the stream with the tags.
        save: saves the tags.
    """
    place = _first_audio(overlay)
    before = _last_number(overlay, serial, place)
    tail = overlay.cut(place)
    save()
    shift = _last_number(overlay, serial, overlay.seek(0, 2)) - before
    overlay.append(_renumber(overlay, tail, serial, shift) if shift else tail)


def _first_audio(overlay: Overlay) -> int:
    """Return where the first page begins that ends some audio; the end of the file when none does."""
    place = 0
    for place, size, granule, _, _ in _pages(overlay, 0, overlay.seek(0, 2)):
        if granule > 0:
            return place
        place += size
    return place


def _last_number(overlay: Overlay, serial: int, end: int) -> int:
    numbers = [number for _, _, _, stream, number in _pages(overlay, 0, end) if stream == serial]
    return numbers[-1] if numbers else -1


def _pages(overlay: Overlay, place: int, end: int) -> Iterator[Page]:
    while place + _SEGMENTS < end:
        overlay.seek(place)
        page = _parse(overlay.read(_SEGMENTS + 1 + 255), 0)
        if page is None or place + page[1] > end:
            return
        yield place, *page[1:]
        place += page[1]


def _parse(data: bytes, place: int) -> Page | None:
    """Take the head of a page apart; None where there is none."""
    if len(data) - place <= _SEGMENTS or data[place : place + 4] != b"OggS":
        return None
    _, _, _, granule, serial, number, _ = _HEAD.unpack_from(data, place)
    count = data[place + _SEGMENTS]
    lengths = data[place + _SEGMENTS + 1 : place + _SEGMENTS + 1 + count]
    return place, _SEGMENTS + 1 + count + sum(lengths), granule, serial, number


def _renumber(overlay: Overlay, tail: list[Piece], serial: int, shift: int) -> Iterator[Piece]:
    """Give the pages behind the tags with their new numbers; what is no page ends the change."""
    for piece in tail:
        if isinstance(piece, bytes):
            yield piece
            continue
        place, end = piece[0], sum(piece)
        while place < end:
            data = overlay.read_below(place, min(_BLOCK, end - place))
            done = yield from _renumber_block(data, place, serial, shift)
            if not done:
                break
            place += done
        yield place, end - place


def _renumber_block(data: bytes, start: int, serial: int, shift: int) -> Generator[Piece, None, int]:
    """Give the whole pages of a block and return how many bytes they take."""
    place = kept = 0
    while (page := _parse(data, place)) is not None and place + page[1] <= len(data):
        _, size, _, stream, number = page
        if stream == serial:
            yield start + kept, place + _NUMBER - kept
            yield _new_number(data[place + 22 : place + _BODY], number, (number + shift) & 0xFFFFFFFF, size)
            kept = place + _BODY
        place += size
    yield start + kept, place - kept
    return place


def _new_number(checksum: bytes, old: int, new: int, size: int) -> bytes:
    """Return number and checksum: of two pages alike in size the checksums differ by that of their difference."""
    difference = bytes(_NUMBER) + (old ^ new).to_bytes(4, "little") + bytes(size - 22)
    changed = (~zlib.crc32(difference.translate(_SWAPPED), -1)) & 0xFFFFFFFF
    swapped = changed.to_bytes(4, "big").translate(_SWAPPED)
    return new.to_bytes(4, "little") + bytes(one ^ other for one, other in zip(checksum, swapped, strict=True))
