"""APEv2 items: WavPack, Monkey's Audio, Musepack, and MP3 files that carry nothing else."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mutagen.apev2 import BINARY, TEXT

from plugin_core.tags.fields import FRONT_COVER, Picture, keep_wanted
from plugin_core.tags.files import DamagedTagError, overlay_of
from plugin_core.tags.mutagen_internals import ApeData

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from plugin_core.tags.files import TaggedFile
    from plugin_core.tags.overlay import Overlay


_COVER: Final = "Cover Art ("
# Names of the ID3 picture types as foobar2000 and Mp3tag write them; the others go as "Other".
_KINDS: Final = {"Other": 0, "Icon": 1, "Front": FRONT_COVER, "Back": 4, "Leaflet": 5, "Media": 6, "Artist": 8}


def get(audio: Any, key: str) -> list[str]:
    """Return the values under an item; case does not matter, binary items are passed over."""
    value = audio.tags.get(key)
    return list(value) if value is not None and value.kind == TEXT else []


def get_pictures(audio: Any) -> Iterator[Picture]:
    """Give every cover item: a file name, NUL, then the picture."""
    for key, value in audio.tags.items():
        if key.startswith(_COVER) and value.kind == BINARY:
            _, _, data = bytes(value.value).partition(b"\0")
            yield Picture(data, "", _KINDS.get(key.removeprefix(_COVER).rstrip(")"), 0))


_MAGIC: Final = b"APETAGEX"
_VERSION: Final = 2000
_HAS_HEADER: Final = 1 << 31
_IS_HEADER: Final = 1 << 29
_READ_ONLY: Final = 1
"""Of an item, and of a whole tag; all other flags of a text are 0."""
_BINARY: Final = BINARY << 1
_FOOTER: Final = 32
_ID3V1: Final = 128
_LYRICS: Final = b"LYRICS200"


@dataclass(frozen=True, slots=True)
class _Item:
    key: bytes
    flags: int
    value: bytes


def write(opened: TaggedFile, changes: Mapping[str, tuple[str, ...]], pictures: Sequence[Picture] = ()) -> None:
    """Set items to these values.

    Raises:
        DamagedTagError: the tag does not hold together.
    """
    overlay = overlay_of(opened)
    found = ApeData(overlay)
    items = list(_split(found.tag or b"", found.items or 0))
    for key, values in changes.items():
        _put(items, key.encode(), _joined(items, key.encode(), values))
    if pictures:
        items = [item for item in items if not item.key.startswith(_COVER.encode())]
        for key, value in _covers(pictures).items():
            _put(items, key.encode(), value, _BINARY)
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


def _covers(pictures: Sequence[Picture]) -> dict[str, bytes]:
    """Return cover items: a file name, NUL, the picture; of those with one type the first, as names are unique."""
    names = {kind: name for name, kind in _KINDS.items()}
    covers: dict[str, bytes] = {}
    for picture in pictures:
        name = names.get(picture.kind, "Other")
        file_name = f"{name}.{picture.mime.removeprefix('image/')}".encode()
        covers.setdefault(f"{_COVER}{name})", file_name + b"\0" + picture.data)
    return covers


def _joined(items: Sequence[_Item], key: bytes, values: Sequence[str]) -> bytes:
    """Return the values as one item holds them; those that it holds already stay as they stand."""
    held = next((item.value for item in items if item.key.lower() == key.lower()), b"")
    parts = held.split(b"\0") if held else []
    kept, new = keep_wanted(((part, (part.decode("utf-8", "replace"),)) for part in parts), values)
    return b"\0".join((*kept, *(value.encode() for value in new)))


def _put(items: list[_Item], key: bytes, value: bytes, kind: int = 0) -> None:
    """Set an item where it stood; a new one stands before those that are larger, as the format asks."""
    places = [number for number, item in enumerate(items) if item.key.lower() == key.lower()]
    flags = kind | (items[places[0]].flags & _READ_ONLY if places else 0)
    key = items[places[0]].key if places else key
    for number in reversed(places):
        del items[number]
    if value:
        new = _Item(key, flags, value)
        larger = (number for number, item in enumerate(items) if len(item.value) > len(value))
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
