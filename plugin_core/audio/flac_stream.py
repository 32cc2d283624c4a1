"""A stream of FLAC: what its first block says, and the frame that ends it (RFC 9639)."""

from __future__ import annotations

import re
from collections import deque
from typing import Final

import msgspec

from plugin_core.audio.flac_frame import Frame, crc16, read_frame

LONGEST_FRAME: Final = 1 << 20
"""Bytes looked at where the stream does not say how long its frames are, and at most."""

_MOST_TRIES: Final = 1000
"""Places that may begin the last frame, at most; in a megabyte of music there are some thirty by chance."""
_MOST_CHECKED: Final = 2 * LONGEST_FRAME
"""Bytes that checksums are made of, at most: a file that somebody made up must not keep us busy."""
_HEADER: Final = 32
"""Bytes; no header of a frame is longer."""
_SYNC: Final = re.compile(rb"\xff[\xf8\xf9]")


class StreamInfo(msgspec.Struct, frozen=True):
    """What a stream's first block says."""

    block: int
    """Samples in a frame, of a stream with frames of one length."""
    longest: int
    """Bytes of the longest frame, or of those that are looked at for it."""
    fields: bytes
    """Eight bytes: sample rate, channels and depth in 28 bits, samples in 36."""

    @property
    def samples(self) -> int:
        """Of one channel; 0 where the encoder did not know."""
        return int.from_bytes(self.fields, "big") & 0xFFFFFFFFF

    def count(self, samples: int) -> bytes:
        """Return the fields with another count of samples."""
        return (int.from_bytes(self.fields, "big") >> 36 << 36 | samples).to_bytes(8, "big")


def read_stream_info(block: bytes) -> StreamInfo:
    """Read the body of a STREAMINFO block, 34 bytes."""
    return StreamInfo(
        block=int.from_bytes(block[2:4], "big"),
        longest=min(int.from_bytes(block[7:10], "big") or LONGEST_FRAME, LONGEST_FRAME),
        fields=block[10:18],
    )


def find_frames(data: bytes, info: StreamInfo) -> list[tuple[int, Frame]]:
    """Return what by its header may be a frame, with its place; the last thousand places are tried."""
    places = [found.start() for found in deque(_SYNC.finditer(data), maxlen=_MOST_TRIES)]
    frames = [(place, read_frame(data[place : place + _HEADER], info.block)) for place in places]
    return [(place, frame) for place, frame in frames if frame is not None]


def find_last(tail: bytes, info: StreamInfo, *, reaching: int = 0) -> Frame | None:
    """Return the frame that ends where the bytes do, its checksum right.

    Args:
        tail: the end of the stream, ``info.longest`` bytes or more.
        info: of this stream.
        reaching: the sample it must reach.
    """
    checked = 0
    for place, frame in reversed(find_frames(tail, info)):
        if frame.end < reaching:
            continue
        checked += len(tail) - place
        if checked > _MOST_CHECKED:
            return None
        if crc16(tail[place:]) == 0:
            return frame
    return None
