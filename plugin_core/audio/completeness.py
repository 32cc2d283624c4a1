"""Telling a file that was cut short (an interrupted copy or download) from a whole one, before it is decoded.

libsndfile reads what is there and takes it for the whole; what it noticed is in its log, for the rest the
containers are asked.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from plugin_core.audio.mpeg import count_samples
from plugin_core.audio.source_file import read_at

_PROMISE: Final = re.compile(r"^ *(?:data|SSND|riff|Data Size) *: (-?\d+) \(should be (\d+)\)$", re.MULTILINE)
_RF64_FRAMES: Final = re.compile(r"Calculated frame count (\d+) does not match value from 'ds64' chunk of (\d+)")

_PLACEHOLDER_SIZES: Final = (range(0x7FFF0000, 0x80000000), range(0xFFFF0000, 0x100000000))
"""Sizes written by programs that could not go back to fill in the true one (ffmpeg, sox into a pipe)."""

_SLACK_BYTES: Final = 1024
"""Padding and sloppy headers differ by a few bytes."""

_OGG_BEGIN: Final = 2
"""The flag of a page that begins a stream."""

_MPEG_SLACK_BYTES: Final = 1 << 15
"""Tags at the end and rounding."""

_OGG_TAIL: Final = 70_000
"""An Ogg page has at most 65,307 bytes, so that the tail holds the beginning of the last one."""


def find_lost_share(log: str) -> float:
    """Return the share (0..1) of the audio that the header promises and libsndfile's log says is missing."""
    for match in _PROMISE.finditer(log):
        promised, there = int(match[1]), int(match[2])
        if promised - there > _SLACK_BYTES and not any(promised in sizes for sizes in _PLACEHOLDER_SIZES):
            return 1 - there / promised
    for match in _RF64_FRAMES.finditer(log):
        there, promised = int(match[1]), int(match[2])
        if promised > there > 0:
            return 1 - there / promised
    return 0.0


def is_ogg_cut(path: Path, descriptor: int) -> bool:
    """Tell whether an Ogg file ends inside a page."""
    size = os.fstat(descriptor).st_size
    tail = read_at(path, descriptor, max(0, size - _OGG_TAIL), _OGG_TAIL)
    start = tail.rfind(b"OggS")
    if start < 0:
        return False
    page = tail[start:]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return True
    return len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])


def is_ogg_chained(path: Path, descriptor: int) -> bool:
    """Tell whether an Ogg file ends in another recording than it begins with; libsndfile reads only the first."""
    size = os.fstat(descriptor).st_size
    head = read_at(path, descriptor, 0, _OGG_TAIL)
    tail = read_at(path, descriptor, max(0, size - _OGG_TAIL), _OGG_TAIL)
    last = tail.rfind(b"OggS")
    begun = _read_begun_streams(head)
    return bool(begun) and last >= 0 and tail[last + 14 : last + 18] not in begun


def _read_begun_streams(head: bytes) -> set[bytes]:
    """Return the serial numbers of the streams a recording consists of: all begin before any goes on."""
    begun = set()
    for match in re.finditer(rb"OggS\0(.).{8}(.{4})", head, re.DOTALL):
        if not match[1][0] & _OGG_BEGIN:
            break
        begun.add(match[2])
    return begun


def has_mpeg_length(path: Path, descriptor: int) -> bool:
    """Tell whether an MP3 says how long it is (a Xing, Info or VBRI header in its first frame)."""
    _, frame = _read_first_frame(path, descriptor)
    return any(mark in frame for mark in (b"Xing", b"Info", b"VBRI"))


def count_mpeg_samples(path: Path, descriptor: int) -> int:
    """Return the samples in each channel that an MP3's frames hold."""
    start, _ = _read_first_frame(path, descriptor)
    return count_samples(descriptor, start)


def is_mpeg_joined(path: Path, descriptor: int) -> bool:
    """Tell whether an MP3 holds much more than its header counts; libsndfile stops where the header says."""
    start, frame = _read_first_frame(path, descriptor)
    match = re.search(rb"(?:Xing|Info)\0\0\0([\x02\x03\x06\x07\x0a\x0b\x0e\x0f])", frame)
    if match is None:
        return False
    at = match.end() + (4 if match[1][0] & 1 else 0)
    counted = int.from_bytes(frame[at : at + 4], "big")
    there = os.fstat(descriptor).st_size - start - _measure_ape_tag(path, descriptor)
    return counted > 0 and there > counted * 1.01 + _MPEG_SLACK_BYTES


def _read_first_frame(path: Path, descriptor: int) -> tuple[int, bytes]:
    head = read_at(path, descriptor, 0, 10)
    start = 0
    if head.startswith(b"ID3") and len(head) == 10:
        start = 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])
    return start, read_at(path, descriptor, start, 4096)


def _measure_ape_tag(path: Path, descriptor: int) -> int:
    """Return the size of the tag at the end, which may hold a cover."""
    size = os.fstat(descriptor).st_size
    tail = read_at(path, descriptor, max(0, size - 160), 160)
    footer = tail.rfind(b"APETAGEX")
    return 32 + int.from_bytes(tail[footer + 12 : footer + 16], "little") if footer >= 0 else 0
