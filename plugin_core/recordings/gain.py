"""The gain that a file of Opus asks its decoder for: what its packets sound like is scaled by it (RFC 7845)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from plugin_core.audio.source_file import open_file, read_at
from plugin_core.recordings.mp4 import read_opus_gain

_HEAD: Final = 1 << 16
"""Ogg begins with the header; Matroska has it among its tracks, which come before the sound."""

_GAIN_AT: Final = 16
_UNITS: Final = 256


def header_gain(path: Path) -> float:
    """Return the decibels by which decoders change what is in the packets; 0.0 for anything but Opus.

    Raises:
        SourceError: the file cannot be read.
        TransientError: the disk or share does not answer.
    """
    with open_file(path) as descriptor:
        head = read_at(path, descriptor, 0, _HEAD)
        if head[4:8] == b"ftyp":
            return int.from_bytes(read_opus_gain(path, descriptor), "big", signed=True) / _UNITS
    if not head.startswith((b"OggS", b"\x1aE\xdf\xa3")):
        return 0.0
    at = head.find(b"OpusHead")
    return int.from_bytes(head[at + _GAIN_AT : at + _GAIN_AT + 2], "little", signed=True) / _UNITS if at >= 0 else 0.0
