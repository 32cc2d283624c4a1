"""Names of staged files: the job's key first, so that the job is found again by it, then plain ASCII."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Final

from plugin_core.errors import UsageError

_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\Z")
_LONGEST: Final = 60


def check_key(key: str) -> str:
    """Return a key that may be part of a path.

    Raises:
        UsageError: it may not.
    """
    if not _KEY.match(key):
        raise UsageError(f"{key!r} cannot be part of a file's name")
    return key


def staged_name(path: Path, key: str) -> str:
    """Return the name a file is staged under: ``<key>-<song>.<suffix>``, letters, digits and hyphens only.

    Raises:
        UsageError: the key may not be part of a name.
    """
    slug = _plain(path.stem)[:_LONGEST].strip("-")
    suffix = _plain(path.suffix)
    return f"{check_key(key)}-{slug or 'song'}" + (f".{suffix.lower()}" if suffix else "")


def _plain(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^A-Za-z0-9]+", "-", ascii_text).strip("-")
