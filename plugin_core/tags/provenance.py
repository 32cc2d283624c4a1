"""What a file says of its own making: stems and labelled songs carry it in their tags."""

from __future__ import annotations

from pathlib import Path

from plugin_core.errors import StembridgeError


def read_provenance(path: Path) -> str:
    """Return what a file says of its making; empty where it says nothing or cannot be read."""
    from plugin_core.tags.read import read_tags

    if not path.is_file():
        return ""
    try:
        return " ".join(read_tags(path).fields.get("provenance", ()))
    except StembridgeError:
        # Whatever is wrong with the file is told when it is looked at as a song.
        return ""


def is_own_work(path: Path) -> bool:
    """Tell whether a file says of itself that stembridge made it."""
    return bool(read_provenance(path))
