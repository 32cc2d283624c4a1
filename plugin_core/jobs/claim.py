"""A job in the hands of one step: its present state, the only way to change it, and its end.

At its end a job is settled in the store first, then its leftovers are removed. What is paid for stays with the job's
purchase, so that a retry begins at ``queued`` and finds it there: running at its service, ready, or kept at home. Stems
that were finished and could not be placed wait in staging, and go on from ``publishing``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from plugin_core.errors import (
    BoughtBeforeError,
    PlacementError,
    PluginError,
    RefusedError,
    ResultError,
    ServiceError,
    SpoiltFileError,
    StembridgeError,
    UnchargedError,
)
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


_AT_SERVICE = frozenset({JobState.RUNNING, JobState.FETCHING})
_OVER = frozenset({PurchaseState.KEPT, PurchaseState.CANCELLED, PurchaseState.EXPIRED})


async def settle(claim: Claim, state: JobState, *, bought: Purchase | None = None, **fields: object) -> bool:
    """Store the end of the job and remove its leftovers; tell that there is nothing more to do."""
    ended: dict[str, object] = {"problem": None, "progress": None, **fields}
    await claim.save(msgspec.structs.replace(claim.job, state=state, updated=claim.now(), **ended), bought=bought)
    await discard(claim.store, claim.work, claim.job, claim.owner)
    return False


async def fail(claim: Claim, error: StembridgeError, *, bought: Purchase | None = None) -> bool:
    """Settle the job as failed; what is paid for stays with its purchase, what is staged is kept for a retry."""
    problem = _explain(claim, error, bought or await claim.purchase())
    if claim.job.state is not JobState.PUBLISHING or isinstance(error, ResultError):
        return await settle(claim, JobState.FAILED, bought=bought, problem=problem)
    ended = msgspec.structs.replace(
        claim.job,
        state=JobState.FAILED,
        updated=claim.now(),
        progress=None,
        problem=explain_retrying(problem_of(error), error, claim.job.id),
        resume=JobState.PUBLISHING,
    )
    await claim.save(ended, release=True, bought=bought)
    return False


def _explain(claim: Claim, error: StembridgeError, purchase: Purchase | None) -> Problem:
    """Say what a retry goes on from, and what only the user's word buys again."""
    problem = problem_of(error)
    is_paid = purchase is not None and purchase.state is not PurchaseState.CANCELLED
    if isinstance(error, BoughtBeforeError) or (is_paid and is_about_result(error) and claim.job.state in _AT_SERVICE):
        return explain_loss(problem, claim.job.id)
    return explain_retrying(problem, error, claim.job.id) if is_paid else problem


async def fail_unexpected(claim: Claim, defect: Exception, *, bought: Purchase | None = None) -> bool:
    """Settle the job as failed by a defect; its traceback goes to the log only."""
    _log.error("job %s: unexpected error in %s", claim.job.id, claim.job.state, exc_info=defect)
    what = f"{claim.job.operation.provider} broke with {type(defect).__name__}: {defect}"
    return await fail(claim, PluginError(what, remedy="report it with the log; see `stembridge doctor`"), bought=bought)


async def discard(store: JobStore, work: Work, job: Job, owner: str | None) -> bool:
    """Remove what a settled job left; what fails is logged and tried again another day."""
    purchase = await store.ask(store.purchases.find, job.purchase) if job.purchase else None
    # What is not home yet, or may not exist, must stay where it can be found.
    is_over = purchase is None or purchase.state in _OVER
    try:
        await work.discard(job, release=is_over)
        is_forgotten = is_over and work.terms(job).forgets
    except StembridgeError as error:
        # What the job failed of hinders its cleaning as well, and is said already.
        is_said = job.problem is not None and job.problem.kind == type(error).__name__
        _log.log(logging.INFO if is_said else logging.WARNING, "job %s: leftovers stay for now: %s", job.id, error)
    except Exception:  # noqa: BLE001 - a job that is done must not fail over its leftovers
        _log.exception("job %s: leftovers stay for now", job.id)
    else:
        await store.ask(store.clean, job.id, owner)
        if purchase is not None and is_forgotten and not purchase.is_released:
            await store.ask(store.purchases.change, purchase.id, is_released=True)
        return True
    return False


def explain_retrying(problem: Problem, error: StembridgeError, job_id: str) -> Problem:
    """Say in a problem's remedy that a retry goes on without buying again."""
    # Another place would be another job.
    first = "put that right" if isinstance(error, PlacementError) else problem.remedy or "put that right"
    remedy = f"{first}, then `stembridge jobs retry {job_id}`: what is done is kept, nothing is bought again"
    return msgspec.structs.replace(problem, remedy=remedy)


def is_about_result(error: StembridgeError) -> bool:
    """Tell whether an error says that a result is gone or no good, and not that something else is in its way."""
    about = (ServiceError, ResultError, SpoiltFileError, BoughtBeforeError)
    return isinstance(error, about) and not isinstance(error, (RefusedError, UnchargedError))


def explain_loss(problem: Problem, job_id: str) -> Problem:
    """Say in a problem's remedy that a retry looks again, and what buys anew."""
    again = f"`stembridge jobs retry {job_id}` looks again, with --force it is bought again if need be"
    remedy = f"{problem.remedy}; {again}" if problem.remedy else again
    return msgspec.structs.replace(problem, remedy=remedy, needs_word=True)
