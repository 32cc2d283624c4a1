"""The private folder of a job, and whether its result will fit where it goes.

The folder lies on the file system of its destination where that can be: ``<home>/staging/<job id>`` when home and
destination share a device, so that nothing shows beside the source; else ``.stembridge-<job id>`` in the destination.
Only the user may look in. Room is asked for before anything is spent or written.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.audio.formats import AudioFormat
from plugin_core.errors import PlacementError
from plugin_core.files.disk import Free, device_of, free_bytes
from plugin_core.files.names import HIDDEN_PREFIX
from plugin_core.files.placement import explain_os_error
from plugin_core.model import Source, show_path

STALE_AFTER: Final = 60.0
"""Seconds a folder in staging must lie unchanged before it may be nobody's."""


HEAD_ROOM: Final = 64 * 2**20
"""Bytes left for others, for covers and for the file system itself."""

CD_RATE: Final = 2 * 44_100
"""Samples a second of a stereo CD."""

LOSSY_BYTES_PER_SECOND: Final = 48_000
"""No lossy format is written with more: 320 kbit/s, and a fifth for its container."""


def choose_staging(home: Path | None, job_id: str, destination: Path) -> Path:
    """Return the staging folder of a job; the same one for as long as it exists. Nothing is created.

    Without a home, which other machines do not see, it lies beside the destination.
    """
    inside = None if home is None else home / "staging" / job_id
    # Asked a dozen times for a job, and nearly always answered here.
    if inside is not None and inside.is_dir():
        return inside
    beside = destination / f"{HIDDEN_PREFIX}{job_id}"
    if home is None or inside is None or beside.is_dir():
        return beside
    return inside if device_of(home) == device_of(destination) else beside


def hidden_neighbour(staging: Path, folder: Path) -> Path:
    """Return the job's hidden folder under another folder, for results that must cross a device."""
    return folder / f"{HIDDEN_PREFIX}{staging.name.removeprefix(HIDDEN_PREFIX)}"


def make_staging(folder: Path) -> None:
    """Create a staging folder, for the user alone; there already is fine.

    Raises:
        PlacementError: it cannot be created, or the destination it lies in is gone: moved, or its disk is away.
        TransientError: the disk is full or away.
    """
    try:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except FileNotFoundError:
            if folder.name.startswith(HIDDEN_PREFIX):
                require_folder(folder.parent)
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        # Where the disk is that refuses is what people need to know, not the name of a folder of ours.
        raise explain_os_error(error, folder.parent) from error


def remove_staging(folder: Path) -> bool:
    """Remove a staging folder and all in it; anything else than a staging folder is left alone.

    Returns:
        Whether it is gone, or never was one; False where something in it cannot be removed now.
    """
    is_ours = folder.name.startswith(HIDDEN_PREFIX) or folder.parent.name == "staging"
    if not is_ours or not folder.is_dir() or folder.is_symlink():
        return True
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def find_stale(home: Path, *, now: float) -> list[Path]:
    """Return the staging folders in the home that nothing was put into for a minute.

    Those beside a destination are removed with their job, or stay its leftovers until that succeeds.

    Args:
        home: stembridge's home.
        now: seconds since the epoch.
    """
    try:
        with os.scandir(home / "staging") as entries:
            folders = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
            return sorted(Path(entry.path) for entry in folders if now - _changed(entry) >= STALE_AFTER)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _changed(entry: os.DirEntry[str]) -> float:
    try:
        return entry.stat(follow_symlinks=False).st_mtime
    except FileNotFoundError:
        # Removed by its own job just now.
        return float("inf")


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
