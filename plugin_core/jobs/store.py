"""The job store: every transition is a compare-and-swap on old state and owner, shared by any number of processes."""

from __future__ import annotations

import builtins
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import msgspec

from plugin_core.files.database import Database
from plugin_core.files.disk import check_local
from plugin_core.jobs import changes, claiming, queries
from plugin_core.jobs.dedupe import base_key, is_forced, is_same_wish, place_of
from plugin_core.jobs.owner import ProcessToken
from plugin_core.jobs.reader import JobReader
from plugin_core.jobs.rows import from_row, progress_text, to_row
from plugin_core.jobs.schema import SCHEMA
from plugin_core.model import Job, JobState, Progress, Source, Stem, Ticket, from_json
from plugin_core.purchases import ledger
from plugin_core.purchases.ledger import PurchaseLedger
from plugin_core.purchases.purchase import Purchase, PurchaseState
from plugin_core.purchases.spending import Guard, spend_freely
from plugin_core.recordings import tables
from plugin_core.recordings.texts import raw1

if TYPE_CHECKING:
    from plugin_core.recordings.book import RecordingBook

LEASE: Final = 20.0


_ENDED: Final = frozenset({JobState.FAILED, JobState.CANCELLED})


class Heartbeat(NamedTuple):
    """What the owner of a step must know."""

    alive: bool
    """Whether the job is still the owner's."""
    cancel: bool
    """Whether somebody asked to cancel it."""
    source: Source | None = None
    """The source as its song lies now, where it was moved."""
    withdrawn: bool = False
    """Whether it is to be cancelled only if that gives back what it cost."""


class JobStore(JobReader):
    """All jobs of one home folder, in a SQLite file.

    Args:
        path: the file; made with its folder, readable by its owner only.
        clock: seconds since the epoch.
        lease: seconds after which a silent owner loses its job.
        patience: seconds that a lock of another process is waited for; default half a minute.
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
        patience: float | None = None,
        heartbeat: float | None = None,
        kind_of: Callable[[Path], str] | None = None,
    ) -> None:
        self.path = path.absolute()
        self.clock = clock
        self.lease = lease
        self.heartbeat_every = lease / 4 if heartbeat is None else heartbeat
        check_local(self.path.parent, kind_of)
        super().__init__(Database(self.path, SCHEMA, patience=patience))
        self.purchases = PurchaseLedger(self._database, clock)
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

    @cached_property
    def recordings(self) -> RecordingBook:
        """The recordings of the songs."""
        # It looks into songs; whoever only asks for jobs does without.
        from plugin_core.recordings.book import RecordingBook

        return RecordingBook(self._database, clock=self.clock)

    def check_writable(self) -> None:
        """Make sure that jobs can be stored.

        Raises:
            StoreError: the disk is full or read-only, or another process holds the store for very long.
        """
        self._database.check_writable()

    # Adding and looking

    def add(
        self, job: Job, *, occupies: bool = True, is_gone: Callable[[Path], bool] = lambda _: False
    ) -> tuple[Job, bool]:
        """Put a job in, unless the same wish for the same recording and place is known; tell whether it is new.

        One that is under way is joined, and waits no longer. One that is unconfirmed, or failed while what it bought is
        to be had, goes on: nothing is bought again. One whose file is gone from its path follows its song to where it
        is handed in now.

        Args:
            job: the job, ``queued``.
            occupies: whether it lives at a service; the engine corrects it when it works on the job.
            is_gone: tells of a path whether its song is no longer there; may look at a disk.
        """
        for known in self._alike(job):
            is_here = known.source.path == job.source.path and place_of(known.operation) == place_of(job.operation)
            if is_here or (known.source.path != job.source.path and is_gone(known.source.path)):
                joined = self._join(known, job.source)
                if joined is not None:
                    return joined, False
        values = {**to_row(job), "occupies": int(occupies), "cancel": int(job.cancel)}
        with self._database.write() as connection:
            connection.execute(queries.insert(values), values)
        self._touched += 1
        return job, True

    def _alike(self, job: Job) -> builtins.list[Job]:
        """Return the jobs of the same wish that could be joined, the oldest first; a forced one joins only its like."""
        base = base_key(job.dedupe)
        with self._database.read() as connection:
            rows = connection.execute(queries.JOINABLE, (base,)).fetchall()
            jobs = [one for one in map(from_row, rows) if is_same_wish(one.operation, job.operation)]
            if is_forced(job.dedupe):
                return [one for one in jobs if one.dedupe == job.dedupe and one.state.is_active]
            return [one for one in jobs if one.state not in _ENDED or changes.goes_on(connection, one)]

    def _join(self, known: Job, source: Source) -> Job | None:
        """Let a known job go on, for its song as it was handed in now; None if it changed meanwhile."""
        with self._database.write() as connection:
            job = queries.fetch(connection, known.id)
            if job is None or job.state is not known.state:
                return None
            if job.source.path != source.path:
                job = changes.move(connection, job, source, self.clock())
            job = changes.join(connection, changes.restore(connection, job), self.clock())
        self._touched += 1
        return job

    def move(self, job_id: str, source: Source) -> Job:
        """Let a job follow its song to another path; whoever works on it goes on from there.

        Raises:
            UsageError: there is no such job.
        """
        with self._database.write() as connection:
            job = changes.move(connection, changes.existing(connection, job_id), source, self.clock())
        self._touched += 1
        return job

    def relocate(self, job_id: str, source: Source, stems: tuple[Stem, ...]) -> None:
        """Note where the song and the stems of a job lie now; whoever works on it goes on from there.

        A power cut may undo it: the song is found by its sound once it is handed in again.
        """
        with self._database.write(durable=False) as connection:
            job = queries.fetch(connection, job_id)
            if job is None:
                return
            if source != job.source:
                job = changes.move(connection, job, source, self.clock())
            if job.state.is_settled:
                changes.write(connection, msgspec.structs.replace(job, stems=stems), [])
        self._touched += 1

    def know(self, recording: str, hashes: Iterable[str]) -> None:
        """Note of a recording by which hashes (SHA-256) of whole files it is known as well."""
        with self._database.write(durable=False) as connection:
            tables.remember(connection, recording, [raw1(one) for one in hashes])

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

    def save(
        self,
        before: Job,
        after: Job,
        owner: str,
        release: bool,
        *,
        occupies: bool | None = None,
        bought: Purchase | None = None,
        guard: Guard = spend_freely,
    ) -> bool:
        """Store a transition if the job still is in the old state and the owner's; False means: stop working on it.

        What becomes of its purchase is stored with it, or not at all.

        Raises:
            RefusedError: the purchase is new, and ``guard`` refuses to spend that much.
        """
        row = to_row(after)
        values: dict[str, object] = {**row, "old": before.state.value, "claimant": owner}
        assignments = ["submitter = " + _submitter(before, after, bought)]
        if release:
            assignments += ["owner = NULL", "lease = NULL"]
        if occupies is not None:
            assignments.append(f"occupies = {int(occupies)}")
        only = ""
        if before.state is JobState.SUBMITTING and after.state is JobState.QUEUED:
            only = " AND ticket IS NULL"
        with self._database.write(durable=_must_outlive_power(before, after)) as connection:
            is_ours = connection.execute(queries.update(row, assignments, only), values).rowcount == 1
            if is_ours and bought is not None:
                if bought.state is PurchaseState.INTENT:
                    guard(connection, bought)
                ledger.put(connection, bought)
            return is_ours

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
            row = connection.execute("SELECT owner, cancel, moved FROM jobs WHERE id = ?", (job_id,)).fetchone()
        if row is None or row["owner"] != owner:
            return Heartbeat(False, row is not None and bool(row["cancel"]))
        source = None if row["moved"] is None else from_json(row["moved"], Source)
        return Heartbeat(True, bool(row["cancel"]), source, row["cancel"] == changes.WITHDRAWN)

    def release(self, job_id: str, owner: str) -> None:
        """Let go of a job; its state and due time stay."""
        if not self.check(job_id, owner).alive:
            return
        with self._database.write(durable=False) as connection:
            connection.execute("UPDATE jobs SET owner = NULL, lease = NULL WHERE id = ? AND owner = ?", (job_id, owner))

    # The paid call

    def heal(self, job_id: str, purchase_id: str, ticket: Ticket) -> bool:
        """Write the ticket of a late answer onto a purchase without one; its job runs on from there.

        Returns:
            False when the purchase has another ticket, or the job is settled or has one already.
        """
        with self._database.write() as connection:
            healed = changes.heal(connection, job_id, purchase_id, ticket, self.clock())
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
        """Tell whether nobody else can still send the paid call of a job's purchase: who might is dead or gave up.

        A frozen sender may send when it thaws, so that "not found" is no reason yet to send again. Nor is it while the
        purchase is that of another job, whose call is under way.
        """
        with self._database.read() as connection:
            rows = connection.execute(queries.SENDERS, (job_id,)).fetchall()
        senders = {row["submitter"] for row in rows} - {owner}
        return all(self._process.is_dead(sender) for sender in senders)

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

    def withdraw(self, job_id: str) -> None:
        """Ask for an active job to be cancelled if that gives back what it cost; else it goes on to its end."""
        with self._database.write() as connection:
            changes.withdraw(connection, job_id, self.clock())
        self._touched += 1

    def restore(self, job_id: str) -> None:
        """Take back ``withdraw``: somebody needs the job again, or it cannot be given back."""
        with self._database.write() as connection:
            job = queries.fetch(connection, job_id)
            if job is not None:
                changes.restore(connection, job)
        self._touched += 1

    def retry(self, prefix: str, *, force: bool = False) -> Job:
        """Let a failed, cancelled or unconfirmed job go on from what it has.

        Args:
            prefix: of its id.
            force: the user's word that what was bought before and is to be had no more may be bought again.

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
        """Let go of what was kept for a retry, here and at the service, of jobs that failed that long ago.

        Returns:
            how many there were.
        """
        now, given_up, some = self.clock(), 0, 1
        while some:
            with self._database.write() as connection:
                some = changes.give_up_old(connection, now - older_than_seconds, now)
            given_up += some
        return given_up

    def prune(self, older_than_seconds: float) -> int:
        """Delete jobs settled that long ago; never one that is unconfirmed or has staging to remove or to keep.

        Some at a time, so that nobody waits for long, and what they took is given back to the disk.
        """
        before, removed, some = self.clock() - older_than_seconds, 0, queries.PRUNED_AT_ONCE
        while some >= queries.PRUNED_AT_ONCE:
            with self._database.write() as connection:
                some = changes.prune(connection, before)
            removed += some
        while removed and self._database.give_back():
            pass
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


def _must_outlive_power(before: Job, after: Job) -> bool:
    """Tell whether a power cut may not undo a change: waiting for a poll, or what was fetched, is found again.

    Whatever is durable makes durable all that was written before it.
    """
    if after.state in (JobState.FETCHING, JobState.PUBLISHING):
        return before.target != after.target
    return before.state is not after.state


def _submitter(before: Job, after: Job, bought: Purchase | None) -> str:
    if after.state is JobState.SUBMITTING:
        # Who only looks for what was sent before sends nothing.
        is_local = before.state is JobState.QUEUED and not after.purchase
        is_sent_now = is_local or (bought is not None and bought.state is PurchaseState.INTENT)
        return ":claimant" if is_sent_now else "submitter"
    # An unconfirmed job may still hear from its sender.
    return "submitter" if after.state is JobState.UNCONFIRMED else "NULL"
