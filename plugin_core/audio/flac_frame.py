"""Frames of FLAC: where each stands in its stream, and its checksums (RFC 9639)."""

from __future__ import annotations

import functools

import msgspec


class Frame(msgspec.Struct, frozen=True):
    """What the header of a frame says."""

    first: int
    """Sample it begins with, of one channel."""
    block: int
    """Samples in it, of one channel."""
    is_fixed: bool
    """Whether all frames but the last are of one length."""

    @property
    def end(self) -> int:
        """The sample after it."""
        return self.first + self.block


def read_frame(header: bytes, stream_block: int) -> Frame | None:
    """Return what a frame's header says; None where this is none.

    Args:
        header: the frame's first 32 bytes or more.
        stream_block: samples in a frame, of a stream with frames of one length.
    """
    if len(header) < 6 or header[0] != 0xFF or header[1] & 0xFE != 0xF8 or header[3] & 1:
        return None
    number, place = _read_number(header, 4)
    code = header[2] >> 4
    if number is None or code == 0:
        return None
    if code in (6, 7):
        extra = code - 5
        block = int.from_bytes(header[place : place + extra], "big") + 1
        place += extra
    else:
        block = 192 if code == 1 else 576 << (code - 2) if code < 6 else 256 << (code - 8)
    place += {12: 1, 13: 2, 14: 2}.get(header[2] & 0x0F, 0)
    if place >= len(header) or _crc8(header[:place]) != header[place] or block > 65536:
        return None
    # Frames of one length are counted, others say their first sample.
    is_fixed = not header[1] & 1
    return Frame(number * stream_block if is_fixed else number, block, is_fixed)


def _read_number(header: bytes, place: int) -> tuple[int | None, int]:
    """Read a number coded as UTF-8 codes characters; return it and where it ends."""
    first = header[place]
    if first < 0x80:
        return first, place + 1
    # As many bytes follow as ones do before the first zero, less one.
    more = 7 - (first ^ 0xFF).bit_length()
    rest = header[place + 1 : place + 1 + more]
    if not 1 <= more <= 6 or len(rest) < more or any(byte & 0xC0 != 0x80 for byte in rest):
        return None, place
    number = first & (0x3F >> more)
    for byte in rest:
        number = number << 6 | byte & 0x3F
    return number, place + 1 + more


def _crc8(data: bytes) -> int:
    found = 0
    for byte in data:
        found ^= byte
        for _ in range(8):
            found = (found << 1 ^ 0x07) & 0xFF if found & 0x80 else found << 1
    return found


def crc16(data: bytes) -> int:
    """Return the checksum of a frame's bytes; 0 for a whole frame with its own."""
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
