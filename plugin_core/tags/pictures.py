"""Embedded pictures: what is copied, and under which type."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from plugin_core.tags.tagset import FRONT_COVER, Picture, clean_text

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)

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
