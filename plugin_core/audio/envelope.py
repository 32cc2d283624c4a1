"""Where the sound of a file lies: between chunks, or the tags that programs put before and behind it.

Of Musepack, where it lies in what the decoder gives, by its packets or frames.

Digests of recordings hang on it: what it finds in a whole file never changes.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from plugin_core.audio.source_file import LEAP, Window, cut_short, damaged, joined, read_at

_ID3V1: Final = 128
_ID3V1_PLUS: Final = 227
_ID3V2: Final = 10
_APE: Final = 32
_LYRICS: Final = 15
_HAS_FOOTER: Final = 0x10
_HAS_HEADER: Final = 1 << 31
_PACKETS: Final = b"MPCK"
MUSEPACK: Final = (_PACKETS, b"MP+")
"""How versions 8 and 7 begin."""
_MUSEPACK_DELAY: Final = 481
"""Samples that its decoder gives before the first of the music."""
_MUSEPACK_FRAME: Final = 1152
"""Samples in each channel of a frame, of which a packet holds 1, 4, 16 or more."""
_MUSEPACK_RATES: Final = (44100, 48000, 37800, 32000)
_LEAST_PACKET: Final = 3
_CHECKSUM_AND_VERSION: Final = 5
_MUSEPACK_VERSION: Final = 7
_MUSEPACK_FRAMES: Final = 1 << 24
"""More than five days of sound have."""
_MUSEPACK_BANDS: Final = 32
_MUSEPACK_FIRST, _MUSEPACK_SIZE, _MUSEPACK_LAST = 200, 20, 11
"""Bits of the header, of what says how long a frame is, and of what follows the last one."""
_WORD_BITS: Final = 32
_MISCOUNTED: Final = "its header counts other samples than it holds"
_MOST_CHUNKS: Final = 10_000


class ChunkKind(NamedTuple):
    """How a kind of file lays out its chunks, and which of them is the sound."""

    order: Literal["little", "big"]
    first: int
    """Where the first chunk is."""
    sound: bytes
    name: int = 4
    """Bytes of a chunk's name, and of its size."""
    width: int = 4
    align: int = 2


class Chunk(NamedTuple):
    """A part of a file that says its name and how long it is; offsets in the file."""

    name: bytes
    size_at: int
    body: int
    size: int
    next: int


def find_audio(path: Path, descriptor: int) -> tuple[int, int]:
    """Return where the sound begins and ends, by its tags: ID3v1, ID3v2, TAG+, Lyrics3v2 and APEv2.

    Raises:
        TransientError: the disk or share does not answer.
    """
    end = os.fstat(descriptor).st_size
    start = min(find_start(path, descriptor), end)
    while size := _measure_last(_read_before(path, descriptor, start, end)):
        end = max(start, end - size)
    return start, end


def find_end(path: Path, descriptor: int) -> int:
    return find_audio(path, descriptor)[1]


def find_start(path: Path, descriptor: int) -> int:
    """Return where the sound begins, after any number of tags; beyond the end where a tag says that it is longer."""
    start = 0
    while size := measure_tag(read_at(path, descriptor, start, _APE)):
        start += size
    return start


def measure_tag(head: bytes) -> int:
    """Return the size of the ID3v2 or APE tag that begins with these 32 bytes; 0 where none does."""
    if head.startswith(b"ID3") and len(head) >= _ID3V2:
        footer = _ID3V2 if head[5] & _HAS_FOOTER else 0
        return _ID3V2 + _read_syncsafe(head[6:10]) + footer
    if head.startswith(b"APETAGEX") and len(head) >= _APE:
        return _APE + int.from_bytes(head[12:16], "little")
    return 0


def find_next(window: Window, at: int, end: int) -> int:
    """Return where something stands from ``at`` on that is neither a tag nor padding; ``end`` where nothing does."""
    while at < end and (head := window.take(at, LEAP)):
        size = measure_tag(head) or (_ID3V1 if head.startswith(b"TAG") else len(head) - len(head.lstrip(b"\0")))
        if not size:
            return at
        at += size
    return end


def list_chunks(window: Window, kind: ChunkKind, start: int, end: int) -> Iterator[Chunk]:
    """Give the chunks that follow each other from ``start`` to before ``end``."""
    at = start
    for _ in range(_MOST_CHUNKS):
        data = window.take(at, kind.name + kind.width)
        if at >= end or len(data) < kind.name + kind.width:
            return
        size_at, body = at + kind.name, at + len(data)
        size = int.from_bytes(data[kind.name :], kind.order)
        if kind.name > 4:
            # The names that are not four letters count themselves.
            size = max(0, size - len(data))
        following = body + size + -size % kind.align
        yield Chunk(data[: kind.name], size_at, body, size, following)
        at = following


def _read_before(path: Path, descriptor: int, start: int, end: int) -> bytes:
    begun = max(start, end - _ID3V1_PLUS)
    return read_at(path, descriptor, begun, end - begun)


def _measure_last(tail: bytes) -> int:
    """Return the size of the tag that ends here; 0 for none."""
    if tail[-_ID3V1:].startswith(b"TAG") and len(tail) >= _ID3V1:
        return _ID3V1
    if tail[-_ID3V1_PLUS:].startswith(b"TAG+") and len(tail) == _ID3V1_PLUS:
        return _ID3V1_PLUS
    if tail.endswith(b"LYRICS200") and tail[-_LYRICS:-9].isdigit():
        return _LYRICS + int(tail[-_LYRICS:-9])
    if tail[-_APE:].startswith(b"APETAGEX"):
        header = _APE if int.from_bytes(tail[-12:-8], "little") & _HAS_HEADER else 0
        return header + int.from_bytes(tail[-20:-16], "little")
    if tail[-_ID3V2:].startswith(b"3DI"):
        return 2 * _ID3V2 + _read_syncsafe(tail[-4:])
    return 0


def _read_syncsafe(data: bytes) -> int:
    return (data[0] & 127) << 21 | (data[1] & 127) << 14 | (data[2] & 127) << 7 | data[3] & 127


def read_musepack(path: Path, window: Window, end: int, size: int) -> tuple[int, int]:
    """Return how many samples a decoder of Musepack puts in front, and how many follow; 0 where that is not told.

    Args:
        path: the file.
        window: on it.
        end: where tags begin that programs put behind it.
        size: of the file.

    Raises:
        SourceError: it ends before its last frame, counts wrong, or several are joined.
    """
    return _read_packets(path, window, size) if window.take(0, 4) == _PACKETS else _read_frames(path, window, end)


def _read_packets(path: Path, window: Window, size: int) -> tuple[int, int]:
    """Go through the packets of version 8, of which each says what it is, and how long."""
    at, front, samples, most = len(_PACKETS), 0, 0, 0
    count = 1
    while at < size:
        key, (length, after) = window.take(at, 2), _read_number(window, at + 2)
        if at + max(length, _LEAST_PACKET) > size:
            break
        if length < after - at or not (key.isalpha() and key.isupper()):
            raise damaged(path, None, "its packets do not follow each other")
        if key == b"SH":
            head = window.take(after, at + length - after)
            if zlib.crc32(head[4:]) != int.from_bytes(head[:4], "big"):
                raise damaged(path, None, "the checksum of its header is wrong")
            samples, after = _read_number(window, after + _CHECKSUM_AND_VERSION)
            silence, after = _read_number(window, after)
            front = _MUSEPACK_DELAY + silence
            count = _MUSEPACK_FRAME << 2 * (int.from_bytes(window.take(after + 1, 1), "big") & 7)
        most += count * (key == b"AP")
        at += length
        if key == b"SE":
            if window.find(_PACKETS + b"SH", at, size) < size:
                raise joined(path)
            if most - count < front + samples <= most:
                return front, samples
            raise damaged(path, None, _MISCOUNTED)
    raise cut_short(path)


def _read_frames(path: Path, window: Window, end: int) -> tuple[int, int]:
    """Go through the frames of version 7: each begins with its bits, wherever the one in front of it ended."""
    told, gapless = (int.from_bytes(window.take(place, 4), "little") for place in (4, 20))
    place = window.find(MUSEPACK[1], 1, window.size)
    while place < window.size and not _is_musepack(window, place):
        place = window.find(MUSEPACK[1], place + 1, window.size)
    if place < window.size:
        raise joined(path)
    count, at = _pass_frames(window, _MUSEPACK_FIRST, told, 8 * end)
    more, after = _pass_frames(window, at, _MUSEPACK_FRAMES, 8 * end)
    if not told or ((count < told or more) and _is_end(window, after, 8 * end)):
        raise damaged(path, None, _MISCOUNTED)
    if count < told and not _take_bits(window, at, _MUSEPACK_SIZE):
        raise damaged(path, count * _MUSEPACK_FRAME / _MUSEPACK_RATES[window.take(10, 1)[0] & 3])
    if count < told or 8 * end - at < _MUSEPACK_LAST:
        raise cut_short(path, 1 - count / told)
    # The samples of the last frame stand behind it, and in headers of later encoders; the decoder gives all of it.
    last, again = _take_bits(window, at, _MUSEPACK_LAST), (gapless >> 20 & 0x7FF) * (gapless >> 31)
    if last > _MUSEPACK_FRAME or (last and again and last != again):
        raise damaged(path, None, _MISCOUNTED)
    samples = (told - 1) * _MUSEPACK_FRAME + (last or _MUSEPACK_FRAME)
    return _MUSEPACK_DELAY, min(samples, told * _MUSEPACK_FRAME - _MUSEPACK_DELAY)


def _pass_frames(window: Window, at: int, most: int, end: int) -> tuple[int, int]:
    """Pass over as many frames as there are, and return how many, and the bit at which they end."""
    for count in range(most):
        size = _take_bits(window, at, _MUSEPACK_SIZE)
        if not size or at + _MUSEPACK_SIZE + size > end:
            return count, at
        at += _MUSEPACK_SIZE + size
    return most, at


def _is_end(window: Window, at: int, end: int) -> bool:
    """Tell whether no more is left than a number, a frame in which the sound dies away, and less than two words."""
    at += _MUSEPACK_LAST
    dying = _MUSEPACK_SIZE + _take_bits(window, at, _MUSEPACK_SIZE)
    return 0 <= end - at < 2 * _WORD_BITS or 0 <= end - at - dying < 2 * _WORD_BITS


def _take_bits(window: Window, at: int, width: int) -> int:
    """Return a number of bits, of words of which the lowest byte is first."""
    words = window.take(at // _WORD_BITS * 4, 8).ljust(8, b"\0")
    number = int.from_bytes(words[3::-1] + words[:3:-1], "big")
    return number >> 2 * _WORD_BITS - at % _WORD_BITS - width & (1 << width) - 1


def _is_musepack(window: Window, start: int) -> bool:
    """Tell whether a version, a number of frames and one of bands that can be stand behind the mark."""
    version, frames, bands = struct.unpack("<3xBI3xB", window.take(start, 12).ljust(12, b"\0"))
    return bool(version & 15 == _MUSEPACK_VERSION and 0 < frames < _MUSEPACK_FRAMES and bands & 63 < _MUSEPACK_BANDS)


def _read_number(window: Window, at: int) -> tuple[int, int]:
    """Return a number of seven bits a byte and where it ends."""
    data = window.take(at, 9)
    width = next((place for place, byte in enumerate(data, 1) if not byte & 0x80), 9)
    return next(list_numbers(data[:width] + b"\0"), 0), at + width


def list_numbers(data: bytes) -> Iterator[int]:
    """Give numbers of seven bits a byte, the highest first."""
    number = 0
    for byte in data:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            yield number
            number = 0
