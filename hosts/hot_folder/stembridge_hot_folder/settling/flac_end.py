"""Whether a FLAC ends with its last frame: each frame says where it stands and carries a checksum (RFC 9639).

Not left to a decoder: what lies half-written in a shared folder is shown to none before it is guarded against a crash,
and none tells of a stream that does not say how many samples it holds.
"""

from __future__ import annotations

import functools
import re
from collections import deque
from typing import BinaryIO, Final

import msgspec

_LONGEST_FRAME: Final = 2**20
"""Bytes looked at when the stream does not say how long its frames are, and at most."""

_MOST_TRIES: Final = 1000
"""Places that may begin a frame, at most; in a megabyte of music there are some thirty by chance."""
_MOST_CHECKED: Final = 2 * _LONGEST_FRAME
"""Bytes that checksums are made of, at most: a file that somebody made up must not keep us busy."""

_SYNC: Final = re.compile(rb"\xff[\xf8\xf9]")
_ID3V1: Final = 128
_HEADER: Final = 32
"""Bytes; no header of a frame is longer."""


class StreamInfo(msgspec.Struct, frozen=True):
    """What a FLAC's first metadata block says."""

    block: int
    """Samples in a frame, of a stream with frames of one length."""
    longest_frame: int
    rate: int
    samples: int
    """Of one channel; 0 when the writer did not know."""


def read_stream_info(block: bytes) -> StreamInfo:
    """Read the body of a STREAMINFO block."""
    return StreamInfo(
        block=int.from_bytes(block[2:4], "big"),
        longest_frame=int.from_bytes(block[7:10], "big"),
        rate=int.from_bytes(block[10:13], "big") >> 4,
        samples=int.from_bytes(block[13:18], "big") & 0xFFFFFFFFF,
    )


def ends_whole(opened: BinaryIO, start: int, size: int, info: StreamInfo) -> bool:
    """Tell whether the last frame is whole and reaches the last sample.

    Args:
        opened: the file.
        start: where the first frame begins.
        size: length of the file.
        info: of this stream.
    """
    length = min(size - start, min(info.longest_frame or _LONGEST_FRAME, _LONGEST_FRAME) + _ID3V1)
    if length < 1:
        return False
    opened.seek(size - length)
    tail = opened.read(length)
    if tail[-_ID3V1:].startswith(b"TAG"):
        tail = tail[:-_ID3V1]
    checked = 0
    for place in _find_syncs(tail):
        end = _end_of_frame(tail[place : place + _HEADER], info)
        if end is None or (info.samples and end < info.samples):
            continue
        checked += len(tail) - place
        if checked > _MOST_CHECKED:
            return False
        if _crc16(tail[place:]) == 0:
            return True
    return False


def _find_syncs(tail: bytes) -> list[int]:
    """Return where frames may begin, the last place first."""
    return [found.start() for found in deque(_SYNC.finditer(tail), maxlen=_MOST_TRIES)][::-1]


def _end_of_frame(frame: bytes, info: StreamInfo) -> int | None:
    """Return the sample after a frame; None where this is no frame's header."""
    if len(frame) < 6 or frame[3] & 1:
        return None
    number, place = _read_number(frame, 4)
    code = frame[2] >> 4
    if number is None or code == 0:
        return None
    if code in (6, 7):
        extra = code - 5
        block = int.from_bytes(frame[place : place + extra], "big") + 1
        place += extra
    else:
        block = 192 if code == 1 else 576 << (code - 2) if code < 6 else 256 << (code - 8)
    place += {12: 1, 13: 2, 14: 2}.get(frame[2] & 0x0F, 0)
    if place >= len(frame) or _crc8(frame[:place]) != frame[place]:
        return None
    # Frames of one length are counted, others say their first sample.
    return (number if frame[1] & 1 else number * info.block) + block


def _read_number(frame: bytes, place: int) -> tuple[int | None, int]:
    """Read a number of up to 36 bits, coded as UTF-8 codes characters; return it and where it ends."""
    first = frame[place]
    if first < 0x80:
        return first, place + 1
    # The ones it begins with count the bytes, this one among them.
    length = 8 - (first ^ 0xFF).bit_length()
    rest = frame[place + 1 : place + length]
    if not 2 <= length <= 7 or len(rest) < length - 1 or any(byte & 0xC0 != 0x80 for byte in rest):
        return None, place
    number = first & (0x7F >> length)
    for byte in rest:
        number = number << 6 | byte & 0x3F
    return number, place + length


def _crc8(data: bytes) -> int:
    found = 0
    for byte in data:
        found ^= byte
        for _ in range(8):
            found = (found << 1 ^ 0x07) & 0xFF if found & 0x80 else found << 1
    return found


def _crc16(data: bytes) -> int:
    table, found = _crc16_table(), 0
    for byte in data:
        found = (found << 8 & 0xFFFF) ^ table[found >> 8 ^ byte]
    return found


@functools.cache
def _crc16_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        found = byte << 8
        for _ in range(8):
            found = (found << 1 ^ 0x8005) & 0xFFFF if found & 0x8000 else found << 1
        table.append(found)
    return tuple(table)
