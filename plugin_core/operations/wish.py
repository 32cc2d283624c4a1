"""What a separation's job wishes, and where its stems go."""

from __future__ import annotations

from pathlib import Path

from plugin_core.errors import UsageError
from plugin_core.model import Job, Separation, Source


def wish_of(job: Job) -> Separation:
    """Return the operation of a job.

    Raises:
        UsageError: it is no separation.
    """
    if not isinstance(job.operation, Separation):
        raise UsageError(f"job {job.id} is no separation")
    return job.operation


def destination_of(job: Job) -> Path:
    """Return the folder a job's stems are placed under."""
    return destination_of_wish(job.source, wish_of(job))


def destination_of_wish(source: Source, wish: Separation) -> Path:
    """Return the folder that the stems of a source are placed under."""
    return wish.to or source.path.parent
