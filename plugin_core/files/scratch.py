"""Files in the home that are written under another name first: what a kill left of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ABANDONED_AFTER: Final = 3600.0
"""Seconds after which nobody is still writing one: each takes the blink of an eye."""
DOCTOR: Final = ".stembridge-doctor-"
"""Beginning of what ``stembridge doctor`` writes to try the home."""

_NAMES: Final = {
    "": re.compile(
        r"\.config\.toml\.[0-9a-f]{8}|callbacks\.secret\.[0-9a-f]{32}|\.room-\d+|" + re.escape(DOCTOR) + r"\w+"
    ),
    "cache": re.compile(r"\.[\w-]+\.json\.\w{8}"),
}
"""By folder of the home. Such names are ours alone; what a job writes lies in its staging, and goes with that."""


def find_scratch(home: Path, *, now: float) -> list[Path]:
    """Return what killed processes left, an hour ago or longer.

    Args:
        home: stembridge's home.
        now: seconds since the epoch.
    """
    return [path for folder, names in _NAMES.items() for path in sorted(_old(home / folder, names, now))]


def _old(folder: Path, names: re.Pattern[str], now: float) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if names.fullmatch(entry.name) and entry.is_file(follow_symlinks=False) and _is_old(entry, now):
                    yield Path(entry.path)
    except (FileNotFoundError, NotADirectoryError):
        return


def _is_old(entry: os.DirEntry[str], now: float) -> bool:
    try:
        return now - entry.stat(follow_symlinks=False).st_mtime >= ABANDONED_AFTER
    except FileNotFoundError:
        return False
