"""Jobs that follow what a host has moved: songs, folders of songs, and stems."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from plugin_core.errors import SourceError
from plugin_core.operations.inspect import inspect, source_key, stat_key, stat_source

if TYPE_CHECKING:
    from plugin_core.jobs.store import JobStore
    from plugin_core.model import Job, Source


def follow_move(store: JobStore, old: Path, new: Path) -> int:
    """Let jobs follow a song, a stem, or a folder of either from one path to another; return how many did.

    Args:
        store: the job store.
        old: where it was.
        new: where it is now.
    """
    count = 0
    for job in store.placed_at(old):
        source = _moved_source(store, job, old, new)
        stems = tuple(msgspec.structs.replace(one, path=_moved(one.path, old, new)) for one in job.stems)
        if source is not None or stems != job.stems:
            store.relocate(job.id, source or job.source, stems)
            count += 1
    return count


def _moved_source(store: JobStore, job: Job, old: Path, new: Path) -> Source | None:
    path = _moved(job.source.path, old, new)
    if path == job.source.path:
        return None
    if job.state.is_settled:
        # What is done is only found by its path.
        return msgspec.structs.replace(job.source, path=path)
    try:
        return _find_source(store, job, path)
    except SourceError:
        # Moved once more already, which will be told as well.
        return None


def _find_source(store: JobStore, job: Job, path: Path) -> Source | None:
    """Return the song of a job as it lies at a path, hardly looked at where it was only renamed; None for another."""
    source = job.source
    if stat_key(stat_source(path)) == source_key(source):
        return msgspec.structs.replace(source, path=path)
    found = inspect(path)
    if found.content == source.content:
        return found
    known = store.recordings.find(path)
    return found if known is not None and known.recording in store.recordings_of(job.recording) else None


def _moved(path: Path, old: Path, new: Path) -> Path:
    return new / path.relative_to(old) if path.is_relative_to(old) else path
