"""Whether a file is as long as it says it is: a hint to wait longer, never a reason to reject.

RIFF, AIFF and MP4 say how long they are; a FLAC says how many samples it holds and ends in a frame.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO, Final

from plugin_core.audio.flac_stream import StreamInfo, find_last, read_stream_info
from stembridge_hot_folder.opening import open_regular

_UNKNOWN_SIZES: Final = frozenset({0, 0xFFFFFFFF})
"""What a recorder writes until it is finished, and ffmpeg into a pipe for good."""

_HEAD: Final = 12
_MP4_BOXES: Final = 10_000
_FLAC_BLOCKS: Final = 10_000
_ID3V1: Final = 128


def is_whole(path: bytes) -> bool:
    """Tell whether nothing in the file's own structure says that more is to come; True for kinds that do not say.

    A file that cannot be read counts as whole: whoever takes it up will say why.
    """
    try:
        with os.fdopen(open_regular(path), "rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            return _is_whole(opened, opened.read(_HEAD), size)
    except OSError:
        return True


def _is_whole(opened: BinaryIO, head: bytes, size: int) -> bool:
    if len(head) < _HEAD:
        return False
    if head[:4] in (b"RIFF", b"RIFX", b"RF64"):
        return _is_riff_whole(opened, head, size)
    if head[:4] == b"FORM":
        return _is_declared(int.from_bytes(head[4:8], "big"), size)
    if head[:4] == b"fLaC":
        return _is_flac_whole(opened, size)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide"):
        return _is_mp4_whole(opened, size)
    return True


def _is_riff_whole(opened: BinaryIO, head: bytes, size: int) -> bool:
    if head[:4] == b"RF64":
        data = head[8:] + opened.read(24)
        if data[:8] != b"WAVEds64" or len(data) < 20:
            return False
        (declared,) = struct.unpack("<Q", data[12:20])
        return bool(declared + 8 <= size)
    return _is_declared(int.from_bytes(head[4:8], "big" if head[:4] == b"RIFX" else "little"), size)


def _is_declared(declared: int, size: int) -> bool:
    # An odd last chunk is padded, which some writers leave out.
    return declared not in _UNKNOWN_SIZES and declared + 8 <= size + 1


def _is_flac_whole(opened: BinaryIO, size: int) -> bool:
    """Walk the metadata blocks, then look at the last frame."""
    opened.seek(4)
    info = None
    for _ in range(_FLAC_BLOCKS):
        block = opened.read(4)
        if len(block) < 4:
            return False
        kind, length = block[0] & 0x7F, int.from_bytes(block[1:], "big")
        if kind == 0:
            info = read_stream_info(opened.read(length))
        else:
            opened.seek(length, os.SEEK_CUR)
        if block[0] & 0x80:
            return info is not None and _ends_whole(opened, opened.tell(), size, info)
    return False


def _ends_whole(opened: BinaryIO, start: int, size: int, info: StreamInfo) -> bool:
    """Tell whether the last frame is whole and reaches the last sample.

    Not left to a decoder: what lies half-written in a shared folder is shown to none before it is guarded against a
    crash, and none tells of a stream that does not say how many samples it holds.
    """
    length = min(size - start, info.longest + _ID3V1)
    if length < 1:
        return False
    opened.seek(size - length)
    tail = opened.read(length)
    if tail[-_ID3V1:].startswith(b"TAG"):
        tail = tail[:-_ID3V1]
    return find_last(tail, info, reaching=info.samples) is not None


def _is_mp4_whole(opened: BinaryIO, size: int) -> bool:
    """Walk the boxes at the top; they must end where the file ends and hold the sound and its index."""
    kinds, place = set(), 0
    for _ in range(_MP4_BOXES):
        opened.seek(place)
        head = opened.read(16)
        if len(head) < 8:
            break
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        kinds.add(head[4:8])
        if length == 0:
            place = size
            break
        if length < 8:
            return False
        place += length
    return place == size and {b"moov", b"mdat"} <= kinds
