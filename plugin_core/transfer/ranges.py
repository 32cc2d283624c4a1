"""What the headers of a download say about which bytes follow."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from plugin_core.transfer.parts import Note

_RANGE = re.compile(r"bytes\s+(?:(\d{1,18})-(\d{1,18})|\*)/(\d{1,18}|\*)\s*\Z", re.IGNORECASE)


class Span(msgspec.Struct, frozen=True):
    """Which bytes of how many."""

    start: int | None
    total: int | None


def read_span(headers: Mapping[str, str]) -> Span | None:
    """Read ``Content-Range``; None when it is missing or odd."""
    found = _RANGE.match(headers.get("content-range", "").strip())
    if found is None:
        return None
    start, _, total = found.groups()
    return Span(int(start) if start is not None else None, None if total == "*" else int(total))


def read_length(headers: Mapping[str, str]) -> int | None:
    """Read ``Content-Length``; None when it is missing or odd."""
    text = headers.get("content-length", "").strip()
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def read_validator(headers: Mapping[str, str]) -> str:
    """Return what an ``If-Range`` may name: a strong ETag, else the date of the last change, else ""."""
    tag = headers.get("etag", "").strip()
    if tag.startswith('"'):
        return tag
    return "" if tag else headers.get("last-modified", "").strip()


def range_headers(note: Note | None, length: int) -> dict[str, str]:
    """Return the headers that ask for the rest of a part, or nothing for a whole file."""
    if note is None or not length:
        return {}
    wanted = {"range": f"bytes={length}-"}
    return wanted | ({"if-range": note.validator} if note.validator else {})


def continues(headers: Mapping[str, str], note: Note | None, length: int) -> bool:
    """Tell whether a 206 carries on exactly where a part ends, and is of the same file."""
    span = read_span(headers)
    if span is None or note is None or span.start != length:
        return False
    validator = read_validator(headers)
    is_same = not validator or not note.validator or validator == note.validator
    return is_same and (note.total is None or span.total is None or span.total == note.total)
