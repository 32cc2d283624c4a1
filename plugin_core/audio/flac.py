"""A FLAC's frames: each says where it stands, and the last one how long the sound is, whatever the header says.

libsndfile stops where the header says, also in the middle of a song (RFC 9639).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.audio.envelope import find_end, find_start
from plugin_core.audio.flac_frame import Frame, crc16, read_frame
from plugin_core.audio.layout import Finding, Layout, lay_out
from plugin_core.audio.source_file import Window, read_at

_LONGEST_FRAME: Final = 1 << 20
"""Bytes looked at where the stream does not say how long its frames are, and at most."""
_MOST_TRIES: Final = 200
"""Places that may begin the last frame; of a whole file it is among the first few."""
_HEADER: Final = 16
_MARKER: Final = b"fLaC"
_INFO: Final = 34
_PLACES: Final = 8
_SYNC: Final = re.compile(rb"\xff[\xf8\xf9]")


class _Info(msgspec.Struct, frozen=True):
    """What a stream's first block says."""

    at: int
    """Where it stands in the file."""
    block: int
    """Samples in a frame, of a stream with frames of one length."""
    longest: int
    """Bytes of the longest frame; 0 where the encoder did not know."""
    fields: bytes
    """Eight bytes: sample rate, channels and depth in 28 bits, samples in 36."""

    @property
    def samples(self) -> int:
        return int.from_bytes(self.fields, "big") & 0xFFFFFFFFF

    def count(self, samples: int) -> bytes:
        """Return the fields with another count of samples."""
        return (int.from_bytes(self.fields, "big") >> 36 << 36 | samples).to_bytes(8, "big")


def examine_flac(path: Path, descriptor: int) -> Finding | None:
    """Hold a FLAC's header against its last frame; None where it is no FLAC.

    A header that counts too much is put right only if the last frame is shorter than the others: then it ends a
    whole stream; a file cut between two frames is left to the decoder, which misses what the header promises.
    """
    start, end = find_start(path, descriptor), find_end(path, descriptor)
    window = Window(path, descriptor)
    info = _read_info(window, start)
    if info is None:
        return None
    last = _find_last(path, descriptor, start, end, info)
    if last is not None and last.end == info.samples and _is_one(window, start, end, info):
        return Finding()
    seams = list(_find_seams(window, start, end))
    if seams:
        return Finding(layouts=tuple(_lay_out_joined(path, descriptor, start, end, seams)))
    if last is None:
        return _examine_torn(window, start, end, info)
    if last.end > info.samples or (last.is_fixed and last.block < info.block):
        told = info.samples / last.end if info.samples else None
        return Finding(layouts=(_lay_out(start, end, info, last.end),), told=told)
    return Finding()


def _read_info(window: Window, start: int) -> _Info | None:
    head = window.take(start, 8 + _INFO)
    if len(head) < 8 + _INFO or not head.startswith(_MARKER) or head[4] & 0x7F:
        return None
    block = head[8:]
    return _Info(
        at=start + 8,
        block=int.from_bytes(block[2:4], "big"),
        longest=int.from_bytes(block[7:10], "big"),
        fields=block[10:18],
    )


def _find_last(path: Path, descriptor: int, start: int, end: int, info: _Info) -> Frame | None:
    """Return the frame that ends where the file does, its checksum right."""
    length = min(end - start, info.longest or _LONGEST_FRAME, _LONGEST_FRAME)
    tail = read_at(path, descriptor, end - length, length)
    places = [found.start() for found in _SYNC.finditer(tail)]
    for place in places[: -_MOST_TRIES - 1 : -1]:
        frame = read_frame(tail[place : place + _HEADER], info.block)
        if frame is not None and crc16(tail[place:]) == 0:
            return frame
    return None


def _examine_torn(window: Window, start: int, end: int, info: _Info) -> Finding:
    """Let a file that does not end with a whole frame be decoded to where it is damaged, whatever its header says."""
    length = min(end - start, 2 * _LONGEST_FRAME)
    tail = window.take(end - length, length)
    frames = (read_frame(tail[found.start() :][:_HEADER], info.block) for found in _SYNC.finditer(tail))
    furthest = max((frame.end for frame in frames if frame is not None), default=0)
    if not info.samples or furthest <= info.samples:
        return Finding()
    return Finding(layouts=(_lay_out(start, end, info, furthest),), told=info.samples / furthest)


def _is_one(window: Window, start: int, end: int, info: _Info) -> bool:
    """Tell whether frames looked at here and there follow each other; in files joined of equal length they do not."""
    before = -1
    for number in range(1, _PLACES):
        tail = window.take(start + (end - start) * number // _PLACES, min(info.longest or 1 << 16, 1 << 16) * 2)
        frames = (read_frame(tail[found.start() :][:_HEADER], info.block) for found in _SYNC.finditer(tail))
        frame = next((frame for frame in frames if frame is not None), None)
        if frame is not None and frame.first < before:
            return False
        before = frame.first if frame is not None else before
    return True


def _find_seams(window: Window, start: int, end: int) -> Iterator[int]:
    """Give where further streams begin."""
    at = start
    while (at := window.find(_MARKER, at + 1, end)) < end:
        info = _read_info(window, at)
        if info is not None and window.take(at + 5, 3) == b"\0\0\x22" and info.block >= _HEADER:
            yield at


def _lay_out_joined(path: Path, descriptor: int, start: int, end: int, seams: list[int]) -> Iterator[Layout]:
    window = Window(path, descriptor)
    starts = [start, *seams]
    for begin, until in zip(starts, [*seams, end], strict=True):
        info = _read_info(window, begin)
        assert info is not None
        last = _find_last(path, descriptor, begin, until, info)
        yield _lay_out(begin, until, info, info.samples if last is None else max(last.end, info.samples))


def _lay_out(start: int, end: int, info: _Info, samples: int) -> Layout:
    return lay_out(start, end, {info.at + 10: info.count(samples)})
