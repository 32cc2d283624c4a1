"""Where the audio of a file without a container lies: behind the tags at its beginning, before those at its end."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from plugin_core.audio.source_file import read_at

_ID3V1: Final = 128
_ID3V1_PLUS: Final = 227
_ID3V2: Final = 10
_APE: Final = 32
_LYRICS: Final = 15
_TAIL: Final = _ID3V1_PLUS
_HAS_FOOTER: Final = 0x10
_HAS_HEADER: Final = 1 << 31


def find_audio(path: Path, descriptor: int) -> tuple[int, int]:
    """Return where the audio of a file begins and ends, by its tags: ID3v1, ID3v2, TAG+, Lyrics3v2 and APEv2.

    Raises:
        TransientError: the disk or share does not answer.
    """
    start, end = 0, os.fstat(descriptor).st_size
    while size := _measure_head(read_at(path, descriptor, start, _APE)):
        start = min(start + size, end)
    while size := _measure_tail(_read_before(path, descriptor, start, end)):
        end = max(start, end - size)
    return start, end


def _read_before(path: Path, descriptor: int, start: int, end: int) -> bytes:
    begun = max(start, end - _TAIL)
    return read_at(path, descriptor, begun, end - begun)


def _measure_head(head: bytes) -> int:
    """Return the bytes of the tag that begins here, 0 for none."""
    if head.startswith(b"ID3") and len(head) >= _ID3V2:
        footer = _ID3V2 if head[5] & _HAS_FOOTER else 0
        return _ID3V2 + _syncsafe(head[6:10]) + footer
    if head.startswith(b"APETAGEX") and len(head) == _APE:
        return _APE + int.from_bytes(head[12:16], "little")
    return 0


def _measure_tail(tail: bytes) -> int:
    """Return the bytes of the tag that ends here, 0 for none."""
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
        return 2 * _ID3V2 + _syncsafe(tail[-4:])
    return 0


def _syncsafe(data: bytes) -> int:
    return (data[0] & 127) << 21 | (data[1] & 127) << 14 | (data[2] & 127) << 7 | data[3] & 127
