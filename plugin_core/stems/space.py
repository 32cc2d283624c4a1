"""Whether a result will fit where it goes, asked before anything is spent or written."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.audio.formats import AudioFormat
from plugin_core.errors import PlacementError
from plugin_core.files.disk import Free, free_bytes
from plugin_core.model import Source, show_path

HEAD_ROOM: Final = 64 * 2**20
"""Bytes left for others, for covers and for the file system itself."""

CD_RATE: Final = 2 * 44_100
"""Samples a second of a stereo CD."""

LOSSY_BYTES_PER_SECOND: Final = 48_000
"""No lossy format is written with more: 320 kbit/s, and a fifth for its container."""


class Amount(msgspec.Struct, frozen=True):
    """Files of one format, as long as the source."""

    files: int
    format: AudioFormat
    least_rate: int = 0
    """Samples a second, of all channels together, where it may be more than the source has."""


def estimate_bytes(amounts: Iterable[Amount], source: Source) -> int:
    """Return the most that files made from a source take at once; less where a lossless codec finds something to save.

    Args:
        amounts: what will exist at once, fetched and finished.
        source: their common length, sample rate and channels.
    """
    frames = source.frames or round(source.duration * source.sample_rate)
    return HEAD_ROOM + sum(
        math.ceil(one.files * frames / source.sample_rate * _bytes_per_second(one, source)) for one in amounts
    )


def _bytes_per_second(amount: Amount, source: Source) -> int:
    if not amount.format.is_lossless:
        return LOSSY_BYTES_PER_SECOND
    return max(source.sample_rate * source.channels, amount.least_rate) * amount.format.bytes_per_sample


def require_folder(folder: Path) -> None:
    """Make sure a destination is there: a disk that is not mounted must not be made up for by a folder of its name.

    Raises:
        PlacementError: it is missing or no folder.
    """
    where = show_path(folder)
    # os.path asks nothing of the folders above: one that may not be entered hides what lies in it.
    if not os.path.isdir(folder):  # noqa: PTH112
        what = "is not a folder" if os.path.lexists(folder) else "does not exist, or cannot be reached"
        raise PlacementError(f"the destination {where} {what}", remedy="name an existing one with --to FOLDER")


def check_destination(folder: Path) -> None:
    """Make sure results can be put under a folder.

    Raises:
        PlacementError: it is missing, no folder, or not writable.
    """
    require_folder(folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        where = show_path(folder)
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
