"""The codec of an MP4's track, by the entry that describes its samples (ISO 14496-12 and 14496-14, QuickTime)."""

from __future__ import annotations

import struct
from typing import Final

from plugin_core.audio.boxes import Boxes, OddBoxError

_NAMES: Final = {b"ac-3": "ac3", b"ec-3": "eac3", b"Opus": "opus"}

_HEADS: Final = {0: 28, 1: 28 + 16, 2: 28 + 36}
"""Bytes before an entry's own boxes, by its version; those after 0 are QuickTime's."""

_MPEG4_AUDIO: Final = 0x40
_AAC: Final = frozenset({2, 5, 29})
"""Audio object types: low complexity, and high efficiency of both versions."""

_STREAM, _DECODER, _SPECIFIC = 3, 4, 5


def name_entry(descriptions: memoryview) -> str:
    """Return ffprobe's name of the codec that a ``stsd`` describes.

    Raises:
        OddBoxError, IndexError, struct.error: it is none that we are sure of, or samples are not all of one kind.
    """
    version, count = struct.unpack_from(">B3xI", descriptions)
    entries = Boxes(descriptions[8:])
    if version or count != 1 or len(entries.names) != 1:
        raise OddBoxError
    name = entries.names[0]
    entry = entries.only(name)
    if struct.unpack_from(">H", entry, 6) != (1,):
        # In another file, or nowhere.
        raise OddBoxError
    if name == b"mp4a" and _is_aac(_find_descriptor(entry)):
        return "aac"
    if name not in _NAMES:
        raise OddBoxError
    return _NAMES[name]


def _find_descriptor(entry: memoryview) -> memoryview:
    (version,) = struct.unpack_from(">H", entry, 8)
    if version not in _HEADS:
        raise OddBoxError
    boxes = Boxes(entry[_HEADS[version] :])
    return (boxes.inside(b"wave") if b"wave" in boxes.names else boxes).only(b"esds")


def _is_aac(content: memoryview) -> bool:
    stream = _open_descriptor(content[4:], _STREAM)
    if stream[2]:
        # It hangs on another stream, or lies elsewhere.
        return False
    decoder = _open_descriptor(stream[3:], _DECODER)
    return decoder[0] == _MPEG4_AUDIO and _open_descriptor(decoder[13:], _SPECIFIC)[0] >> 3 in _AAC


def _open_descriptor(data: memoryview, tag: int) -> memoryview:
    """Return the content of the descriptor that begins here; its size comes in groups of seven bits."""
    if data[0] != tag:
        raise OddBoxError
    size = 0
    for at in range(1, 5):
        size = size << 7 | data[at] & 127
        if data[at] < 128:
            return data[at + 1 : at + 1 + size]
    raise OddBoxError
