"""Whether a result will fit where it goes, asked before anything is spent or written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from plugin_core.errors import PlacementError
from plugin_core.model import show_path

HEAD_ROOM: Final = 64 * 2**20
"""Bytes left for others, for covers and for the file system itself."""

Free = Callable[[Path], int]


def free_bytes(folder: Path) -> int:
    """Return the bytes an ordinary user can still write under an existing folder."""
    return shutil.disk_usage(folder).free


def estimate_bytes(parts: int, frames: int, channels: int, bytes_per_sample: int) -> int:
    """Return the most a separation will take while it is treated.

    Args:
        parts: files that will exist at once, fetched ones and ready ones.
        frames: samples in each channel.
        channels: number of channels.
        bytes_per_sample: of the format, before compression.
    """
    return parts * frames * channels * bytes_per_sample + HEAD_ROOM


def check_destination(folder: Path) -> None:
    """Make sure results can be put under a folder.

    Raises:
        PlacementError: it is missing, no folder, or not writable.
    """
    where = show_path(folder)
    # os.path asks nothing of the folders above: one that may not be entered hides what lies in it.
    if not os.path.isdir(folder):  # noqa: PTH112
        what = "is not a folder" if os.path.lexists(folder) else "does not exist, or cannot be reached"
        raise PlacementError(f"the destination {where} {what}", remedy="name an existing one with --to FOLDER")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PlacementError(f"nothing can be written in {where}", remedy="choose another place with --to FOLDER")


def check_space(folder: Path, needed: int, *, free: Free = free_bytes) -> None:
    """Make sure that many bytes fit under an existing folder.

    Raises:
        PlacementError: says how much is needed and how much is free.
    """
    there = free(folder)
    if there < needed:
        raise PlacementError(
            f"{show_path(folder)} has {_show(there)} free and the stems may take {_show(needed)}",
            remedy="free some space or choose another place with --to FOLDER",
        )


def _show(size: int) -> str:
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f} {unit}" if unit != "B" else f"{size} B"
