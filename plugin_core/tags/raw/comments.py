"""Vorbis comments as their bytes: mutagen replaces what is no UTF-8 and renames what has no key.

Layout: https://xiph.org/vorbis/doc/v-comment.html.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from plugin_core.tags.raw.saving import DamagedTagError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class RawComments:
    """The comments of a stream."""

    vendor: bytes
    entries: tuple[bytes, ...] = ()
    """``KEY=value``, as they stand."""

    def with_values(self, changes: Mapping[str, tuple[str, ...]]) -> RawComments:
        """Return the comments with keys set to these values, in the place of the first that said it before."""
        entries = list(self.entries)
        for key, values in changes.items():
            places = [number for number, entry in enumerate(entries) if _says(entry, key)]
            for number in reversed(places):
                del entries[number]
            first = places[0] if places else len(entries)
            entries[first:first] = [f"{key}={value}".encode() for value in values]
        return replace(self, entries=tuple(entries))

    def render(self) -> bytes:
        """Return the bytes of the comments, without the framing bit of Vorbis."""
        texts = (self.vendor, *self.entries)
        first, *others = (struct.pack("<I", len(text)) + text for text in texts)
        return b"".join((first, struct.pack("<I", len(self.entries)), *others))


def parse_comments(data: bytes) -> RawComments:
    """Take comments apart; what stands behind them is passed over.

    Raises:
        DamagedTagError: they do not hold together.
    """
    try:
        vendor, place = _text(data, 0)
        (count,) = struct.unpack_from("<I", data, place)
        return RawComments(vendor, tuple(_texts(data, place + 4, count)))
    except struct.error as error:
        raise DamagedTagError("the Vorbis comments end too early") from error


def _says(entry: bytes, key: str) -> bool:
    name, separator, _ = entry.partition(b"=")
    return bool(separator) and name.upper() == key.upper().encode()


def _texts(data: bytes, place: int, count: int) -> Iterator[bytes]:
    for _ in range(count):
        text, place = _text(data, place)
        yield text


def _text(data: bytes, place: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from("<I", data, place)
    end = place + 4 + length
    if end > len(data):
        raise DamagedTagError("the Vorbis comments end too early")
    return data[place + 4 : end], end
