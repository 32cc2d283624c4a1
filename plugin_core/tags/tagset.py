"""What a file says about itself, free of its container: fields and pictures."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable


log = logging.getLogger(__name__)

T = TypeVar("T")

FRONT_COVER: Final = 3
MAX_FIELD: Final = 32 * 1024
"""Characters kept of one field; all fields together then fit a FLAC block (16 MiB)."""

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Picture:
    """One embedded picture; ``kind`` is the ID3 picture type 0-20, which FLAC and ASF share."""

    data: bytes
    mime: str
    kind: int = FRONT_COVER
    description: str = ""


@dataclass(frozen=True, slots=True)
class TagSet:
    """Fields by canonical name (``plugin_core.tags.fields``), each with one value or more, and pictures."""

    fields: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()


def clean_text(text: str) -> str:
    """Drop control characters (tab and line feed stay) and replace what has no UTF-8 form."""
    plain = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", plain).strip()


def keep_wanted(held: Iterable[tuple[T, Iterable[str]]], wanted: Iterable[str]) -> tuple[list[T], tuple[str, ...]]:
    """Tell which entries of a tag may stay as they are, since they say how it is to begin, and what goes behind them.

    Args:
        held: each entry, and what it says.
        wanted: all values that the entries together are to have, in this order.
    """
    values = tuple(wanted)
    kept: list[T] = []
    said = 0
    for entry, texts in held:
        clean = clean_values("", texts)
        if clean and clean == values[said : said + len(clean)]:
            said += len(clean)
        elif not clean or not set(clean) <= set(values[:said]):
            continue
        kept.append(entry)
    return kept, values[said:]


def clean_values(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Clean a field's values: NUL separates, empty ones and repetitions go, the field's size is capped."""
    parts = (clean_text(part) for value in values for part in value.split("\0"))
    kept: list[str] = []
    room = MAX_FIELD
    for part in dict.fromkeys(part for part in parts if part):
        if room < len(part):
            log.warning("the tag %s is longer than %d characters: the rest is left out", name, MAX_FIELD)
            part = part[:room]
        if not part:
            break
        kept.append(part)
        room -= len(part)
    return tuple(kept)


MAX_PICTURE: Final = 16_000_000
"""Bytes of one picture; a FLAC block, header included, ends at 16 MiB - 1."""
MAX_PICTURES: Final = 64_000_000
"""Bytes of all pictures together."""
MAX_DESCRIPTION: Final = 256
"""Characters."""

_MAGIC: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
)


def sniff_mime(data: bytes) -> str:
    """Name the picture's format from its first bytes; empty when it is none we know."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((mime for magic, mime in _MAGIC if data.startswith(magic)), "")


def select_pictures(found: Iterable[Picture]) -> tuple[Picture, ...]:
    """Keep what can be copied: real pictures (no links), each once, within the caps; front covers first."""
    kept: dict[tuple[int, bytes], Picture] = {}
    room = MAX_PICTURES
    for picture in map(_tidy, found):
        if not picture.mime.startswith("image/") or not picture.data or (picture.kind, picture.data) in kept:
            continue
        size = len(picture.data)
        if size > min(MAX_PICTURE, room):
            log.warning("an embedded picture of %d bytes is too large: left out", size)
            continue
        room -= size
        kept[picture.kind, picture.data] = picture
    return tuple(sorted(kept.values(), key=lambda picture: picture.kind != FRONT_COVER))


def _tidy(picture: Picture) -> Picture:
    kind = picture.kind if 0 <= picture.kind <= 20 else 0
    mime = sniff_mime(picture.data) or clean_text(picture.mime).lower()[:64]
    # Latin-1 is all the MIME field of an ID3 picture can hold.
    plain = mime if mime.isascii() else ""
    return replace(picture, kind=kind, mime=plain, description=clean_text(picture.description)[:MAX_DESCRIPTION])
