"""Telling whether stems are still what was recorded of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath

from plugin_core.files.hashing import Record, is_unmodified
from plugin_core.model import Stem
from plugin_core.tasks import Stopper

Records = Mapping[PurePath, Record]


def record_of(stem: Stem) -> Record:
    """Return what a job recorded of its stem."""
    return Record(stem.size, stem.sha256)


def are_unmodified(stems: Sequence[Stem], stopper: Stopper) -> bool:
    """Tell whether every stem is still where it was placed, byte for byte; False where there is none."""
    return bool(stems) and all(is_unmodified(stem.path, record_of(stem), stopper.check) for stem in stems)


def holds_only(folder: Path, records: Records) -> bool:
    """Tell whether a folder holds nothing but unmodified recorded files, by path relative to it, and at least one."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    try:
        names = list(_walk(folder))
    except OSError:
        # What may not be looked into may hold anything.
        return False
    return bool(names) and all(is_unmodified(folder / name, records.get(name)) for name in names)


def relative_records(stems: Iterable[Stem], folder: Path) -> dict[PurePath, Record]:
    """Return the records of the stems that were placed under a folder, by path relative to it; the first one counts.

    Args:
        stems: those placed last first.
        folder: the folder.
    """
    records: dict[PurePath, Record] = {}
    for stem in stems:
        if stem.path.is_relative_to(folder):
            records.setdefault(PurePath(stem.path.relative_to(folder)), record_of(stem))
    return records


def _refuse(error: OSError) -> None:
    raise error


def _walk(folder: Path) -> Iterable[PurePath]:
    """Yield everything that is no folder, links to folders included."""
    for base, folders, files in os.walk(folder, onerror=_refuse):
        links = [name for name in folders if (Path(base) / name).is_symlink()]
        yield from (PurePath((Path(base) / name).relative_to(folder)) for name in (*files, *links))
