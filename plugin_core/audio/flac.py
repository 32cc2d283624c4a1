"""A FLAC's frames: each says where it stands, and the last one how long the sound is, whatever the header says.

libsndfile stops where the header says, also in the middle of a song (RFC 9639).
"""

from __future__ import annotations

import functools
import re
import struct
from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from plugin_core.audio.envelope import find_end
from plugin_core.audio.info import ByteSpan, FileLayout, Structure, lay_out
from plugin_core.audio.source_file import LEAP, FileReading, Window, damaged, read_at, read_pieces

LONGEST_FRAME: Final = 1 << 20
"""Bytes looked at where the stream does not say how long its frames are, and at most."""

_MOST_TRIES: Final = 1000
"""Places that may begin the last frame, at most; in a megabyte of music there are some thirty by chance."""
_MOST_CHECKED: Final = 2 * LONGEST_FRAME
"""Bytes that checksums are made of, at most: a file that somebody made up must not keep us busy."""
FLAC_HEADER: Final = 32
"""Bytes; no header of a frame is longer."""
_SYNC: Final = re.compile(rb"\xff[\xf8\xf9]")
_MARKER: Final = b"fLaC"
_INFO_AT: Final = 8
"""Where the first block's body is."""
_INFO: Final = 34
_BLOCK_HEAD: Final = 4
_SHORTEST_BLOCK: Final = 16
_RATES: Final = (0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000)
_DEPTHS: Final = (0, 8, 12, 0, 16, 20, 24, 32)
"""By their codes in a frame's header; 0 where that leaves it to the stream's."""
_ALIKE: Final = 3
"""Bytes of a header that are the same in all frames of one length."""
_PLACES: Final = 8
_LONG_FRAME: Final = 1 << 16


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
    table, found = _crc_table(8, 0x07), 0
    for byte in data:
        found = table[found ^ byte]
    return found


def crc16(data: bytes) -> int:
    """Return the checksum of a frame's bytes; 0 for a whole frame with its own."""
    table, found = _crc_table(16, 0x8005), 0
    for byte in data:
        found = (found << 8 & 0xFFFF) ^ table[found >> 8 ^ byte]
    return found


@functools.cache
def _crc_table(bits: int, polynomial: int) -> tuple[int, ...]:
    table, top, mask = [], 1 << bits - 1, (1 << bits) - 1
    for byte in range(256):
        found = byte << bits - 8
        for _ in range(8):
            found = (found << 1 ^ polynomial) & mask if found & top else found << 1
        table.append(found)
    return tuple(table)


class StreamInfo(msgspec.Struct, frozen=True):
    """What a stream's first block says."""

    block: int
    """Samples in a frame, of a stream with frames of one length."""
    longest: int
    """Bytes of the longest frame, or of those that are looked at for it."""
    fields: bytes
    """Eight bytes: sample rate, channels and depth in 28 bits, samples in 36."""
    is_block_wrong: bool = False
    """Whether the header has another ``block`` than the frames."""
    note: str = ""
    """What of ``fields`` the header has otherwise than the frames; empty: nothing."""

    @property
    def samples(self) -> int:
        """Of one channel; 0 where the encoder did not know."""
        return int.from_bytes(self.fields, "big") & 0xFFFFFFFFF

    @property
    def rate(self) -> int:
        """Samples of a channel in a second."""
        return self.form[0]

    @property
    def form(self) -> tuple[int, int, int]:
        """Sample rate, channels and bits of a sample."""
        number = int.from_bytes(self.fields, "big")
        return number >> 44, (number >> 41 & 7) + 1, (number >> 36 & 31) + 1

    def count(self, samples: int) -> bytes:
        """Return the fields with another count of samples."""
        return (int.from_bytes(self.fields, "big") >> 36 << 36 | samples).to_bytes(8, "big")


class _FrameRun(NamedTuple):
    """How far frames follow each other."""

    reach: int
    """The sample after them."""
    block: int
    is_broken: bool
    """Whether others go on elsewhere."""
    seconds: float

    def lacks_some(self, samples: int) -> bool:
        """Tell whether frames are missing of a stream of so many samples: libFLAC puts silence there."""
        return self.is_broken or samples - self.reach >= self.block


def read_stream_info(block: bytes) -> StreamInfo:
    """Read the body of a STREAMINFO block, 34 bytes."""
    return StreamInfo(
        block=int.from_bytes(block[2:4], "big"),
        longest=min(int.from_bytes(block[7:10], "big") or LONGEST_FRAME, LONGEST_FRAME),
        fields=block[10:18],
    )


def find_frames(data: bytes, info: StreamInfo, *, is_backward: bool = False) -> Iterator[tuple[int, Frame]]:
    """Give what by its header may be a frame, with its place; a thousand places are tried, the first or the last."""
    found = _SYNC.finditer(data)
    for one in reversed(deque(found, maxlen=_MOST_TRIES)) if is_backward else islice(found, _MOST_TRIES):
        place = one.start()
        frame = read_frame(data[place : place + FLAC_HEADER], info.block)
        if frame is not None:
            yield place, frame


def find_last(tail: bytes, info: StreamInfo, *, reaching: int = 0) -> Frame | None:
    """Return the frame that ends where the bytes do, its checksum right.

    Args:
        tail: the end of the stream, ``info.longest`` bytes or more.
        info: of this stream.
        reaching: the sample it must reach.
    """
    checked = 0
    for place, frame in find_frames(tail, info, is_backward=True):
        if frame.end < reaching:
            continue
        checked += len(tail) - place
        if checked > _MOST_CHECKED:
            return None
        if crc16(tail[place:]) == 0:
            return frame
    return None


def examine_flac(path: Path, descriptor: int, start: int, passage: FileReading | None = None) -> Structure | None:
    """Hold the header of a FLAC that begins at ``start`` against its frames; None where it is no FLAC.

    A header that counts too much is put right only if the last frame is shorter than the others: then it ends a
    whole stream; a file cut between two frames is left to the decoder, which misses what the header promises.

    Raises:
        SourceError: it lacks frames.
    """
    window, end = Window(path, descriptor, room=LEAP), find_end(path, descriptor)
    info = _read_info(window, start)
    if info is None:
        return None
    tail = _read_tail(path, descriptor, start, end, info)
    as_told = Structure(
        layouts=(_lay_out(start, end, info, info.samples),) if info.is_block_wrong or info.note else (),
        note=info.note,
    )
    walk = _follow(path, descriptor, window, ByteSpan(start, end), passage)
    is_one = _is_one(window, start, end, info) if walk is None else not walk.lacks_some(info.samples)
    if is_one and _reaches_end(tail, info):
        return as_told
    last = find_last(tail, info)
    seams = list(_find_seams(window, start, end))
    if seams:
        return Structure(layouts=tuple(_lay_out_joined(path, descriptor, start, end, seams)))
    if last is None:
        return _examine_torn(window, start, end, info)
    if walk is not None and walk.lacks_some(last.end):
        raise damaged(path, walk.seconds, "frames are missing")
    if last.end > info.samples or (last.is_fixed and last.block < info.block):
        told = info.samples / last.end if info.samples else None
        return Structure(layouts=(_lay_out(start, end, info, last.end),), told=told, note=info.note)
    return as_told


def _read_info(window: Window, start: int) -> StreamInfo | None:
    head = window.take(start, _INFO_AT + _INFO)
    if len(head) < _INFO_AT + _INFO or not head.startswith(_MARKER) or head[4] & 0x7F:
        return None
    info = read_stream_info(head[_INFO_AT:])
    at, frame = _read_first(window, start)
    if frame is None:
        return info
    info = _correct_form(info, window.take(at, FLAC_HEADER))
    # The only frame may be shorter than others would be.
    if not frame.is_fixed or frame.block in (info.block, info.samples):
        return info
    return msgspec.structs.replace(info, block=frame.block, is_block_wrong=True)


def _correct_form(info: StreamInfo, header: bytes) -> StreamInfo:
    """Take sample rate, channels and depth from a frame, whose header has a checksum, where the stream's has others."""
    form = _read_form(header)
    rate, channels, bits = (there or told for there, told in zip(form, info.form, strict=True))
    if (rate, channels, bits) == info.form:
        return info
    number = rate << 44 | (channels - 1) << 41 | (bits - 1) << 36 | info.samples
    fields = number.to_bytes(8, "big")
    units = ("Hz", "channels", "bits")
    odd = [one for one in zip(info.form, (rate, channels, bits), units, strict=True) if one[0] != one[1]]
    told, found = (" and ".join(f"{one[at]} {one[2]}" for one in odd) for at in (0, 1))
    note = f"its header says {told}, its frames {found}: read as these say"
    return msgspec.structs.replace(info, fields=fields, note=note)


def _read_form(header: bytes) -> tuple[int, int, int]:
    """Return sample rate, channels and bits that a frame's header says; 0 for what it leaves to the stream's."""
    code, layout = header[2] & 0x0F, header[3] >> 4
    end = _read_number(header, 4)[1] + {6: 1, 7: 2}.get(header[2] >> 4, 0)
    coded = {12: header[end] * 1000, 13: header[end] << 8 | header[end + 1]}
    coded[14] = coded[13] * 10
    rate = _RATES[code] if code < len(_RATES) else coded.get(code, 0)
    return rate, layout + 1 if layout < 8 else 2, _DEPTHS[header[3] >> 1 & 7]


def _read_first(window: Window, start: int) -> tuple[int, Frame | None]:
    """Return the first frame of a stream, and its place, behind its blocks of metadata."""
    at, is_last = start + len(_MARKER), False
    while not is_last and len(head := window.take(at, _BLOCK_HEAD)) == _BLOCK_HEAD:
        is_last = head[0] > 0x7F
        at += _BLOCK_HEAD + int.from_bytes(head[1:], "big")
    return at, read_frame(window.take(at, FLAC_HEADER), 0) if is_last else None


def _read_tail(path: Path, descriptor: int, start: int, end: int, info: StreamInfo) -> bytes:
    length = min(end - start, info.longest)
    return read_at(path, descriptor, end - length, length)


def _reaches_end(tail: bytes, info: StreamInfo) -> bool:
    """Tell whether a frame says that it ends where the header does; whether it is whole, decoding tells."""
    return any(frame.end == info.samples for _, frame in find_frames(tail, info, is_backward=True))


def _examine_torn(window: Window, start: int, end: int, info: StreamInfo) -> Structure:
    """Let a file that does not end with a whole frame be decoded to where it is damaged, whatever its header says."""
    length = min(end - start, 2 * LONGEST_FRAME)
    tail = window.take(end - length, length)
    furthest = max((frame.end for _, frame in find_frames(tail, info, is_backward=True)), default=0)
    if not info.samples or furthest <= info.samples:
        return Structure()
    return Structure(layouts=(_lay_out(start, end, info, furthest),), told=info.samples / furthest)


def _is_one(window: Window, start: int, end: int, info: StreamInfo) -> bool:
    """Tell whether frames looked at here and there follow each other; in files joined of equal length they do not."""
    before = -1
    for number in range(1, _PLACES):
        data = window.take(start + (end - start) * number // _PLACES, min(info.longest + FLAC_HEADER, 2 * _LONG_FRAME))
        if found := next(find_frames(data, info), None):
            if found[1].first < before:
                return False
            before = found[1].first
    return True


def _follow(
    path: Path, descriptor: int, window: Window, part: ByteSpan, passage: FileReading | None
) -> _FrameRun | None:
    """Go through frames of one length; None where they are of others, which begin like much else."""
    least, block, rate = struct.unpack(">HH6xI", window.take(part.start + _INFO_AT, _INFO)[:14])
    at, first = _read_first(window, part.start)
    if first is None or not first.is_fixed or least != block or first.block != block or not rate >> 12:
        return None
    reach = following = -1
    is_broken = False
    for frame in _list_frames(path, descriptor, ByteSpan(at, part.end), block, passage):
        if reach in (-1, frame.first):
            reach = frame.first + block
        elif frame.first == following:
            # What looks like a frame by chance is followed by none.
            is_broken = True
            break
        else:
            following = frame.first + block
    return _FrameRun(reach, block, is_broken, reach / (rate >> 12))


def _list_frames(
    path: Path, descriptor: int, part: ByteSpan, block: int, passage: FileReading | None
) -> Iterator[Frame]:
    """Give what may be frames like the first one, which a part of a file begins with."""
    mark, rest = read_at(path, descriptor, part.start, _ALIKE), b""
    for piece in chain(read_pieces(path, descriptor, part.start, part.end, passage), (bytes(FLAC_HEADER),)):
        data = rest + piece
        place = data.find(mark)
        while 0 <= place <= len(data) - FLAC_HEADER:
            if (frame := read_frame(data[place : place + FLAC_HEADER], block)) is not None:
                yield frame
            place = data.find(mark, place + 1)
        rest = data[1 - FLAC_HEADER :]


def _find_seams(window: Window, start: int, end: int) -> Iterator[int]:
    """Give where further streams begin."""
    at = start
    while (at := window.find(_MARKER, at + 1, end)) < end:
        info = _read_info(window, at)
        if info is not None and window.take(at + 5, 3) == b"\0\0\x22" and info.block >= _SHORTEST_BLOCK:
            yield at


def _lay_out_joined(path: Path, descriptor: int, start: int, end: int, seams: list[int]) -> Iterator[FileLayout]:
    window = Window(path, descriptor)
    starts = [start, *seams]
    for begin, until in zip(starts, [*seams, end], strict=True):
        info = _read_info(window, begin)
        assert info is not None
        last = find_last(_read_tail(path, descriptor, begin, until, info), info)
        yield _lay_out(begin, until, info, info.samples if last is None else max(last.end, info.samples))


def _lay_out(start: int, end: int, info: StreamInfo, samples: int) -> FileLayout:
    block = info.block.to_bytes(2, "big")
    patches = {start + _INFO_AT: 2 * block} if info.is_block_wrong else {}
    return lay_out(start, end, patches | {start + _INFO_AT + 10: info.count(samples)})
