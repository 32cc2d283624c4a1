"""Changes of a job that are not its owner's: late answers, requests of people, tidying up."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable

import msgspec

from plugin_core.errors import UsageError
from plugin_core.jobs.backoff import LONGEST
from plugin_core.jobs.queries import DUE_AFTER, KEPT_BEFORE, PRUNE, WAITING, assign, fetch
from plugin_core.jobs.resuming import is_owed, put_back
from plugin_core.jobs.rows import from_row, to_row
from plugin_core.model import Bought, Job, JobState, Ticket

_FREE = ("owner = NULL", "lease = NULL")


def heal(connection: sqlite3.Connection, job_id: str, ticket: Ticket, now: float) -> bool:
    """Write a ticket onto a job that lost it, and free the job from whoever looks for it."""
    row = connection.execute("SELECT ticket, owner FROM jobs WHERE id = ?", (job_id,)).fetchone()
    job = fetch(connection, job_id)
    if job is None or row["ticket"] is not None:
        return False
    # Queued again by its user and not taken up yet: what is paid for need not be bought once more.
    waits = job.state is JobState.QUEUED and row["owner"] is None
    if not waits and job.state not in (JobState.UNCONFIRMED, JobState.SUBMITTING):
        return False
    after = msgspec.structs.replace(
        job, state=JobState.RUNNING, ticket=ticket, due=now, updated=now, attempts=0, problem=None
    )
    write(connection, after, ["submitter = NULL", *_FREE])
    return True


def wake(
    connection: sqlite3.Connection, names: Collection[str], rested: Callable[[str], bool], now: float
) -> list[str]:
    """Make due the jobs that wait for their service and have one of these names, theirs or ours."""
    wanted = set(names)
    woken = []
    for row in connection.execute(WAITING).fetchall():
        job = from_row(row)
        theirs = "" if job.ticket is None else job.ticket.remote_id
        if job.due > now and not wanted.isdisjoint((job.id, theirs)) and rested(job.id):
            write(connection, msgspec.structs.replace(job, due=now), [])
            woken.append(job.id)
    return woken


def hasten(connection: sqlite3.Connection, job: Job, now: float) -> Job:
    """Let a job that waits go on now: somebody asks for it."""
    if not job.state.is_active or job.due <= now:
        return job
    after = msgspec.structs.replace(job, due=now)
    write(connection, after, [])
    return after


def clamp_due(connection: sqlite3.Connection, now: float) -> None:
    """Make due what waits for longer than any job does: it was put off by a clock that was ahead."""
    for row in connection.execute(DUE_AFTER, (now + LONGEST,)).fetchall():
        hasten(connection, from_row(row), now)


def end_submit(connection: sqlite3.Connection, job_id: str, owner: str, absent: bool, now: float) -> None:
    """Forget the sender of a paid call; send an unconfirmed job again if the call surely made nothing."""
    row = connection.execute("SELECT submitter FROM jobs WHERE id = ?", (job_id,)).fetchone()
    job = fetch(connection, job_id)
    if job is None or row["submitter"] != owner:
        return
    if absent and job.state is JobState.UNCONFIRMED and job.ticket is None:
        job = msgspec.structs.replace(job, state=JobState.QUEUED, due=now, updated=now, attempts=0, problem=None)
    write(connection, job, ["submitter = NULL"])


def request_cancel(connection: sqlite3.Connection, job_id: str, now: float) -> Job:
    """Mark an active job; settle an unconfirmed one, which nobody works on."""
    job = _existing(connection, job_id)
    if job.state is JobState.UNCONFIRMED:
        note = "given up while unconfirmed: the service may have charged for it"
        after = msgspec.structs.replace(
            job, state=JobState.CANCELLED, updated=now, notes=(*job.notes, note), bought=Bought.MAYBE
        )
        write(connection, after, ["cancel = 1", *_FREE])
        return msgspec.structs.replace(after, cancel=True)
    if job.resume is not None:
        return give_up(connection, job, JobState.CANCELLED, now)
    if job.state.is_settled:
        raise UsageError(f"job {job.id} is {job.state.value} already", remedy="there is nothing to cancel")
    after = msgspec.structs.replace(job, due=min(job.due, now), cancel=True)
    write(connection, after, ["cancel = 1"])
    return after


def give_up(connection: sqlite3.Connection, job: Job, state: JobState, now: float) -> Job:
    """Let go of what was kept for a retry: it is removed like the leftovers of any other job."""
    after = msgspec.structs.replace(job, state=state, updated=now, resume=None)
    write(connection, after, [])
    return after


def give_up_old(connection: sqlite3.Connection, before: float) -> int:
    """Let go of what was kept for a retry by jobs that failed before a time; they stay as old as they are."""
    jobs = [from_row(row) for row in connection.execute(KEPT_BEFORE, (before,)).fetchall()]
    for job in jobs:
        give_up(connection, job, JobState.FAILED, job.updated)
    return len(jobs)


def goes_on(connection: sqlite3.Connection, job: Job) -> bool:
    """Tell whether there is more to a job than to begin it anew."""
    if job.state.is_active or job.resume is not None:
        return True
    return job.state is not JobState.DONE and is_owed(job) and is_remote(connection, job.id)


def join(connection: sqlite3.Connection, job: Job, now: float, *, force: bool) -> Job:
    """Let a job go on because it is wished for once more."""
    return hasten(connection, job, now) if job.state.is_active else retry(connection, job.id, now, force=force)


def resume(connection: sqlite3.Connection, job_id: str, now: float) -> Job:
    """Let a job go on now: an unconfirmed one is looked for, one that waits does so no longer."""
    job = _existing(connection, job_id)
    return retry(connection, job_id, now) if job.state is JobState.UNCONFIRMED else hasten(connection, job, now)


def retry(connection: sqlite3.Connection, job_id: str, now: float, *, force: bool = False) -> Job:
    """Put a job that ended badly back to where it can go on, or to its start."""
    job = _existing(connection, job_id)
    if job.state not in (JobState.FAILED, JobState.CANCELLED, JobState.UNCONFIRMED):
        raise UsageError(
            f"job {job.id} is {job.state.value}; only failed, cancelled and unconfirmed jobs can be retried",
            remedy="`stembridge jobs list` shows the states",
        )
    after = put_back(job, now, is_remote=is_remote(connection, job_id), force=force)
    # A sender that is frozen may still make what is looked for.
    submitter = "submitter" if after.state is JobState.SUBMITTING else "NULL"
    # An owner that still removes the old staging keeps the job until it is through.
    write(connection, after, ["cancel = 0", f"submitter = {submitter}"])
    return after


def is_remote(connection: sqlite3.Connection, job_id: str) -> bool:
    """Tell whether a job lives at a service."""
    row = connection.execute("SELECT occupies FROM jobs WHERE id = ?", (job_id,)).fetchone()
    return row is not None and bool(row["occupies"])


def prune(connection: sqlite3.Connection, before: float) -> int:
    """Delete settled jobs last changed before a time."""
    return connection.execute(PRUNE, (before,)).rowcount


def write(connection: sqlite3.Connection, job: Job, assignments: Iterable[str]) -> None:
    """Write a job inside a transaction that has read it."""
    values = to_row(job)
    connection.execute(f"UPDATE jobs SET {assign(values, assignments)} WHERE id = :id", values)  # noqa: S608 - names


def _existing(connection: sqlite3.Connection, job_id: str) -> Job:
    job = fetch(connection, job_id)
    if job is None:
        raise UsageError(f"no job {job_id!r}", remedy="`stembridge jobs list` shows the ids")
    return job
