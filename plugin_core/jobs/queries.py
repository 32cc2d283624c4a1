"""A job as a row (columns for what queries need, the whole job as JSON), and the statements that only look."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from plugin_core.errors import StoreError
from plugin_core.files.database import NO_LIMIT, Connection
from plugin_core.files.path_map import read_stored, stored_json, stored_path
from plugin_core.jobs.keys import base_key
from plugin_core.model import Job, JobState, Progress, Source, from_json, to_json

Row = dict[str, str | float | int | None]

_DISCARDED = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED})

CLEAN: Final = 0
LITTERED: Final = 1
KEPT: Final = 2
"""Values of the column ``litter``: nothing is left, staging is to be removed, staging waits for a retry."""


JOINABLE: Final = (
    "SELECT * FROM jobs INDEXED BY jobs_by_base WHERE base = ?"
    " AND (active = 1 OR state IN ('unconfirmed', 'failed', 'cancelled')) ORDER BY id"
)
UNDER_WAY: Final = "SELECT 1 FROM jobs INDEXED BY jobs_by_base WHERE base = ? AND active = 1 AND cancel = 0 LIMIT 1"
WAITERS: Final = (
    "SELECT 1 FROM jobs INDEXED BY jobs_due WHERE active = 1 AND id <> :id AND cancel = 0"
    " AND (json_extract(body, '$.purchase') = nullif(:purchase, '')"
    " OR (base = :base AND coalesce(json_extract(body, '$.purchase'), '') = '')) LIMIT 1"
)
"""Active jobs that hang on a purchase, and those of its key that may yet: of one recording there can be two keys."""
PLACED_AT: Final = (
    "SELECT * FROM jobs WHERE id IN ("
    "SELECT id FROM jobs INDEXED BY jobs_by_path WHERE path = :path OR (path >= :first AND path < :last)"
    " UNION SELECT id FROM jobs INDEXED BY jobs_by_place"
    " WHERE place IS NOT NULL AND (place IN (:path, :folder) OR (place >= :first AND place < :last)))"
)
SENDERS: Final = (
    "SELECT j.submitter FROM jobs j INDEXED BY jobs_by_state JOIN jobs o ON o.id = ?"
    " WHERE j.state IN ('submitting', 'unconfirmed') AND j.submitter IS NOT NULL AND (j.id = o.id"
    " OR nullif(json_extract(j.body, '$.purchase'), '') = json_extract(o.body, '$.purchase'))"
)
_OF_THESE: Final = "FROM jobs WHERE id IN (SELECT value FROM json_each(?))"
THESE: Final = f"SELECT * {_OF_THESE}"
MARKS: Final = f"SELECT id, state, due, updated, cancel, progress, moved {_OF_THESE}"
"""What is another after each change of a job, as far as anybody who follows it sees."""
BY_PREFIX: Final = "SELECT * FROM jobs WHERE id >= ? AND id < ? ORDER BY id LIMIT 2"
NEXT_DUE: Final = (
    "SELECT due FROM jobs INDEXED BY jobs_due WHERE active = 1 AND due > ? AND owner IS NULL ORDER BY due LIMIT 1"
)
DUE_AFTER: Final = "SELECT * FROM jobs INDEXED BY jobs_due WHERE active = 1 AND due > ?"
WAITING: Final = "SELECT * FROM jobs INDEXED BY jobs_by_state WHERE state = 'running' AND owner IS NULL"
LEFTOVERS: Final = "SELECT * FROM jobs INDEXED BY jobs_litter WHERE litter = 1 AND active = 0 AND owner IS NULL"
PRUNE: Final = (
    "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs INDEXED BY jobs_settled"  # noqa: S608 - numbers
    f" WHERE active = 0 AND litter = {CLEAN} AND state <> 'unconfirmed' AND updated <= ? AND owner IS NULL"
    " ORDER BY updated LIMIT ?)"
)
UNCLAIMED: Final = (
    f"SELECT id FROM jobs INDEXED BY jobs_by_state WHERE state = 'failed' AND litter = {KEPT} AND updated <= :before"  # noqa: S608 - number
    " UNION SELECT j.id FROM jobs j INDEXED BY jobs_by_state"
    " JOIN purchases p ON p.id = json_extract(j.body, '$.purchase')"
    " WHERE j.state IN ('failed', 'cancelled') AND j.updated <= :before AND p.state IN ('running', 'ready')"
)
"""Jobs that ended badly and that something waits for: staging, or results of their purchases at the service."""
WRITTEN_AS: Final = (
    "SELECT * FROM jobs INDEXED BY jobs_written WHERE written IS NOT NULL AND written = ?"
    " ORDER BY updated DESC, id DESC"
)
WRITTEN_AT: Final = (
    "SELECT * FROM jobs INDEXED BY jobs_written WHERE written IS NOT NULL"
    " AND json_extract(body, '$.written.path') = ? ORDER BY updated DESC, id DESC LIMIT 100"
)
WRITTEN_OF: Final = (
    "SELECT * FROM jobs INDEXED BY jobs_written WHERE written IS NOT NULL"
    " AND json_extract(body, '$.recording') IN (SELECT value FROM json_each(?))"
    " ORDER BY updated DESC, id DESC LIMIT 100"
)
CLEAN_UP: Final = (
    f"UPDATE jobs SET litter = CASE litter WHEN {LITTERED} THEN {CLEAN} ELSE litter END, owner = NULL, lease = NULL"  # noqa: S608 - numbers
    " WHERE id = ? AND coalesce(owner, '') = ?"
)


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
        "path": stored_path(job.source.path),
        "place": stored_path(job.stems[0].path.parent) if job.stems else None,
        "body": stored_json(msgspec.structs.replace(job, progress=None)),
    }


def _litter(job: Job) -> int:
    if job.state not in _DISCARDED:
        return CLEAN
    return LITTERED if job.resume is None else KEPT


def from_row(row: Any) -> Job:
    """Return the job; what changes without its owner (``cancel``, ``progress``, its song's place) comes from columns.

    Raises:
        StoreError: the row was not written by this version.
    """
    try:
        job = read_stored(row["body"], Job)
        progress = None if row["progress"] is None else from_json(row["progress"], Progress)
        source = job.source if row["moved"] is None else read_stored(row["moved"], Source)
    except msgspec.MsgspecError as error:
        raise StoreError(f"job {row['id']} cannot be read: {error}", remedy="upgrade stembridge") from error
    return msgspec.structs.replace(job, cancel=bool(row["cancel"]), progress=progress, source=source)


def progress_text(progress: Progress | None) -> str | None:
    """Return the progress as JSON for its column."""
    return None if progress is None else to_json(progress).decode()


def below(path: str, folder: str) -> dict[str, str]:
    """Return the values of ``PLACED_AT``: what begins with the path and a separator lies below it.

    Args:
        path: of a song, a stem, or a folder of either.
        folder: the one it lies in, by which a single stem is found.
    """
    # By its name in the store a path is the same on every system.
    mark = os.sep if os.path.isabs(path) else "/"  # noqa: PTH117
    start = path.rstrip(mark)
    return {"path": path, "folder": folder, "first": f"{start}{mark}", "last": f"{start}{chr(ord(mark) + 1)}"}


def fetch(connection: Connection, job_id: str) -> Job | None:
    row = connection.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return None if row is None else from_row(row)


def done_like(connection: Connection, dedupe: str, limit: int) -> list[Job]:
    """Return finished jobs with this key, the one settled last first."""
    rows = connection.execute(
        "SELECT * FROM jobs INDEXED BY jobs_by_base WHERE base = ? AND state = 'done'"
        " ORDER BY updated DESC, id DESC LIMIT ?",
        (base_key(dedupe), limit),
    )
    return [from_row(row) for row in rows]


def listing(states: Sequence[JobState] | None, limit: int | None, before: str = "") -> tuple[str, list[str]]:
    """Return query and values for jobs, newest first.

    Each state is limited by itself: otherwise a few failed jobs among a million finished would all be sorted.
    """
    count, last = NO_LIMIT if limit is None else int(limit), before or "\U0010ffff"
    # The number stands in the text: by it a server tells that few rows will do, however many jobs there are.
    newest = f"ORDER BY id DESC LIMIT {count}"
    if states is None:
        return f"SELECT * FROM jobs WHERE id < ? {newest}", [last]  # noqa: S608 - number
    part = f"SELECT id FROM (SELECT id FROM jobs WHERE state = ? AND id < ? {newest}) AS newest"  # noqa: S608 - number
    inside = f"{' UNION ALL '.join([part] * len(states))} {newest}" if states else "SELECT NULL WHERE 1 = 0"
    values = [value for state in states for value in (state.value, last)]
    return f"SELECT * FROM jobs WHERE id IN ({inside}) ORDER BY id DESC", values  # noqa: S608 - marks


def any_active(wanted: bool) -> str:
    """Return the query that finds one active job, of ``temp.wanted`` or of all."""
    own = " AND id IN (SELECT id FROM temp.wanted)" if wanted else ""
    return f"SELECT 1 FROM jobs INDEXED BY jobs_active WHERE active = 1{own} LIMIT 1"  # noqa: S608 - constants


def accounts(wanted: bool) -> str:
    """Return the query for an active job of each account; it goes from account to account, not through all jobs."""
    own = " AND id IN (SELECT id FROM temp.wanted)" if wanted else ""
    first = "FROM jobs INDEXED BY jobs_active WHERE active = 1 AND account"
    return (
        f"WITH RECURSIVE each (account) AS (SELECT min(account) {first} >= '' UNION ALL"  # noqa: S608 - constants
        f" SELECT (SELECT min(account) {first} > each.account) FROM each WHERE each.account IS NOT NULL)"
        f" SELECT (SELECT id {first} = each.account{own} ORDER BY state, due, id LIMIT 1) AS id"
        " FROM each WHERE each.account IS NOT NULL"
    )


def insert(columns: Iterable[str]) -> str:
    """Return the statement that inserts named columns."""
    names = list(columns)
    return f"INSERT INTO jobs ({', '.join(names)}) VALUES ({', '.join(':' + name for name in names)})"  # noqa: S608 - names


def update(columns: Mapping[str, object], assignments: Iterable[str] = (), guard: str = "") -> str:
    """Return the compare-and-swap on old state (``:old``) and owner (``:claimant``)."""
    return (
        f"UPDATE jobs SET {assign(columns, assignments)} WHERE id = :id AND state = :old AND owner = :claimant{guard}"  # noqa: S608 - names
    )


def assign(columns: Iterable[str], assignments: Iterable[str]) -> str:
    """Return the list of assignments for named columns, all but the id."""
    return ", ".join([*(f"{name} = :{name}" for name in columns if name != "id"), *assignments])
