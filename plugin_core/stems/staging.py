"""The private folder of a job, on the file system of its destination where that can be.

It is ``<home>/staging/<job id>`` when home and destination share a device, so that nothing shows beside the source;
else ``.stembridge-<job id>`` in the destination. Only the user may look in.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from plugin_core.files.names import HIDDEN_PREFIX
from plugin_core.files.placement import explain_os_error

STALE_AFTER: Final = 60.0
"""Seconds a folder in staging must lie unchanged before it may be nobody's."""


def choose_staging(home: Path, job_id: str, destination: Path) -> Path:
    """Return the staging folder of a job; the same one for as long as it exists. Nothing is created."""
    inside = home / "staging" / job_id
    # Asked a dozen times for a job, and nearly always answered here.
    if inside.is_dir():
        return inside
    beside = destination / f"{HIDDEN_PREFIX}{job_id}"
    if beside.is_dir():
        return beside
    return inside if _device(home) == _device(destination) else beside


def hidden_neighbour(staging: Path, folder: Path) -> Path:
    """Return the job's hidden folder under another folder, for results that must cross a device."""
    return folder / f"{HIDDEN_PREFIX}{staging.name.removeprefix(HIDDEN_PREFIX)}"


def make_staging(folder: Path) -> None:
    """Create a staging folder, for the user alone; there already is fine.

    Raises:
        PlacementError: it cannot be created.
        TransientError: the disk is full or away.
    """
    try:
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
        except FileNotFoundError:
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


def _device(path: Path) -> int:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.stat().st_dev
