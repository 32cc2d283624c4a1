"""A job in the hands of one step: its present state, and the only way to change it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from plugin_core.errors import StembridgeError
from plugin_core.jobs.policy import Policy
from plugin_core.jobs.store import JobStore
from plugin_core.jobs.work import Work
from plugin_core.model import Job, JobState, Problem, Progress
from plugin_core.purchases.ledger import Guard, spend_freely
from plugin_core.purchases.purchase import Purchase, PurchaseState
from plugin_core.transfer.redaction import redact

_log = logging.getLogger(__name__)

T = TypeVar("T")
Changed = Callable[[Job, Job | None], None]


class LostError(Exception):
    """The job is no longer ours: another process took it over or a late answer moved it; internal."""


class Claim:
    """A claimed job.

    Attributes:
        job: as it is stored.
        owner: the name of this claim, also the ``attempt`` of every effect.
        is_fresh: whether this claim itself entered ``submitting`` and has not sent the paid call yet.
        is_paying: whether the paid call is in flight.
        is_lost: whether the job was taken away.
        is_withdrawn: whether it is to be cancelled only if that gives back what it cost.
        effect: the running effect, which can be cancelled.
    """

    def __init__(
        self,
        job: Job,
        owner: str,
        work: Work,
        store: JobStore,
        changed: Changed,
        policy: Policy,
        guard: Guard = spend_freely,
    ) -> None:
        self.job = job
        self.owner = owner
        self.work = work
        self.store = store
        self.policy = policy
        self.guard = guard
        self.is_fresh = False
        self.is_paying = False
        self.is_lost = False
        self.is_withdrawn = False
        self.effect: asyncio.Task[bool] | None = None
        self.progress: Progress | None = None
        self._changed = changed

    def now(self) -> float:
        """Return the store's time."""
        return self.store.clock()

    def report(self, progress: Progress) -> None:
        """Remember progress; the heartbeat stores it. Any thread may call this."""
        self.progress = progress

    @property
    def is_interruptible(self) -> bool:
        """Whether a request to cancel ends the running effect: not once results may stand beside the source."""
        return self.job.state.is_active and not (self.job.state is JobState.PUBLISHING and self.job.target)

    def tell(self, after: Job, before: Job | None) -> None:
        """Let listeners hear of a stored change."""
        tell(self._changed, after, before)

    async def ask(self, work: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Ask the store, which an event loop must not wait for where it is far away."""
        return await self.store.ask(work, *arguments, **options)

    async def purchase(self) -> Purchase | None:
        """The purchase the job goes on from, as the store has it; None for an engine on this machine."""
        return await self.ask(self.store.purchases.find, self.job.purchase) if self.job.purchase else None

    async def save(self, after: Job, *, release: bool = False, bought: Purchase | None = None) -> None:
        """Store a transition, and with it what becomes of the job's purchase.

        Raises:
            LostError: the job is no longer ours.
        """
        before = self.job
        is_remote = self.work.occupies(after)
        options = {"occupies": is_remote, "bought": bought, "guard": self.guard}
        if not await self.ask(self.store.save, before, after, self.owner, release, **options):
            self.is_lost = True
            raise LostError(after.id)
        if bought is not None and bought.state is PurchaseState.CANCELLED:
            _log.info("job %s: %s costs nothing: %s", after.id, bought.id, bought.reason)
        if after.state is not before.state:
            self.progress = None
        self.job = after
        self.tell(after, before)

    async def enter(self, state: JobState, *, bought: Purchase | None = None, **fields: object) -> None:
        """Go to a state, due now, with the counters of the old one cleared."""
        fresh: dict[str, object] = {"attempts": 0, "problem": None, "progress": None, "due": self.now(), **fields}
        await self.save(msgspec.structs.replace(self.job, state=state, updated=self.now(), **fresh), bought=bought)

    async def note_purchase(
        self, state: PurchaseState, *, read: Purchase | None = None, **fields: object
    ) -> Purchase | None:
        """Return the job's purchase as it is from now on, to be stored with the job; None where there is none.

        Args:
            state: what it is now.
            read: the purchase, where it was read after the last word of its provider, who notes things in it.
            fields: what else changes.
        """
        purchase = read or await self.purchase()
        if purchase is None:
            return None
        if "reason" in fields:
            # Services repeat what they were sent.
            fields["reason"] = redact(str(fields["reason"]))
        return msgspec.structs.replace(purchase, state=state, updated=self.now(), **fields)

    def register_seconds(self, purchase: Purchase) -> float:
        """Return how long lists may miss a purchase: as it was sent, or as the settings say now if that is longer."""
        return max(purchase.register_seconds, self.work.terms(self.job).register_seconds)

    async def wait(self, seconds: float, *, bought: Purchase | None = None, **fields: object) -> bool:
        """Let go of the job until some time from now; tell that there is nothing to do meanwhile."""
        after = msgspec.structs.replace(self.job, due=self.now() + seconds, **fields)
        await self.save(after, release=True, bought=bought)
        return False

    async def postpone(self, error: StembridgeError, *, bought: Purchase | None = None, **fields: object) -> bool:
        """Let go of the job until it is worth trying again."""
        attempts = self.job.attempts + 1
        seconds = self.policy.backoff.delay(attempts, getattr(error, "retry_after", None))
        _log.info("job %s, %s: %s; next try in %.1f s", self.job.id, self.job.state, error, seconds)
        met = self.job.problem
        since = met.since if met is not None else None
        problem = msgspec.structs.replace(problem_of(error), since=since or self.now())
        changes: dict[str, object] = {"attempts": attempts, "problem": problem, **fields}
        return await self.wait(seconds, bought=bought, **changes)


def tell(changed: Changed, after: Job, before: Job | None) -> None:
    """Call a listener, whose fault must not end a paid job."""
    try:
        changed(after, before)
    except Exception:  # noqa: BLE001 - listeners come from plugins, which may raise anything
        _log.exception("a listener failed on job %s", after.id)


def problem_of(error: StembridgeError) -> Problem:
    """Return an error as a job keeps it."""
    return Problem(
        kind=type(error).__name__,
        # Services repeat what they were sent.
        message=redact(error.message),
        remedy=redact(error.remedy),
        exit_code=int(error.exit_code),
    )
