"""Items of an APEv2 tag: WavPack, Monkey's Audio, Musepack.

mutagen forgets which items are read-only, sorts them, and cuts an ID3v1 tag off that stands behind them. Layout:
https://wiki.hydrogenaud.io/index.php?title=APEv2_specification.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mutagen.apev2 import _APEv2Data

from plugin_core.tags.files import overlay_of
from plugin_core.tags.raw.saving import DamagedTagError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from plugin_core.tags.files import TaggedFile
    from plugin_core.tags.overlay import Overlay

_MAGIC: Final = b"APETAGEX"
_VERSION: Final = 2000
_HAS_HEADER: Final = 1 << 31
_IS_HEADER: Final = 1 << 29
_READ_ONLY: Final = 1
"""Of an item, and of a whole tag; all other flags of a text are 0."""
_FOOTER: Final = 32
_ID3V1: Final = 128
_LYRICS: Final = b"LYRICS200"


@dataclass(frozen=True, slots=True)
class _Item:
    key: bytes
    flags: int
    value: bytes


def put(opened: TaggedFile, changes: Mapping[str, tuple[str, ...]]) -> None:
    """Set items to these values.

    Raises:
        DamagedTagError: the tag does not hold together.
    """
    overlay = overlay_of(opened)
    found = _APEv2Data(overlay)
    items = list(_split(found.tag or b"", found.items or 0))
    for key, values in changes.items():
        _put(items, key.encode(), values)
    tag = _render(items, found.flags & _READ_ONLY)
    if found.start is None or found.end is None:
        start = end = _end_of_audio(overlay)
    else:
        start, end = found.start, found.end
    overlay.resize(start, end - start, len(tag))
    overlay.seek(start)
    overlay.write(tag)


def _split(data: bytes, count: int) -> Iterator[_Item]:
    place = 0
    for _ in range(count):
        # Some programs write a wrong count.
        if place == len(data):
            return
        key_end = data.find(b"\0", place + 8)
        if key_end < 0:
            raise DamagedTagError("the APE tag holds an item without end")
        size, flags = struct.unpack_from("<II", data, place)
        key, start, place = data[place + 8 : key_end], key_end + 1, key_end + 1 + size
        if place > len(data):
            raise DamagedTagError("the APE tag holds an item that ends behind it")
        yield _Item(key, flags, data[start:place])


def _put(items: list[_Item], key: bytes, values: Sequence[str]) -> None:
    """Set an item where it stood; a new one stands before those that are larger, as the format asks."""
    places = [number for number, item in enumerate(items) if item.key.lower() == key.lower()]
    flags = items[places[0]].flags & _READ_ONLY if places else 0
    for number in reversed(places):
        del items[number]
    if values:
        new = _Item(key, flags, "\0".join(values).encode())
        larger = (number for number, item in enumerate(items) if len(item.value) > len(new.value))
        items.insert(places[0] if places else next(larger, len(items)), new)


def _render(items: Sequence[_Item], flags: int) -> bytes:
    """Return the bytes of a tag; none for one without items."""
    if not items:
        return b""
    body = b"".join(struct.pack("<II", len(one.value), one.flags) + one.key + b"\0" + one.value for one in items)
    flags |= _HAS_HEADER
    rest = struct.pack("<III", _VERSION, len(body) + _FOOTER, len(items))
    header, footer = (_MAGIC + rest + struct.pack("<I", word) + bytes(8) for word in (flags | _IS_HEADER, flags))
    return header + body + footer


def _end_of_audio(overlay: Overlay) -> int:
    """Return where a tag goes: before an ID3v1 tag, and before Lyrics3 in front of that."""
    end = overlay.seek(0, 2)
    overlay.seek(max(end - _ID3V1, 0))
    if overlay.read(3) != b"TAG":
        return end
    end -= _ID3V1
    overlay.seek(max(end - len(_LYRICS) - 6, 0))
    size, mark = overlay.read(6), overlay.read(len(_LYRICS))
    has_lyrics = mark == _LYRICS and size.isdigit() and int(size) + 15 <= end
    return end - int(size) - 15 if has_lyrics else end
