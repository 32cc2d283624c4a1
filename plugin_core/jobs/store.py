"""The job store: every transition is a compare-and-swap on old state and owner, shared by any number of processes."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from plugin_core.errors import UsageError
from plugin_core.files.database import Database
from plugin_core.files.mounts import check_local
from plugin_core.jobs import changes, claiming, queries
from plugin_core.jobs.dedupe import is_forced, place_of
from plugin_core.jobs.owner import ProcessToken
from plugin_core.jobs.rows import from_row, progress_text, to_row
from plugin_core.jobs.schema import SCHEMA
from plugin_core.model import Job, JobState, Progress, Ticket, encode_path

LEASE: Final = 20.0


class Heartbeat(NamedTuple):
    """What the owner of a step must know."""

    alive: bool
    """Whether the job is still the owner's."""
    cancel: bool
    """Whether somebody asked to cancel it."""


class JobStore:
    """All jobs of one home folder, in a SQLite file.

    Args:
        path: the file; made with its folder, readable by its owner only.
        clock: seconds since the epoch.
        lease: seconds after which a silent owner loses its job.
        heartbeat: seconds between signs of life; default a quarter of the lease.
        kind_of: tells the type of the file system that holds a folder.

    Raises:
        StoreError: a network share, a newer version, or a file that cannot be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.time,
        lease: float = LEASE,
        heartbeat: float | None = None,
        kind_of: Callable[[Path], str] | None = None,
    ) -> None:
        self.path = path.absolute()
        self.clock = clock
        self.lease = lease
        self.heartbeat_every = lease / 4 if heartbeat is None else heartbeat
        check_local(self.path.parent, kind_of)
        self._database = Database(self.path, SCHEMA)
        try:
            self._process = ProcessToken(self.path.parent / "workers")
        except BaseException:
            self._database.close()
            raise
        self._wanted: Collection[str] | None = None
        self._touched = 0
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every job this store owns, and close the file."""
        if self._closed:
            return
        self._closed = True
        try:
            with self._database.write() as connection:
                connection.execute(
                    "UPDATE jobs SET owner = NULL, lease = NULL WHERE owner GLOB ?", (f"{self._process.token}-*",)
                )
        finally:
            self._process.close()
            self._database.close()

    def check_writable(self) -> None:
        """Make sure that jobs can be stored.

        Raises:
            StoreError: the disk is full or read-only, or another process holds the store for very long.
        """
        self._database.check_writable()

    # Adding and looking

    def add(self, job: Job, *, occupies: bool = True) -> tuple[Job, bool]:
        """Put a job in, unless the same wish for the same file and place is under way; tell whether it is new.

        One that waits goes on now. One that ended badly and that a service has, or may have, or whose results are kept,
        goes on as after a retry: what is paid for is not bought again, unless the wish is to buy anew (``is_forced``).

        Args:
            job: the job, ``queued``.
            occupies: whether it lives at a service; the engine corrects it when it works on the job.
        """
        with self._database.write() as connection:
            rows = connection.execute(queries.SAME_KEY, (to_row(job)["base"], job.dedupe)).fetchall()
            known = next(
                (one for one in map(from_row, rows) if _is_same(one, job) and changes.goes_on(connection, one)), None
            )
            if known is not None:
                return changes.join(connection, known, self.clock(), force=is_forced(job.dedupe)), False
            values = {**to_row(job), "occupies": int(occupies), "cancel": int(job.cancel)}
            connection.execute(queries.insert(values), values)
        self._touched += 1
        return job, True

    def get(self, prefix: str) -> Job:
        """Return one job by its id or the unique beginning of it.

        Raises:
            UsageError: no job, or more than one.
        """
        with self._database.read() as connection:
            rows = connection.execute(queries.BY_PREFIX, (prefix, prefix + "g")).fetchall()
        if rows and rows[0]["id"] == prefix:
            rows = rows[:1]
        if not rows or not prefix:
            raise UsageError(f"no job {prefix!r}", remedy="`stembridge jobs list` shows the ids")
        if len(rows) > 1:
            raise UsageError(f"{prefix!r} is the beginning of several job ids", remedy="give more of the id")
        return from_row(rows[0])

    def find(self, job_id: str) -> Job | None:
        """Return one job by its whole id; None if there is none."""
        with self._database.read() as connection:
            return queries.fetch(connection, job_id)

    def list(self, states: Iterable[JobState] | None = None, limit: int | None = None) -> list[Job]:
        """Return jobs, newest first."""
        query, values = queries.listing(None if states is None else sorted(set(states)), limit)
        with self._database.read() as connection:
            return [from_row(row) for row in connection.execute(query, values)]

    def counts(self) -> dict[JobState, int]:
        """Return how many jobs are in each state."""
        with self._database.read() as connection:
            found = dict(connection.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
        return {state: found.get(state.value, 0) for state in JobState}

    def find_done(self, dedupe: str) -> Job | None:
        """Return the newest finished job with the key, forced or not."""
        return next(iter(self.done_like(dedupe, limit=1)), None)

    def written_as(self, content: str) -> builtins.list[Job]:
        """Return the done taggings that left a file with this SHA-256, the last one first."""
        with self._database.read() as connection:
            return [from_row(row) for row in connection.execute(queries.WRITTEN_AS, (content,))]

    def written_at(self, path: Path) -> builtins.list[Job]:
        """Return the done taggings of the file at a path, the last one first."""
        with self._database.read() as connection:
            return [from_row(row) for row in connection.execute(queries.WRITTEN_AT, (encode_path(path),))]

    def done_like(self, dedupe: str, *, limit: int = 100) -> builtins.list[Job]:
        """Return finished jobs with the key, forced or not, newest first: one song can lie in many places."""
        with self._database.read() as connection:
            return queries.done_like(connection, dedupe, limit)

    def changes_token(self) -> tuple[int, int]:
        """Return a value that differs once another process, or a request in this one, changed the store; cheap."""
        with self._database.read() as connection:
            return int(connection.execute("PRAGMA data_version").fetchone()[0]), self._touched

    # Owning

    def new_owner(self) -> str:
        """Return a name for one claim, unique for ever; fit for a file name."""
        return self._process.new_owner()

    def claim(
        self, owner: str, *, ids: Collection[str] | None, slots: Mapping[str, int], strict: bool = False
    ) -> Job | None:
        """Take the next job that is due and nobody's, if its account has a slot.

        Args:
            owner: from ``new_owner``.
            ids: one's own jobs; those they wait for are taken too. None means any.
            slots: how many jobs of each account may be alive; jobs of other accounts are not begun.
            strict: whether to take nothing but ``ids``.
        """
        scope = claiming.Scope.ALL if ids is None else claiming.Scope.OWN if strict else claiming.Scope.HELPFUL
        if ids is not None:
            self._want(ids)
        now = self.clock()
        # A claim need not outlive a power cut: its process does not either.
        with self._database.write(durable=False) as connection:
            claiming.reap(connection, now, self._process.is_own, self._process.is_dead)
            changes.clamp_due(connection, now)
            chosen = claiming.choose(connection, now, slots, scope)
            if chosen is None:
                return None
            connection.execute("UPDATE jobs SET owner = ?, lease = ? WHERE id = ?", (owner, now + self.lease, chosen))
            return queries.fetch(connection, chosen)

    def save(self, before: Job, after: Job, owner: str, release: bool, *, occupies: bool | None = None) -> bool:
        """Store a transition if the job still is in the old state and the owner's; False means: stop working on it."""
        row = to_row(after)
        values: dict[str, object] = {**row, "old": before.state.value, "claimant": owner}
        assignments = ["submitter = " + _submitter(before.state, after.state)]
        if release:
            assignments += ["owner = NULL", "lease = NULL"]
        if occupies is not None:
            assignments.append(f"occupies = {int(occupies)}")
        guard = ""
        if before.state is JobState.SUBMITTING and after.state is JobState.QUEUED:
            guard = " AND ticket IS NULL"
        with self._database.write(durable=_must_outlive_power(before, after)) as connection:
            return connection.execute(queries.update(row, assignments, guard), values).rowcount == 1

    def heartbeat(self, job_id: str, owner: str, progress: Progress | None = None) -> Heartbeat:
        """Renew the lease, and store progress on the way."""
        values = (self.clock() + self.lease, progress_text(progress), job_id, owner)
        with self._database.write(durable=False) as connection:
            connection.execute(
                "UPDATE jobs SET lease = ?, progress = coalesce(?, progress) WHERE id = ? AND owner = ?", values
            )
        return self.check(job_id, owner)

    def check(self, job_id: str, owner: str) -> Heartbeat:
        """Tell whether the job is still the owner's, and whether it is to be cancelled; writes nothing."""
        with self._database.read() as connection:
            row = connection.execute("SELECT owner, cancel FROM jobs WHERE id = ?", (job_id,)).fetchone()
        return Heartbeat(row is not None and row["owner"] == owner, row is not None and bool(row["cancel"]))

    def release(self, job_id: str, owner: str) -> None:
        """Let go of a job; its state and due time stay."""
        if not self.check(job_id, owner).alive:
            return
        with self._database.write(durable=False) as connection:
            connection.execute("UPDATE jobs SET owner = NULL, lease = NULL WHERE id = ? AND owner = ?", (job_id, owner))

    # The paid call

    def heal(self, job_id: str, ticket: Ticket) -> bool:
        """Write the ticket of a late answer onto a job without one; it runs on from there.

        Returns:
            False when the job has a ticket, is settled, or is being sent anew.
        """
        with self._database.write() as connection:
            healed = changes.heal(connection, job_id, ticket, self.clock())
        self._touched += healed
        return healed

    def end_submit(self, job_id: str, owner: str, *, absent: bool = False) -> None:
        """Record that this owner's paid call can no longer go out.

        Args:
            job_id: the job.
            owner: who had sent it.
            absent: whether it surely made nothing, so that an ``unconfirmed`` job can be sent again.
        """
        with self._database.write() as connection:
            changes.end_submit(connection, job_id, owner, absent, self.clock())

    def is_abandoned(self, job_id: str, owner: str) -> bool:
        """Tell whether nobody else can still send this job's paid call: its sender is dead or has given up.

        A frozen sender may send when it thaws, so that "not found" is no reason yet to send again.
        """
        with self._database.read() as connection:
            row = connection.execute("SELECT submitter FROM jobs WHERE id = ?", (job_id,)).fetchone()
        submitter = None if row is None else row["submitter"]
        return submitter is None or submitter == owner or self._process.is_dead(submitter)

    def wake(self, names: Collection[str], *, rested: Callable[[str], bool] = lambda _: True) -> builtins.list[str]:
        """Make due now the jobs that wait for their service and have one of these names; return their ids.

        Args:
            names: ids that services give, or ids of ours; they are data of strangers.
            rested: whether a job may be woken again.
        """
        with self._database.write(durable=False) as connection:
            woken = changes.wake(connection, names, rested, self.clock())
        self._touched += len(woken)
        return woken

    # Requests of people

    def request_cancel(self, prefix: str) -> Job:
        """Ask for a job to be cancelled; one that is ``unconfirmed`` or kept for a retry is given up at once.

        Raises:
            UsageError: unknown, or settled already.
        """
        job_id = self.get(prefix).id
        with self._database.write() as connection:
            job = changes.request_cancel(connection, job_id, self.clock())
        self._touched += 1
        return job

    def retry(self, prefix: str, *, force: bool = False) -> Job:
        """Let a failed, cancelled or unconfirmed job go on: where it was kept, with a look at its service, or anew.

        Args:
            prefix: of its id.
            force: the user's word that it may be bought again if it is not to be had.

        Raises:
            UsageError: unknown, active or done.
        """
        job_id = self.get(prefix).id
        with self._database.write() as connection:
            job = changes.retry(connection, job_id, self.clock(), force=force)
        self._touched += 1
        return job

    def resume(self, prefix: str) -> Job:
        """Let a job that is not finished go on now; an unconfirmed one is looked for, any other stays as it is.

        Raises:
            UsageError: unknown.
        """
        job_id = self.get(prefix).id
        with self._database.write() as connection:
            job = changes.resume(connection, job_id, self.clock())
        self._touched += 1
        return job

    def give_up(self, older_than_seconds: float) -> int:
        """Let go of what was kept for a retry of jobs that failed that long ago; return how many."""
        with self._database.write() as connection:
            return changes.give_up_old(connection, self.clock() - older_than_seconds)

    def prune(self, older_than_seconds: float) -> int:
        """Delete jobs settled that long ago; never one that is unconfirmed or has staging to remove or to keep."""
        with self._database.write() as connection:
            removed = changes.prune(connection, self.clock() - older_than_seconds)
        self._touched += 1
        return removed

    # What the engine asks

    def has_active(self, ids: Collection[str] | None = None) -> bool:
        """Tell whether any of these jobs, or of all, is active."""
        if ids is not None:
            self._want(ids)
        with self._database.read() as connection:
            return connection.execute(queries.any_active(ids is not None)).fetchone() is not None

    def accounts(self, ids: Collection[str] | None = None) -> builtins.list[Job]:
        """Return one active job, of these or of all, for each account."""
        if ids is not None:
            self._want(ids)
        with self._database.read() as connection:
            found = connection.execute(queries.accounts(ids is not None)).fetchall()
            jobs = [queries.fetch(connection, row["id"]) for row in found]
        return [job for job in jobs if job is not None]

    def next_due(self) -> float | None:
        """Return when the next waiting job is due that is not due yet."""
        with self._database.read() as connection:
            row = connection.execute(queries.NEXT_DUE, (self.clock(),)).fetchone()
        return None if row is None else float(row["due"])

    def leftovers(self) -> builtins.list[Job]:
        """Return settled jobs whose staging still has to be removed and that nobody works on."""
        with self._database.write(durable=False) as connection:
            claiming.reap(connection, self.clock(), self._process.is_own, self._process.is_dead)
            return [from_row(row) for row in connection.execute(queries.LEFTOVERS)]

    def clean(self, job_id: str, owner: str | None = None) -> None:
        """Record that a settled job has no leftovers, and let go of it."""
        with self._database.write(durable=False) as connection:
            connection.execute(queries.CLEAN_UP, (job_id, owner))

    def _want(self, ids: Collection[str]) -> None:
        if ids is self._wanted:
            return
        with self._database.write(durable=False) as connection:
            connection.execute("DELETE FROM temp.wanted")
            connection.executemany("INSERT OR IGNORE INTO temp.wanted VALUES (?)", ((job_id,) for job_id in ids))
        # A collection that can change is copied in again each time.
        self._wanted = ids if isinstance(ids, frozenset) else None


def _is_same(one: Job, other: Job) -> bool:
    return one.source.path == other.source.path and place_of(one.operation) == place_of(other.operation)


def _must_outlive_power(before: Job, after: Job) -> bool:
    """Tell whether a power cut may not undo a change: waiting for a poll, or what was fetched, is found again.

    Whatever is durable makes durable all that was written before it.
    """
    if after.state in (JobState.FETCHING, JobState.PUBLISHING):
        return before.target != after.target
    return before.state is not after.state


def _submitter(before: JobState, after: JobState) -> str:
    if after is JobState.SUBMITTING:
        return ":claimant" if before is JobState.QUEUED else "submitter"
    # An unconfirmed job may still hear from its sender.
    return "submitter" if after is JobState.UNCONFIRMED else "NULL"
