"""Small files that must survive a power cut once they are there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from plugin_core.files.exclusive import sync_folder

if TYPE_CHECKING:
    from pathlib import Path


def write_durably(path: Path, data: bytes) -> None:
    """Put a small file in place, whole, and flush it; what was there is replaced."""
    draft = path.with_name(path.name + ".new")
    with draft.open("wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())
    draft.replace(path)
    sync_folder(path.parent)
