"""Changes of a job that are not its owner's: late answers, requests of people, tidying up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

import msgspec

from plugin_core.errors import UsageError
from plugin_core.files.database import Connection
from plugin_core.files.path_map import stored_json, stored_path
from plugin_core.jobs.queries import DUE_AFTER, PRUNE, WAITING, assign, fetch, from_row, to_row
from plugin_core.model import Job, JobState, Source, Ticket
from plugin_core.purchases import ledger
from plugin_core.purchases.purchase import PurchaseState

_FREE = ("owner = NULL", "lease = NULL")
WITHDRAWN: Final = 2
"""In the column ``cancel``: only if that gives back what the job cost."""


def heal(connection: Connection, job_id: str, purchase_id: str, ticket: Ticket, now: float) -> bool:
    """Write a late ticket onto the purchase that lost it, and free its job from whoever looks for it."""
    if not ledger.heal(connection, purchase_id, ticket, now):
        return False
    row = connection.execute("SELECT ticket, owner FROM jobs WHERE id = ?", (job_id,)).fetchone()
    job = fetch(connection, job_id)
    if job is None or row["ticket"] is not None:
        return False
    # Queued again by its user and not taken up yet: what is paid for need not be bought once more.
    waits = job.state is JobState.QUEUED and row["owner"] is None
    if not waits and job.state not in (JobState.UNCONFIRMED, JobState.SUBMITTING):
        return False
    after = msgspec.structs.replace(
        job,
        state=JobState.RUNNING,
        purchase=purchase_id,
        ticket=ticket,
        due=now,
        updated=now,
        attempts=0,
        problem=None,
    )
    write(connection, after, ["submitter = NULL", *_FREE])
    return True


def wake(connection: Connection, names: Collection[str], rested: Callable[[str], bool], now: float) -> list[str]:
    """Make due the jobs that wait for their service and have one of these names, theirs or ours."""
    wanted = set(names) - {""}
    woken = []
    for row in connection.execute(WAITING).fetchall():
        job = from_row(row)
        theirs = "" if job.ticket is None else job.ticket.remote_id
        if job.due > now and not wanted.isdisjoint((job.id, job.purchase, theirs)) and rested(job.id):
            write(connection, msgspec.structs.replace(job, due=now), [])
            woken.append(job.id)
    return woken


def hasten(connection: Connection, job: Job, now: float) -> Job:
    """Let a job that waits go on now: somebody asks for it."""
    if not job.state.is_active or job.due <= now:
        return job
    after = msgspec.structs.replace(job, due=now)
    write(connection, after, [])
    return after


def clamp_due(connection: Connection, now: float, most: float) -> None:
    """Make due what waits for longer than any job does now: it was put off by a clock that was ahead."""
    for row in connection.execute(DUE_AFTER, (now + most,)).fetchall():
        hasten(connection, from_row(row), now)


def end_submit(connection: Connection, job_id: str, owner: str, absent: bool, now: float) -> None:
    """Forget the sender of a paid call; send an unconfirmed job again if the call surely made nothing."""
    row = connection.execute("SELECT submitter FROM jobs WHERE id = ?", (job_id,)).fetchone()
    job = fetch(connection, job_id)
    if job is None or row["submitter"] != owner:
        return
    purchase = ledger.fetch(connection, job.purchase) if absent and job.purchase else None
    if purchase is not None and purchase.ticket is None:
        never = msgspec.structs.replace(
            purchase, state=PurchaseState.CANCELLED, reason="it was never sent", updated=now
        )
        ledger.put(connection, never)
    if absent and job.state is JobState.UNCONFIRMED and job.ticket is None:
        job = msgspec.structs.replace(job, state=JobState.QUEUED, due=now, updated=now, attempts=0, problem=None)
    write(connection, job, ["submitter = NULL"])


def request_cancel(connection: Connection, job_id: str, now: float) -> Job:
    """Mark an active job; settle an unconfirmed one, which nobody works on."""
    job = existing(connection, job_id)
    if job.state is JobState.UNCONFIRMED:
        note = "given up while unconfirmed: the service may have charged for it"
        after = msgspec.structs.replace(job, state=JobState.CANCELLED, updated=now, notes=(*job.notes, note))
        write(connection, after, ["cancel = 1", *_FREE])
        return msgspec.structs.replace(after, cancel=True)
    if job.resume is not None:
        return give_up(connection, job, JobState.CANCELLED, now)
    if job.state.is_settled:
        raise UsageError(f"job {job.id} is {job.state.value} already", remedy="there is nothing to cancel")
    after = msgspec.structs.replace(job, due=min(job.due, now), cancel=True)
    write(connection, after, ["cancel = 1"])
    return after


def withdraw(connection: Connection, job_id: str, now: float) -> None:
    """Mark an active job to be cancelled if that gives back what it cost; the user's own word stays as it is."""
    # One that nobody has begun cost nothing yet.
    query = (
        "UPDATE jobs SET due = CASE WHEN due < :now THEN due ELSE :now END,"
        " cancel = CASE WHEN cancel = 1 OR (state = 'queued' AND owner IS NULL) THEN 1 ELSE :withdrawn END"
        " WHERE id = :id AND active = 1"
    )
    connection.execute(query, {"now": now, "withdrawn": WITHDRAWN, "id": job_id})


def restore(connection: Connection, job: Job) -> Job:
    """Take back that a job was withdrawn."""
    query = "UPDATE jobs SET cancel = 0 WHERE id = ? AND cancel = ?"
    is_restored = connection.execute(query, (job.id, WITHDRAWN)).rowcount == 1
    return msgspec.structs.replace(job, cancel=False) if is_restored else job


def give_up(connection: Connection, job: Job, state: JobState, now: float) -> Job:
    """Let go of what was kept for a retry: it is removed like the leftovers of any other job."""
    after = msgspec.structs.replace(job, state=state, updated=now, resume=None)
    write(connection, after, [])
    return after


def give_up_old(connection: Connection, job_ids: Iterable[str], before: float, now: float) -> int:
    """Let go of what is kept for jobs that ended badly before a time, and did not go on since; return how many.

    They stay as old as they are. What the service still has of their purchases is to be removed there: nobody came
    for it.
    """
    count = 0
    for job in filter(None, (fetch(connection, job_id) for job_id in job_ids)):
        if job.state not in (JobState.FAILED, JobState.CANCELLED) or job.updated > before:
            continue
        purchase = ledger.fetch(connection, job.purchase) if job.purchase else None
        is_there = purchase is not None and purchase.state in (PurchaseState.RUNNING, PurchaseState.READY)
        if purchase is not None and is_there and not ledger.is_wanted(connection, purchase):
            over = {"state": PurchaseState.EXPIRED, "reason": "nobody came for its results", "updated": now}
            ledger.put(connection, msgspec.structs.replace(purchase, **over))
        elif job.resume is None:
            continue
        give_up(connection, job, job.state, job.updated)
        count += 1
    return count


def join(connection: Connection, job: Job, now: float) -> Job:
    """Let a job go on because it is wished for once more."""
    return hasten(connection, job, now) if job.state.is_active else retry(connection, job.id, now)


def resume(connection: Connection, job_id: str, now: float) -> Job:
    """Let a job go on now: an unconfirmed one is looked for, one that waits does so no longer."""
    job = existing(connection, job_id)
    return retry(connection, job_id, now) if job.state is JobState.UNCONFIRMED else hasten(connection, job, now)


def retry(connection: Connection, job_id: str, now: float, *, force: bool = False) -> Job:
    """Put a job that ended badly back to where it can go on, or to its start."""
    job = existing(connection, job_id)
    if job.state not in (JobState.FAILED, JobState.CANCELLED, JobState.UNCONFIRMED):
        raise UsageError(
            f"job {job.id} is {job.state.value}; only failed, cancelled and unconfirmed jobs can be retried",
            remedy="`stembridge jobs list` shows the states",
        )
    after = _put_back(job, now, force=force)
    # A sender that is frozen may still make what is looked for.
    submitter = "submitter" if job.state is JobState.UNCONFIRMED else "NULL"
    # An owner that still removes the old staging keeps the job until it is through.
    write(connection, after, ["cancel = 0", f"submitter = {submitter}"])
    return after


def _put_back(job: Job, now: float, *, force: bool) -> Job:
    """Return a job that ended badly as it goes on.

    Args:
        job: failed, cancelled or unconfirmed.
        now: seconds since the epoch.
        force: the user's word that it may be bought again.
    """
    fresh = msgspec.structs.replace(
        job,
        state=job.resume or JobState.QUEUED,
        due=now,
        updated=now,
        attempts=0,
        cancel=False,
        progress=None,
        target=None,
        stems=(),
        projects=(),
        problem=None,
        resume=None,
        may_buy=force,
    )
    if job.resume:
        return fresh
    return msgspec.structs.replace(fresh, staged=(), ticket=None, results=(), labels=(), notes=())


def goes_on(connection: Connection, job: Job) -> bool:
    """Tell whether a failed job would go on from what it has, so that nothing is bought again."""
    if job.resume is not None:
        return True
    purchase = ledger.fetch(connection, job.purchase) if job.purchase else None
    return purchase is not None and (purchase.state.is_held or purchase.state.is_open)


def move(connection: Connection, job: Job, source: Source, now: float) -> Job:
    """Let a job follow its song to another path; its owner, if it has one, learns of it before its next effect."""
    after = msgspec.structs.replace(job, source=source, due=min(job.due, now))
    # Stems that were staged under the song's old name are made anew from what was fetched.
    if job.resume is JobState.PUBLISHING and job.source.path.name != source.path.name:
        after = msgspec.structs.replace(after, resume=None)
    values = {
        "moved": stored_json(source),
        "path": stored_path(source.path),
        "due": after.due,
        "id": job.id,
    }
    connection.execute("UPDATE jobs SET moved = :moved, path = :path, due = :due WHERE id = :id", values)
    if after.resume is not job.resume:
        write(connection, after, [])
    return after


def prune(connection: Connection, before: float, limit: int) -> int:
    """Delete some settled jobs last changed before a time; return how many."""
    return connection.execute(PRUNE, (before, limit)).rowcount


def write(connection: Connection, job: Job, assignments: Iterable[str]) -> None:
    """Write a job inside a transaction that has read it."""
    values = to_row(job)
    connection.execute(f"UPDATE jobs SET {assign(values, assignments)} WHERE id = :id", values)  # noqa: S608 - names


def existing(connection: Connection, job_id: str) -> Job:
    """Return one job.

    Raises:
        UsageError: there is none.
    """
    job = fetch(connection, job_id)
    if job is None:
        raise UsageError(f"no job {job_id!r}", remedy="`stembridge jobs list` shows the ids")
    return job
