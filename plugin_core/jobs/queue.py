"""Who works on a job: the next one is chosen inside the transaction that claims it, and kept by signs of life."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from typing import Final, NamedTuple, TypeVar

from plugin_core.files.database import Connection, Database, begun_anew
from plugin_core.files.path_map import read_stored, stored_json
from plugin_core.jobs import changes, queries
from plugin_core.jobs.owner import Token, reap_shared, take_shared
from plugin_core.jobs.policy import ANY, LONGEST, Reach
from plugin_core.jobs.queries import from_row, progress_text, to_row
from plugin_core.jobs.reader import JobReader
from plugin_core.model import Job, JobState, Progress, Source, Ticket
from plugin_core.purchases import ledger
from plugin_core.purchases.ledger import Guard, spend_freely
from plugin_core.purchases.purchase import Purchase, PurchaseState

_PUT_BACK: Final = 60.0
"""Seconds by which a clock that is put right little by little is never put back at once."""

_LEAP: Final = 1.0
"""Seconds by which such a clock is never put ahead at once."""

_STARTED: Final = "('submitting', 'running', 'fetching', 'publishing')"
_HELD: Final = "('submitting', 'running', 'fetching')"

_WANTED: Final = "FROM temp.wanted CROSS JOIN jobs o WHERE o.id = wanted.id"
_TWIN: Final = f"j.base IN (SELECT o.base {_WANTED} AND o.state = 'queued')"
_HOLDER: Final = f"(j.occupies = 1 AND j.account IN (SELECT o.account {_WANTED} AND o.active = 1 AND o.occupies = 1))"
_OWN: Final = "j.id IN (SELECT id FROM temp.wanted)"


class Scope(Enum):
    """Which jobs may be claimed; ``temp.wanted`` holds the ids of one's own."""

    ALL = ("1 = 1", "1 = 1")
    HELPFUL = (f"({_OWN} OR {_HOLDER} OR {_TWIN})", f"({_OWN} OR {_TWIN})")
    """One's own, and those that they wait for: slot holders of their accounts, and twins."""

    @property
    def started(self) -> str:
        """The condition for jobs past ``queued``."""
        return self.value[0]

    @property
    def queued(self) -> str:
        """The condition for jobs in ``queued``."""
        return self.value[1]


class ClaimState(NamedTuple):
    """What the owner of a step must know."""

    alive: bool
    """Whether the job is still the owner's."""
    cancel: bool
    """Whether somebody asked to cancel it."""
    source: Source | None = None
    """The source as its song lies now, where it was moved."""
    withdrawn: bool = False
    """Whether it is to be cancelled only if that gives back what it cost."""


class Beat(NamedTuple):
    """The sign of life of a step."""

    job_id: str
    owner: str
    progress: Progress | None = None
    """New progress, to be stored with it."""


T = TypeVar("T")


class JobQueue(JobReader):
    """The jobs of a store as those see them who work on them.

    Args:
        database: the store's file.
        clock: seconds since the epoch.
        process: who claims here.
        lease: seconds after which a silent owner loses its job.
        steady: seconds that nobody sets.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        process: Token,
        lease: float,
        steady: Callable[[], float],
    ) -> None:
        super().__init__(database, clock)
        self._process = process
        self.lease = lease
        self._steady = steady
        self._ahead: float | None = None
        """By how much the clock was ahead of the steady one, at the last claim."""
        self.leapt = float("-inf")
        """When the clock was last seen to have leapt ahead: what it says of longer ago may be of just now."""

    def begin_anew(self, work: Callable[[], T]) -> T:
        """Do work in transactions, and begin it anew where a server gave one of them up."""
        return self._database.begin_anew(work)

    def new_owner(self) -> str:
        """Return a name for one claim, unique for ever; fit for a file name."""
        return self._process.new_owner()

    @begun_anew
    def claim(
        self, owner: str, *, ids: Collection[str] | None, slots: Mapping[str, int], reach: Reach = ANY
    ) -> Job | None:
        """Take the next job that is due and nobody's, if its account has a slot.

        Args:
            owner: from ``new_owner``.
            ids: one's own jobs; those they wait for are taken too. None means any.
            slots: how many jobs of each account may be alive; jobs of other accounts are not begun.
            reach: which jobs this process can work on.
        """
        scope = Scope.ALL if ids is None else Scope.HELPFUL
        if ids is not None:
            self._database.want(ids)
        now = self.clock()
        is_put_back = self._is_put_back(now)
        # A claim need not outlive a power cut: its process does not either.
        with self._database.write(durable=False, alone=False) as connection:
            self._reap(connection, now)
            changes.clamp_due(connection, now, 0.0 if is_put_back else LONGEST)
            started, queued = (f"{condition} AND {reach.condition}" for condition in scope.value)
            if self._database.is_remote:
                taken = take_shared(connection, owner, now, self.lease, slots, started, queued, reach.left)
            else:
                taken = take(connection, owner, now, self.lease, slots, started, queued)
            return None if taken is None else queries.fetch(connection, taken)

    def _reap(self, connection: Connection, now: float) -> None:
        if self._database.is_remote:
            reap_shared(connection, now, self._process.token)
        else:
            reap(connection, now, self._process.is_own, self._process.is_gone)

    def _is_put_back(self, now: float) -> bool:
        """Tell whether the clock was put back since the last claim: what waits would wait for as much longer."""
        before, self._ahead = self._ahead, now - self._steady()
        if before is None:
            return False
        if self._ahead > before + _LEAP:
            self.leapt = now
        return self._ahead < before - _PUT_BACK

    @begun_anew
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
        assignments = ["submitter = " + _submitter(before, after, bought)]
        if release:
            assignments += ["owner = NULL", "lease = NULL"]
        if occupies is not None:
            assignments.append(f"occupies = {int(occupies)}")
        only = ""
        if before.state is JobState.SUBMITTING and after.state is JobState.QUEUED:
            only = " AND ticket IS NULL"
        if after.state is JobState.FAILED:
            # A song that was handed in elsewhere a moment ago does not fail for want of its file.
            only = " AND (moved IS NULL OR moved = :source)"
        is_alone = bought is not None
        with self._database.write(durable=_must_outlive_power(before, after), alone=is_alone) as connection:
            row = to_row(after)
            values: dict[str, object] = {**row, "old": before.state.value, "claimant": owner}
            if only:
                values["source"] = stored_json(before.source)
            is_ours = connection.execute(queries.update(row, assignments, only), values).rowcount == 1
            if is_ours and bought is not None:
                if bought.state is PurchaseState.INTENT:
                    guard(connection, bought)
                ledger.put(connection, bought)
            return is_ours

    @begun_anew
    def heartbeat(self, beats: Sequence[Beat]) -> builtins.list[ClaimState]:
        """Renew leases, and store progress on the way, all at once; return the answer to each beat."""
        lease, beat = self.clock() + self.lease, "UPDATE jobs SET lease = ?, progress = coalesce(?, progress)"
        self._process.hold()
        with self._database.write(durable=False, alone=False) as connection:
            # In the order of their ids, as whoever else holds several rows of a server.
            for job_id, owner, progress in sorted(beats, key=lambda one: one.job_id):
                values = (lease, progress_text(progress), job_id, owner)
                connection.execute(f"{beat} WHERE id = ? AND owner = ?", values)
        return [self.check(one.job_id, one.owner) for one in beats]

    def check(self, job_id: str, owner: str) -> ClaimState:
        """Tell whether the job is still the owner's, and whether it is to be cancelled; writes nothing."""
        with self._database.read() as connection:
            row = connection.execute("SELECT owner, cancel, moved FROM jobs WHERE id = ?", (job_id,)).fetchone()
            source = None if row is None or row["moved"] is None else read_stored(row["moved"], Source)
        if row is None or row["owner"] != owner:
            return ClaimState(False, False)
        return ClaimState(True, bool(row["cancel"]), source, row["cancel"] == changes.WITHDRAWN)

    @begun_anew
    def release(self, job_id: str, owner: str) -> None:
        """Let go of a job; its state and due time stay."""
        if not self.check(job_id, owner).alive:
            return
        with self._database.write(durable=False, alone=False) as connection:
            connection.execute("UPDATE jobs SET owner = NULL, lease = NULL WHERE id = ? AND owner = ?", (job_id, owner))

    @begun_anew
    def heal(self, job_id: str, purchase_id: str, ticket: Ticket) -> bool:
        """Write the ticket of a late answer onto a purchase without one; its job runs on from there.

        Returns:
            False when the purchase has another ticket, or the job is settled or has one already.
        """
        with self._database.write() as connection:
            healed = changes.heal(connection, job_id, purchase_id, ticket, self.clock())
        self._touched += healed
        return healed

    @begun_anew
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

    @begun_anew
    def leftovers(self) -> builtins.list[Job]:
        """Return settled jobs whose staging still has to be removed and that nobody works on."""
        with self._database.write(durable=False) as connection:
            self._reap(connection, self.clock())
            return [from_row(row) for row in connection.execute(queries.LEFTOVERS)]

    @begun_anew
    def clean(self, job_id: str, owner: str | None = None) -> None:
        """Record that a settled job has no leftovers, and let go of it."""
        with self._database.write(durable=False, alone=False) as connection:
            connection.execute(queries.CLEAN_UP, (job_id, owner or ""))


def reap(connection: Connection, now: float, is_own: Callable[[str], bool], is_dead: Callable[[str], bool]) -> int:
    """Take jobs away from owners whose process is dead or whose lease ran out, in a transaction; return how many.

    An owner of this very process is alive however late its heartbeat is: the machine was asleep.
    """
    rows = connection.execute(
        "SELECT id, owner, lease FROM jobs INDEXED BY jobs_owned WHERE owner IS NOT NULL"
    ).fetchall()
    foreign = [row for row in rows if not is_own(row["owner"])]
    lost = [row for row in foreign if row["lease"] <= now or is_dead(row["owner"])]
    for row in lost:
        connection.execute("UPDATE jobs SET owner = NULL, lease = NULL WHERE id = ?", (row["id"],))
    return len(lost)


def take(
    connection: Connection,
    owner: str,
    now: float,
    lease: float,
    slots: Mapping[str, int],
    started: str,
    queued: str,
) -> str | None:
    """Claim the job to work on next; return its id."""
    chosen = choose(connection, now, slots, started, queued)
    if chosen is not None:
        connection.execute("UPDATE jobs SET owner = ?, lease = ? WHERE id = ?", (owner, now + lease, chosen))
    return chosen


def choose(connection: Connection, now: float, slots: Mapping[str, int], started: str, queued: str) -> str | None:
    """Return the id of the job to work on next: what is begun goes before what waits, the older before the younger."""
    return (
        _choose_cancelling(connection, started)
        or _choose_started(connection, now, slots, started)
        or _choose_queued(connection, now, slots, queued)
    )


def _choose_cancelling(connection: Connection, within: str) -> str | None:
    """A job that waits in the queue needs no slot to be cancelled."""
    row = connection.execute(
        "SELECT j.id FROM jobs j INDEXED BY jobs_cancelling"  # noqa: S608 - constants
        f" WHERE j.active = 1 AND j.cancel = 1 AND j.state = 'queued' AND j.owner IS NULL AND {within} LIMIT 1"
    ).fetchone()
    return None if row is None else str(row["id"])


def _choose_started(connection: Connection, now: float, slots: Mapping[str, int], within: str) -> str | None:
    query = (
        "SELECT j.id, j.account, j.state, j.occupies, j.cancel FROM jobs j INDEXED BY jobs_started"  # noqa: S608 - constants
        f" WHERE j.active = 1 AND j.state IN {_STARTED} AND j.due <= ? AND j.owner IS NULL AND {within}"
        " ORDER BY j.due, j.id"
    )
    full: set[str] = set()
    for row in connection.execute(query, (now,)).fetchall():
        account = row["account"]
        # A job alive at its service holds its slot already; publishing and cancelling need none.
        if row["occupies"] or row["state"] == "publishing" or row["cancel"]:
            return str(row["id"])
        if account not in full and count_held(connection, account) < slots.get(account, 0):
            return str(row["id"])
        full.add(account)
    return None


def _choose_queued(connection: Connection, now: float, slots: Mapping[str, int], within: str) -> str | None:
    query = (
        "SELECT j.id, j.due FROM jobs j INDEXED BY jobs_active"  # noqa: S608 - constants
        " WHERE j.active = 1 AND j.account = ? AND j.state = 'queued' AND j.due <= ? AND j.owner IS NULL"
        # One job at a time on each purchase: the next then goes on from what that has bought. The oldest begins, unless
        # it was retried while a younger one was under way.
        " AND NOT EXISTS (SELECT 1 FROM jobs t INDEXED BY jobs_by_base"
        "   WHERE t.base = j.base AND t.active = 1 AND t.id <> j.id"
        "   AND (t.id < j.id OR t.state <> 'queued' OR t.owner IS NOT NULL))"
        f" AND {within} ORDER BY j.due, j.id LIMIT 1"
    )
    found = []
    for account, limit in slots.items():
        if count_held(connection, account) < limit:
            row = connection.execute(query, (account, now)).fetchone()
            if row is not None:
                found.append((row["due"], row["id"]))
    return str(min(found)[1]) if found else None


def count_held(connection: Connection, account: str) -> int:
    """Count the slots taken: jobs alive at the service, and jobs that a process works on at this moment."""
    begun = connection.execute(
        "SELECT count(*) FROM jobs INDEXED BY jobs_active"  # noqa: S608 - constants
        f" WHERE active = 1 AND account = ? AND state IN {_HELD} AND (occupies = 1 OR owner IS NOT NULL)",
        (account,),
    ).fetchone()[0]
    claimed = connection.execute(
        "SELECT count(*) FROM jobs INDEXED BY jobs_owned"
        " WHERE owner IS NOT NULL AND active = 1 AND state = 'queued' AND cancel = 0 AND account = ?",
        (account,),
    ).fetchone()[0]
    return int(begun) + int(claimed)


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
