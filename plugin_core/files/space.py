"""How much room a file system has."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

Free = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """Return the bytes an ordinary user can still write under an existing folder."""
    return shutil.disk_usage(folder).free
