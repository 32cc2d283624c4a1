"""APEv2 items: WavPack, Monkey's Audio, Musepack, and MP3 files that carry nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mutagen.apev2 import BINARY, TEXT, APEValue

from plugin_core.tags.tagset import FRONT_COVER, Picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_COVER: Final = "Cover Art ("
# Names of the ID3 picture types as foobar2000 and Mp3tag write them; the others go as "Other".
_KINDS: Final = {"Other": 0, "Icon": 1, "Front": FRONT_COVER, "Back": 4, "Leaflet": 5, "Media": 6, "Artist": 8}


def get(audio: Any, key: str) -> list[str]:
    """Return the values under an item; case does not matter, binary items are passed over."""
    value = audio.tags.get(key)
    return list(value) if value is not None and value.kind == TEXT else []


def put(audio: Any, key: str, values: Sequence[str]) -> None:
    """Set an item to these values, or remove it when there are none."""
    if values:
        audio.tags[key] = list(values)
    elif key in audio.tags:
        del audio.tags[key]


def get_pictures(audio: Any) -> Iterator[Picture]:
    """Give every cover item: a file name, NUL, then the picture."""
    for key, value in audio.tags.items():
        if key.startswith(_COVER) and value.kind == BINARY:
            _, _, data = bytes(value.value).partition(b"\0")
            yield Picture(data, "", _KINDS.get(key.removeprefix(_COVER).rstrip(")"), 0))


def put_pictures(audio: Any, pictures: Sequence[Picture]) -> None:
    """Replace all cover items; of pictures with one type the first stays, since items have unique names."""
    for key in [key for key in audio.tags if key.startswith(_COVER)]:
        del audio.tags[key]
    names = {kind: name for name, kind in _KINDS.items()}
    for picture in pictures:
        name = names.get(picture.kind, "Other")
        key = f"{_COVER}{name})"
        if key not in audio.tags:
            file_name = f"{name}.{picture.mime.removeprefix('image/')}".encode()
            audio.tags[key] = APEValue(file_name + b"\0" + picture.data, BINARY)
