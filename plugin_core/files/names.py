"""Making one component of a path that every file system takes, from text that may hold anything."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Sequence
from typing import Final

MAX_BYTES: Final = 255
"""Longest name of a file or folder, on ext4, APFS and NTFS alike when counted in bytes of UTF-8."""

HIDDEN_PREFIX: Final = ".stembridge-"
"""Of files and folders of ours that stand beside the user's own for a while."""

NUMBER_BYTES: Final = 7
"""Room kept for `` (9999)``, put behind a name when its place is taken."""

_FORBIDDEN: Final = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\ud800-\udc7f\udd00-\udfff]')
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?=\.|$)", re.IGNORECASE)


def clean_component(text: str) -> str:
    """Return the text as one path component: never hidden, never ``..``, and a name on Windows as well.

    Bytes that are not UTF-8 (surrogate escapes) and the normal form of the letters stay as they are.
    """
    clean = _FORBIDDEN.sub("_", text).lstrip(".").rstrip(". ")
    return _RESERVED.sub(lambda found: f"{found[0]}_", clean, count=1) if _RESERVED.match(clean) else clean or "_"


def fold(name: str) -> str:
    """Return what is equal for names that some file system takes for one: case and normal form do not count."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def fold_all(names: Sequence[str]) -> list[str]:
    """Fold the names of a folder's entries; plain ASCII ones, as most are, all at once."""
    # No name holds a slash.
    joined = "/".join(names)
    return joined.lower().split("/") if joined.isascii() else [fold(name) for name in names]


def count_bytes(text: str) -> int:
    """Return how many bytes a name takes, surrogate escapes as one each."""
    return len(text.encode("utf-8", "surrogateescape"))


def shorten(text: str, limit: int) -> str:
    """Cut a text to at most ``limit`` bytes between two characters, kept unique by a hash of the whole.

    A limit below 10 bytes gives the hash alone.
    """
    if count_bytes(text) <= limit:
        return text
    mark = "~" + hashlib.sha256(os.fsencode(text)).hexdigest()[:8]
    room = max(0, limit - len(mark))
    cut = 0
    for character in text:
        size = count_bytes(character)
        if size > room:
            break
        room -= size
        cut += 1
    # A combining mark belongs to the character before it.
    while 0 < cut < len(text) and unicodedata.combining(text[cut]):
        cut -= 1
    return text[:cut].rstrip(". ") + mark
