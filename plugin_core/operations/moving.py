"""Jobs that follow what a host has moved: songs, folders of songs, and stems."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from plugin_core.errors import SourceError
from plugin_core.operations.inspect import inspect

if TYPE_CHECKING:
    from plugin_core.jobs.store import JobStore
    from plugin_core.model import Job, Source


def follow_move(store: JobStore, old: Path, new: Path) -> int:
    """Let jobs follow a song, a folder of songs, or stems from one path to another; return how many did.

    Args:
        store: the job store.
        old: where it was.
        new: where it is now.
    """
    count = 0
    for job in store.placed_at(old):
        source = _moved_source(job, old, new)
        stems = tuple(msgspec.structs.replace(one, path=_moved(one.path, old, new)) for one in job.stems)
        if source is not None or stems != job.stems:
            store.relocate(job.id, source or job.source, stems)
            count += 1
    return count


def _moved_source(job: Job, old: Path, new: Path) -> Source | None:
    path = _moved(job.source.path, old, new)
    if path == job.source.path:
        return None
    if job.state.is_settled:
        # What is done is only found by its path.
        return msgspec.structs.replace(job.source, path=path)
    try:
        return inspect(path)
    except SourceError:
        # Moved once more already, which will be told as well.
        return None


def _moved(path: Path, old: Path, new: Path) -> Path:
    return new / path.relative_to(old) if path.is_relative_to(old) else path
