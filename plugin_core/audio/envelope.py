"""Where the sound of an MP3 or FLAC lies between the tags that programs put before and behind it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from plugin_core.audio.source_file import read_at

_ID3V1: Final = 128
_FOOTER: Final = 32


def find_start(path: Path, descriptor: int, start: int = 0) -> int:
    """Return where the sound begins, after any number of ID3v2 tags."""
    while size := measure_id3(read_at(path, descriptor, start, 10)):
        start += size
    return start


def find_end(path: Path, descriptor: int) -> int:
    """Return where the sound ends, before tags of the kinds ID3v1, APE and Lyrics3."""
    end = os.fstat(descriptor).st_size
    while size := _measure_last_tag(read_at(path, descriptor, max(0, end - _ID3V1), _ID3V1)):
        if size > end:
            break
        end -= size
    return end


def measure_id3(head: bytes) -> int:
    """Return the size of the ID3v2 tag that begins with these ten bytes; 0 where none does."""
    if len(head) < 10 or not head.startswith(b"ID3"):
        return 0
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + (10 if head[5] & 0x10 else 0)


def measure_ape(header: bytes) -> int:
    """Return the size of the APE tag, its other end included, of which these 32 bytes are one end; 0 if none."""
    if len(header) < _FOOTER or not header.startswith(b"APETAGEX"):
        return 0
    has_both = header[23] & 0x80
    return int.from_bytes(header[12:16], "little") + (_FOOTER if has_both else 0)


def _measure_last_tag(tail: bytes) -> int:
    if tail.startswith(b"TAG") and len(tail) == _ID3V1:
        return _ID3V1
    if tail.endswith(b"LYRICS200") and tail[-15:-9].isdigit():
        return int(tail[-15:-9]) + 15
    return measure_ape(tail[-_FOOTER:])
