"""The end of a job: settled in the store first, then its leftovers removed.

What is paid for stays with the job's purchase, so that a retry begins at ``queued`` and finds it there: running at its
service, ready, or kept at home. Stems that were finished and could not be placed wait in staging, and go on from
``publishing``.
"""

from __future__ import annotations

import logging

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
from plugin_core.jobs.claim import Claim, problem_of
from plugin_core.jobs.store import JobStore
from plugin_core.jobs.work import Work
from plugin_core.model import Job, JobState, Problem
from plugin_core.purchases.purchase import Purchase, PurchaseState

_log = logging.getLogger(__name__)

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
    if owner is not None:
        await store.ask(store.release, job.id, owner)
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
