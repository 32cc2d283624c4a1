"""The end of a job: settled in the store first, then its leftovers removed."""

from __future__ import annotations

import logging

import msgspec

from plugin_core.errors import PluginError, StembridgeError, UnchargedError
from plugin_core.jobs.held import Held, problem_of
from plugin_core.jobs.resuming import empty, explain_loss, explain_resuming, is_lost, resume_state
from plugin_core.jobs.store import JobStore
from plugin_core.jobs.work import Work
from plugin_core.model import Bought, Job, JobState

_log = logging.getLogger(__name__)


async def settle(held: Held, state: JobState, **fields: object) -> bool:
    """Store the end of the job and remove its leftovers; tell that there is nothing more to do."""
    ended: dict[str, object] = {"problem": None, "progress": None, **fields}
    held.save(msgspec.structs.replace(held.job, state=state, updated=held.now(), **ended))
    await discard(held.store, held.work, held.job, held.owner)
    return False


async def fail(held: Held, error: StembridgeError, *, bought: Bought = Bought.BY_TICKET) -> bool:
    """Settle the job as failed; what can still be used is kept for a retry. With the user's word it is bought anew.

    Args:
        held: the job.
        error: why it fails.
        bought: what is known of its purchase, where the ticket does not say it.
    """
    job, problem = held.job, problem_of(error)
    is_bought = job.ticket is not None and held.work.occupies(job)
    is_gone = is_bought and is_lost(job.state, error)
    if is_gone and job.bought is Bought.AGAIN:
        return buy_again(held)
    resume = resume_state(job.state, error, is_bought=is_bought)
    if resume is None:
        bought = Bought.NO if isinstance(error, UnchargedError) else bought
        return await settle(held, JobState.FAILED, problem=problem, bought=bought)
    problem = explain_loss(problem, job.id) if is_gone else explain_resuming(problem, error, job.id)
    bought = Bought.GONE if is_gone else Bought.BY_TICKET
    ended = msgspec.structs.replace(
        job, state=JobState.FAILED, updated=held.now(), progress=None, problem=problem, resume=resume, bought=bought
    )
    held.save(ended, release=True)
    return False


def buy_again(held: Held) -> bool:
    """Let a job start anew by its user's word, which is used up by that."""
    held.job = empty(held.job)
    held.enter(JobState.QUEUED, bought=Bought.BY_TICKET, refetches=0)
    return True


async def fail_unexpected(held: Held, defect: Exception, *, bought: Bought = Bought.BY_TICKET) -> bool:
    """Settle the job as failed by a defect; its traceback goes to the log only."""
    _log.error("job %s: unexpected error in %s", held.job.id, held.job.state, exc_info=defect)
    what = f"{held.job.operation.provider} broke with {type(defect).__name__}: {defect}"
    error = PluginError(what, remedy="report it with the log; see `stembridge doctor`")
    return await fail(held, error, bought=bought)


async def discard(store: JobStore, work: Work, job: Job, owner: str | None) -> bool:
    """Remove what a settled job left; what fails is logged and tried again another day."""
    try:
        await work.discard(job)
    except StembridgeError as error:
        # What the job failed of hinders its cleaning as well, and is said already.
        is_said = job.problem is not None and job.problem.kind == type(error).__name__
        _log.log(logging.INFO if is_said else logging.WARNING, "job %s: leftovers stay for now: %s", job.id, error)
    except Exception:  # noqa: BLE001 - a job that is done must not fail over its leftovers
        _log.exception("job %s: leftovers stay for now", job.id)
    else:
        store.clean(job.id, owner)
        return True
    if owner is not None:
        store.release(job.id, owner)
    return False
