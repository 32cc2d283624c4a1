"""ASF attributes: WMA, ASF."""

from __future__ import annotations

import logging
import struct
from typing import TYPE_CHECKING, Any, Final

from mutagen.asf import ASFByteArrayAttribute, ASFGUIDAttribute  # type: ignore[attr-defined]

from plugin_core.tags.fields import Picture, keep_wanted
from plugin_core.tags.files import save

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from plugin_core.tags.files import TaggedFile


log = logging.getLogger(__name__)

_PICTURE: Final = "WM/Picture"
_END: Final = b"\0\0"


def get(audio: Any, key: str) -> list[str]:
    """Return the values under an attribute; binary ones are passed over."""
    values = audio.tags.get(key, [])
    return [str(value) for value in values if not isinstance(value, ASFByteArrayAttribute | ASFGUIDAttribute)]


def get_pictures(audio: Any) -> Iterator[Picture]:
    """Give every ``WM/Picture``."""
    for value in audio.tags.get(_PICTURE, []):
        try:
            yield _unpack(bytes(value.value))
        except (struct.error, ValueError, TypeError) as problem:
            log.warning("an embedded picture is broken: %s", problem)


def write(opened: TaggedFile, changes: Mapping[str, tuple[str, ...]], pictures: Sequence[Picture] = ()) -> None:
    """Set attributes to these values."""
    tags = opened.audio.tags
    new: dict[str, list[Any]] = {}
    for key, wanted in changes.items():
        held: list[Any] = tags.get(key, [])
        kept, rest = keep_wanted(((one, (str(one),)) for one in held), wanted)
        new[key] = [*kept, *rest]
    if pictures:
        new[_PICTURE] = [ASFByteArrayAttribute(_pack(picture)) for picture in pictures]
    for key, values in new.items():
        if values:
            tags[key] = values
        elif key in tags:
            del tags[key]
    save(opened)


def _unpack(data: bytes) -> Picture:
    """Take WM_PICTURE apart: type (1 byte), size (4, little endian), MIME and description (UTF-16-LE, NUL), data."""
    kind, size = struct.unpack_from("<BI", data)
    mime, start = _text(data, 5)
    description, start = _text(data, start)
    return Picture(data[start : start + size], mime, kind, description)


def _text(data: bytes, start: int) -> tuple[str, int]:
    end = start
    while data[end : end + 2] != _END:
        if end >= len(data):
            raise ValueError("a text without end")
        end += 2
    return data[start:end].decode("utf-16-le", "replace"), end + 2


def _pack(picture: Picture) -> bytes:
    head = struct.pack("<BI", picture.kind, len(picture.data))
    texts = (picture.mime, picture.description)
    return head + b"".join(text.encode("utf-16-le") + _END for text in texts) + picture.data
