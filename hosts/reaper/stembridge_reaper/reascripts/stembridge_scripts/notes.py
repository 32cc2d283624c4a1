"""The line in an item's notes that says how far its separation is; the user's own notes stay as they are."""

from __future__ import annotations

import re

MARK = "[stembridge] "

_LINE = re.compile(r"(?:^|\r?\n)\[stembridge\] [^\r\n]*")


def with_line(notes: str, words: str) -> str:
    """Return notes with our line at the end, and no other line of ours."""
    notes = without_line(notes)
    return (notes + "\n" if notes else "") + MARK + words


def without_line(notes: str) -> str:
    """Return notes without our line; equal to what they were before it."""
    return _LINE.sub("", notes)
