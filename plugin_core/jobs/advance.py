"""One effect of a job's state, and the transition that follows from it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from plugin_core.errors import StembridgeError, StoreError, TransientError
from plugin_core.jobs.dedupe import is_forced
from plugin_core.jobs.held import Held, LostError, problem_of
from plugin_core.jobs.resuming import is_about_result
from plugin_core.jobs.settling import fail, fail_unexpected, settle
from plugin_core.jobs.submission import search, submitting
from plugin_core.jobs.work import Staged
from plugin_core.model import Bought, JobState, Written
from plugin_core.protocols import Waiting

_log = logging.getLogger(__name__)


async def advance(held: Held) -> bool:
    """Do one effect and store what follows; tell whether the next effect can be done at once.

    Raises:
        LostError: the job is no longer ours.
        StoreError: the store cannot be written.
    """
    try:
        if held.job.cancel and not _is_too_late(held):
            return await _cancel(held)
        return await _EFFECTS[held.job.state](held)
    except TransientError as error:
        return held.postpone(error)
    except (LostError, StoreError):
        raise
    except StembridgeError as error:
        return await fail(held, error)
    except Exception as error:  # noqa: BLE001 - work comes from plugins, which may raise anything
        return await fail_unexpected(held, error)


async def _queued(held: Held) -> bool:
    twin = None if is_forced(held.job.dedupe) else held.store.find_done(held.job.dedupe)
    if twin is not None:
        staged = await held.work.reuse(held.job, twin)
        if staged is not None:
            return _stage(held, staged)
    await held.work.prepare(held.job, held.owner, held.report)
    # Whose keys are used now is where a lost answer has to be looked for.
    account = held.work.account(held.job)
    held.enter(JobState.SUBMITTING, attempts=held.job.attempts, account=account, bought=Bought.BY_TICKET)
    held.is_fresh = True
    return True


async def _running(held: Held) -> bool:
    answer = await held.work.poll(held.job, held.owner, held.report)
    if isinstance(answer, Waiting):
        return held.wait(answer.seconds, progress=answer.progress, attempts=0, problem=None)
    # Work done on this machine is done again when fetching loses it; its failures are counted across both states.
    attempts = 0 if held.work.occupies(held.job) else held.job.attempts
    held.enter(JobState.FETCHING, results=answer.files, labels=answer.labels, attempts=attempts)
    return True


async def _fetching(held: Held) -> bool:
    try:
        staged = await held.work.fetch(held.job, held.owner, held.report)
    except StembridgeError as error:
        if is_about_result(error) and held.work.occupies(held.job):
            return await _fetch_again(held, error)
        if not isinstance(error, TransientError) or held.work.occupies(held.job):
            raise
        return held.postpone(error, state=JobState.RUNNING, updated=held.now())
    return _stage(held, staged)


async def _fetch_again(held: Held, error: StembridgeError) -> bool:
    """Ask the service once more for results that were no good; a few times, since they are paid for."""
    tried = held.job.refetches + 1
    if tried > held.policy.refetches:
        return await fail(held, error)
    _log.info("job %s: fetched again after %s", held.job.id, error)
    problem, state = problem_of(error), JobState.RUNNING
    seconds = held.policy.backoff.delay(tried)
    return held.wait(seconds, state=state, updated=held.now(), refetches=tried, attempts=0, problem=problem)


def _stage(held: Held, staged: Staged) -> bool:
    notes = tuple(dict.fromkeys((*held.job.notes, *staged.notes)))
    held.enter(JobState.PUBLISHING, staged=staged.stems, labels=staged.labels, notes=notes)
    return True


async def _publishing(held: Held) -> bool:
    if held.job.target is None:
        target = await held.work.target(held.job)
        held.save(msgspec.structs.replace(held.job, target=target))
    placed = await held.work.publish(held.job, held.owner)
    if isinstance(placed, Written):
        return await settle(held, JobState.DONE, written=placed)
    return await settle(held, JobState.DONE, stems=placed)


def _is_too_late(held: Held) -> bool:
    """Tell whether results may stand beside the source already: then the job is brought to its end."""
    return held.job.state is JobState.PUBLISHING and held.job.target is not None


async def _cancel(held: Held) -> bool:
    if held.job.state is JobState.SUBMITTING and not held.is_fresh:
        return await search(held)
    if held.job.state not in (JobState.RUNNING, JobState.FETCHING):
        return await settle(held, JobState.CANCELLED)
    try:
        await held.work.cancel(held.job, held.owner)
    except (TransientError, StoreError):
        raise
    except StembridgeError as error:
        _log.warning("job %s: cancelled here only: %s", held.job.id, error)
        notes = (*held.job.notes, f"cancelled here, but not at the service: {error.message}")
        return await settle(held, JobState.CANCELLED, notes=notes)
    return await settle(held, JobState.CANCELLED, bought=Bought.NO)


_EFFECTS: Final[Mapping[JobState, Callable[[Held], Awaitable[bool]]]] = {
    JobState.QUEUED: _queued,
    JobState.SUBMITTING: submitting,
    JobState.RUNNING: _running,
    JobState.FETCHING: _fetching,
    JobState.PUBLISHING: _publishing,
}
