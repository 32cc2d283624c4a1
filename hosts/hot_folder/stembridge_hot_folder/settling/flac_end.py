"""Whether a FLAC ends with its last frame: each frame says where it stands and carries a checksum (RFC 9639).

Not left to a decoder: what lies half-written in a shared folder is shown to none before it is guarded against a crash,
and none tells of a stream that does not say how many samples it holds.
"""

from __future__ import annotations

import re
from collections import deque
from typing import BinaryIO, Final

import msgspec

from plugin_core.audio.flac_frame import crc16, read_frame

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
        frame = read_frame(tail[place : place + _HEADER], info.block)
        if frame is None or (info.samples and frame.end < info.samples):
            continue
        checked += len(tail) - place
        if checked > _MOST_CHECKED:
            return False
        if crc16(tail[place:]) == 0:
            return True
    return False


def _find_syncs(tail: bytes) -> list[int]:
    """Return where frames may begin, the last place first."""
    return [found.start() for found in deque(_SYNC.finditer(tail), maxlen=_MOST_TRIES)][::-1]
