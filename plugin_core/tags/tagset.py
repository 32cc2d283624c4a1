"""What a file says about itself, free of its container."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)

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
