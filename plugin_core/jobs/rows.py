"""A job as a row: columns for what queries need, and the whole job as JSON."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from plugin_core.errors import StoreError
from plugin_core.jobs.dedupe import base_key
from plugin_core.model import Job, JobState, Progress, Source, encode_path, from_json, to_json

Row = dict[str, str | float | int | None]

_DISCARDED = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED})

CLEAN: Final = 0
LITTERED: Final = 1
KEPT: Final = 2
"""Values of the column ``litter``: nothing is left, staging is to be removed, staging waits for a retry."""


def to_row(job: Job) -> Row:
    """Return the columns that follow from the job alone (not ``cancel``: only a request sets it)."""
    return {
        "id": job.id,
        "state": job.state.value,
        "active": int(job.state.is_active),
        "account": job.account,
        "base": base_key(job.dedupe),
        "dedupe": job.dedupe,
        "due": job.due,
        "updated": job.updated,
        "litter": _litter(job),
        "ticket": None if job.ticket is None else to_json(job.ticket).decode(),
        "progress": progress_text(job.progress),
        "written": job.written.after if job.written is not None and job.state is JobState.DONE else None,
        "path": str(encode_path(job.source.path)),
        "place": str(encode_path(job.stems[0].path.parent)) if job.stems else None,
        "body": to_json(msgspec.structs.replace(job, progress=None)).decode(),
    }


def _litter(job: Job) -> int:
    if job.state not in _DISCARDED:
        return CLEAN
    return LITTERED if job.resume is None else KEPT


def from_row(row: sqlite3.Row) -> Job:
    """Return the job; what changes without its owner (``cancel``, ``progress``, its song's place) comes from columns.

    Raises:
        StoreError: the row was not written by this version.
    """
    try:
        job = from_json(row["body"], Job)
        progress = None if row["progress"] is None else from_json(row["progress"], Progress)
        source = job.source if row["moved"] is None else from_json(row["moved"], Source)
    except msgspec.MsgspecError as error:
        raise StoreError(f"job {row['id']} cannot be read: {error}", remedy="upgrade stembridge") from error
    return msgspec.structs.replace(job, cancel=bool(row["cancel"]), progress=progress, source=source)


def progress_text(progress: Progress | None) -> str | None:
    """Return the progress as JSON for its column."""
    return None if progress is None else to_json(progress).decode()
