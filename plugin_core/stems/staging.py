"""The private folder of a job, on the file system of its destination where that can be.

It is ``<home>/staging/<job id>`` when home and destination share a device, so that nothing shows beside the source;
else ``.stembridge-<job id>`` in the destination. Only the user may look in.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Final

from plugin_core.errors import PlacementError
from plugin_core.model import show_path

HIDDEN_PREFIX: Final = ".stembridge-"


def choose_staging(home: Path, job_id: str, destination: Path) -> Path:
    """Return the staging folder of a job; the same one for as long as it exists. Nothing is created."""
    inside, beside = home / "staging" / job_id, destination / f"{HIDDEN_PREFIX}{job_id}"
    for candidate in (inside, beside):
        if candidate.is_dir():
            return candidate
    return inside if _device(home) == _device(destination) else beside


def hidden_neighbour(staging: Path, folder: Path) -> Path:
    """Return the job's hidden folder under another folder, for results that must cross a device."""
    return folder / f"{HIDDEN_PREFIX}{staging.name.removeprefix(HIDDEN_PREFIX)}"


def make_staging(folder: Path) -> None:
    """Create a staging folder, for the user alone; there already is fine.

    Raises:
        PlacementError: it cannot be created.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        where = show_path(folder.parent)
        raise PlacementError(
            f"nothing can be written in {where}: {error.strerror}", remedy="choose another place with --to FOLDER"
        ) from error


def remove_staging(folder: Path) -> None:
    """Remove a staging folder and all in it; absent is fine, anything else than a staging folder is left alone."""
    is_ours = folder.name.startswith(HIDDEN_PREFIX) or folder.parent.name == "staging"
    if is_ours and folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)


def sweep(home: Path, alive: Container[str], destinations: Iterable[Path] = ()) -> list[Path]:
    """Remove staging folders left by jobs that are no longer alive, and return them.

    Args:
        home: stembridge's home.
        alive: ids of the jobs that may still need theirs.
        destinations: folders to look for hidden ones in.
    """
    found = [(path, path.name) for path in _folders(home / "staging")]
    for destination in destinations:
        found += [
            (path, path.name.removeprefix(HIDDEN_PREFIX))
            for path in _folders(destination)
            if path.name.startswith(HIDDEN_PREFIX)
        ]
    removed = [path for path, job_id in found if job_id not in alive]
    for path in removed:
        remove_staging(path)
    return removed


def _folders(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _device(path: Path) -> int:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path.stat().st_dev
