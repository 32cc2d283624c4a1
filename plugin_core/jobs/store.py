"""The job store: every transition is a compare-and-swap on old state and owner, shared by any number of processes."""

from __future__ import annotations

import builtins
import logging
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import msgspec

from plugin_core.errors import StoreError, install_hint
from plugin_core.files.database import Connection, Database, PassingError, begun_anew
from plugin_core.files.disk import check_local
from plugin_core.files.path_map import UNMAPPED, PathMap
from plugin_core.jobs import changes, queries
from plugin_core.jobs.keys import base_key, is_forced, is_same_place, is_same_wish
from plugin_core.jobs.owner import ProcessToken, Token
from plugin_core.jobs.queries import from_row, to_row
from plugin_core.jobs.queue import JobQueue
from plugin_core.jobs.schema import SCHEMA, SHARED
from plugin_core.model import Job, JobState, Source, Stem
from plugin_core.purchases.ledger import PurchaseLedger
from plugin_core.recordings import tables
from plugin_core.recordings.content import raw1
from plugin_core.tasks import finish, start_in_thread

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from plugin_core.recordings.book import RecordingBook

_log = logging.getLogger(__name__)

T = TypeVar("T")
Place = Path | str
"""Where a job store is: a file, or the address of a PostgreSQL database."""
LEASE: Final = 20.0
MOVED: Final = "moved"
"""The table of a store whose jobs are in another one; it holds which."""
_GO_THERE: Final = (
    "let [jobs] database name it, or no database for the file; or `stembridge jobs migrate` brings them back"
)

_ENDED: Final = frozenset({JobState.FAILED, JobState.CANCELLED})


class JobStore(JobQueue):
    """All jobs of one home folder, in a SQLite file; or those that machines share, in a PostgreSQL database.

    Args:
        place: the file, made with its folder and readable by its owner only; or the address of the database.
        clock: seconds since the epoch; default the time that all who share the store go by.
        lease: seconds after which a silent owner loses its job.
        patience: seconds that a lock of another process is waited for; default half a minute.
        kind_of: tells the type of the file system that holds a folder.
        steady: seconds that nobody sets; default those of this computer, or ``clock`` where that is another than its.
        paths: by which names paths are stored.
        is_moving: whether its jobs are moved from or to another store, so that they may be there by now.

    Raises:
        StoreError: a network share, a newer version, or a file that cannot be used.
    """

    def __init__(
        self,
        place: Place,
        *,
        clock: Callable[[], float] | None = None,
        lease: float = LEASE,
        patience: float | None = None,
        kind_of: Callable[[Path], str] | None = None,
        steady: Callable[[], float] | None = None,
        paths: PathMap = UNMAPPED,
        is_moving: bool = False,
    ) -> None:
        self.place = place if isinstance(place, str) else place.absolute()
        database, process = _open(self.place, patience, paths, kind_of)
        if clock is None or clock is time.time:
            clock, steady = database.now, steady or time.monotonic
        super().__init__(database, clock, process, lease, steady or clock)
        self.purchases = PurchaseLedger(database, self.clock)
        self._closed = False
        self._patience = database.patience
        if not is_moving and (elsewhere := self.is_elsewhere):
            self.close()
            raise StoreError(f"{self.shown}: its jobs are in {elsewhere}", remedy=_GO_THERE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every job this store owns, and close the file."""
        if self._closed:
            return
        self._closed = True
        # A server that is away by now is not waited for: leases let go as well.
        self.be_patient(0.0)
        try:
            with self._database.write() as connection:
                # Its owners are the token, a dash, and a number.
                own = (f"{self._process.token}-", f"{self._process.token}.")
                connection.execute("UPDATE jobs SET owner = NULL, lease = NULL WHERE owner >= ? AND owner < ?", own)
        except PassingError as error:
            if not self._database.is_remote:
                raise
            _log.info("jobs are let go of by their leases: %s", error)
        finally:
            if "_thread" in self.__dict__:
                self._thread.shutdown()
            self._process.close()
            self._database.close()

    @property
    def is_elsewhere(self) -> str:
        """Where the jobs are that were moved from here; "" where they are here."""
        if not self._database.has_table(MOVED):
            return ""
        with self._database.read() as connection:
            row = connection.execute(f"SELECT place FROM {MOVED}").fetchone()  # noqa: S608 - constant
        return "" if row is None else str(row["place"])

    @property
    def shown(self) -> str:
        """The place, fit to be shown."""
        return self._database.shown

    def everything(self) -> AbstractContextManager[Connection]:
        """Give the connection for all that the store holds; nobody else writes meanwhile."""
        return self._database.write()

    async def ask(self, work: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Call a method of the store, in a thread where the store is far away: an event loop does not wait for it.

        A call that has begun comes to its end even where its task is cancelled meanwhile, which then happens at the
        next wait: what was stored is not to be forgotten.
        """
        if not self._database.is_remote:
            return work(*arguments, **options)
        return await finish(start_in_thread(partial(work, *arguments, **options), pool=self._thread))

    @cached_property
    def _thread(self) -> ThreadPoolExecutor:
        # One call at a time: the store has one connection.
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(1, "store")

    @cached_property
    def recordings(self) -> RecordingBook:
        # It looks into songs; whoever only asks for jobs does without.
        from plugin_core.recordings.book import RecordingBook

        return RecordingBook(self._database, clock=self.clock)

    def be_patient(self, seconds: float | None = None) -> None:
        """Wait for so long for a server that is away, from now on; default as long as at first."""
        self._database.patience = self._patience if seconds is None else seconds

    @begun_anew
    def check_writable(self) -> None:
        """Make sure that jobs can be stored.

        Raises:
            StoreError: the disk is full or read-only, or another process holds the store for very long.
        """
        self._database.check_writable()

    # Adding and looking

    @begun_anew
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
        with self._database.read() as connection:
            values = {**to_row(job), "occupies": int(occupies), "cancel": int(job.cancel)}
            alike = _alike(connection, job)
        seen: set[str] = set()
        while True:
            for known in alike:
                if is_same_place(known, job) or (known.source.path != job.source.path and is_gone(known.source.path)):
                    joined = self._join(known, job.source)
                    if joined is not None:
                        return joined, False
            seen |= {known.id for known in alike}
            with self._database.write() as connection:
                # Another process may have put in the same meanwhile.
                alike = [known for known in _alike(connection, job) if known.id not in seen]
                if not alike:
                    connection.execute(queries.insert(values), values)
                    break
        self._touched += 1
        return job, True

    def _join(self, known: Job, source: Source) -> Job | None:
        """Let a known job go on, for its song as it was handed in now; None if it changed meanwhile."""
        with self._database.write() as connection:
            job = queries.fetch(connection, known.id)
            if job is None:
                return None
            if job.state is JobState.DONE and known.state.is_active and job.source.path == source.path:
                # It came to its end while this waited for the store: what is wished for stands.
                return job
            if job.state is not known.state and not job.state.is_active:
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
        return self._change(lambda rows, now: changes.move(rows, changes.existing(rows, job_id), source, now))

    @begun_anew
    def relocate(self, job_id: str, source: Source, stems: tuple[Stem, ...], projects: tuple[Stem, ...] = ()) -> None:
        """Note where the song, stems and session files of a job lie now; whoever works on it goes on from there.

        A power cut may undo it: the song is found by its sound once it is handed in again.
        """
        with self._database.write(durable=False) as connection:
            job = queries.fetch(connection, job_id)
            if job is None:
                return
            if source != job.source:
                job = changes.move(connection, job, source, self.clock())
            if job.state.is_settled:
                changes.write(connection, msgspec.structs.replace(job, stems=stems, projects=projects), [])
        self._touched += 1

    @begun_anew
    def know(self, recording: str, hashes: Iterable[str]) -> None:
        """Note of a recording by which hashes (SHA-256) of whole files it is known as well."""
        with self._database.write(durable=False) as connection:
            tables.remember(connection, recording, [raw1(one) for one in hashes])

    @begun_anew
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

    def _change(self, change: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Make one of the changes of ``changes.py`` in a transaction of its own."""

        def work() -> T:
            with self._database.write() as connection:
                return change(connection, *arguments, self.clock(), **options)

        changed = self.begin_anew(work)
        self._touched += 1
        return changed

    def request_cancel(self, prefix: str) -> Job:
        """Ask for a job to be cancelled; one that is ``unconfirmed`` or kept for a retry is given up at once.

        Raises:
            UsageError: unknown, or settled already.
        """
        return self._change(changes.request_cancel, self.get(prefix).id)

    def withdraw(self, job_id: str) -> None:
        """Ask for an active job to be cancelled if that gives back what it cost; else it goes on to its end."""
        self._change(changes.withdraw, job_id)

    @begun_anew
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
        return self._change(changes.retry, self.get(prefix).id, force=force)

    def resume(self, prefix: str) -> Job:
        """Let a job that is not finished go on now; an unconfirmed one is looked for, any other stays as it is.

        Raises:
            UsageError: unknown.
        """
        return self._change(changes.resume, self.get(prefix).id)

    @begun_anew
    def give_up(self, older_than_seconds: float) -> int:
        """Let go of what is kept for a retry, here and at services, of jobs that failed that long ago; count them."""
        now = self.clock()
        before, given_up = now - older_than_seconds, 0
        # Looked for without holding the store: there may be very many that ended badly.
        with self._database.read() as connection:
            left = [str(row["id"]) for row in connection.execute(queries.UNCLAIMED, {"before": before})]

        def let_go(connection: Connection, limit: int) -> int:
            nonlocal given_up
            some = [left.pop() for _ in range(min(limit, len(left)))]
            given_up += changes.give_up_old(connection, some, before, now)
            return len(some)

        self._database.work_off(let_go)
        return given_up

    def prune(self, older_than_seconds: float) -> int:
        """Delete jobs settled that long ago; never one that is unconfirmed or has staging to remove or to keep.

        Some at a time, so that nobody waits for long, and what they took is given back to the disk.
        """
        before = self.clock() - older_than_seconds
        removed = self._database.work_off(lambda connection, limit: changes.prune(connection, before, limit))
        if removed:
            self._database.give_back()
        self._touched += 1
        return removed


def _open(
    place: Place, patience: float | None, paths: PathMap, kind_of: Callable[[Path], str] | None
) -> tuple[Database, Token]:
    """Open what holds the jobs, and make the token of who works on them there."""
    if isinstance(place, str):
        return _open_shared(place, patience, paths)
    from plugin_core.files.sqlite import SqliteFile

    check_local(place.parent, kind_of)
    file = SqliteFile(place, SCHEMA, patience=patience, paths=paths)
    try:
        return file, ProcessToken(place.parent / "workers")
    except BaseException:
        file.close()
        raise


def _open_shared(address: str, patience: float | None, paths: PathMap) -> tuple[Database, Token]:
    try:
        from plugin_core.files.postgresql import PostgresDatabase
        from plugin_core.jobs.presence import SessionToken
    except ImportError as error:
        what = "a job store in PostgreSQL needs psycopg, which is not installed"
        raise StoreError(what, remedy=install_hint("distributed")) from error
    from plugin_core.transfer.redaction import register

    register(address)
    database = PostgresDatabase(address, SHARED, patience=patience, paths=paths)
    return database, SessionToken(database)


def _alike(connection: Connection, job: Job) -> list[Job]:
    """Return the jobs of the same wish that could be joined, the oldest first; a forced one joins only its like."""
    rows = connection.execute(queries.JOINABLE, (base_key(job.dedupe),)).fetchall()
    jobs = [one for one in map(from_row, rows) if is_same_wish(one.operation, job.operation)]
    if is_forced(job.dedupe):
        return [one for one in jobs if one.dedupe == job.dedupe and one.state.is_active]
    return [one for one in jobs if one.state not in _ENDED or changes.goes_on(connection, one)]
