"""The one effect that may cost money, and the search for a job whose answer was lost."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from plugin_core.errors import OutcomeUnknownError, StembridgeError, StoreError, TransientError
from plugin_core.jobs.held import Held, LostError, problem_of
from plugin_core.jobs.settling import fail, fail_unexpected, settle
from plugin_core.model import Bought, JobState, Problem, Ticket

_log = logging.getLogger(__name__)

_LOST = OutcomeUnknownError.__name__
_SAVE_AGAIN_AFTER = 1.0


async def submitting(held: Held) -> bool:
    """Send the paid call if this claim is the one that may; otherwise look for what a call before it made."""
    if not held.is_fresh:
        return await search(held)
    held.is_fresh = False
    return await _submit(held)


async def _submit(held: Held) -> bool:
    absent = False
    held.is_paying = True
    try:
        ticket = await held.work.submit(held.job, held.owner, held.report)
        await _keep(held, ticket)
    except TransientError as error:
        absent = True
        return held.postpone(error, state=JobState.QUEUED, updated=held.now())
    except OutcomeUnknownError as error:
        _log.warning("job %s: %s; looking for it", held.job.id, error)
    except (LostError, StoreError):
        raise
    except StembridgeError as error:
        absent = True
        return await fail(held, error)
    except Exception as error:  # noqa: BLE001 - a provider's defect after the call must not lose what is paid for
        return await _recover(held, error)
    finally:
        held.is_paying = False
        if held.job.state is JobState.SUBMITTING:
            held.store.end_submit(held.job.id, held.owner, absent=absent)
    return True


async def _keep(held: Held, ticket: Ticket) -> None:
    """Store the ticket, whatever happened to the job meanwhile: it is paid for."""
    job = msgspec.structs.replace(held.job, ticket=ticket)
    while True:
        try:
            held.enter(JobState.RUNNING, ticket=ticket)
        except LostError:
            if not held.store.heal(job.id, ticket):
                await _drop_double(held, ticket)
            raise
        except StoreError:
            _log.exception("job %s runs as %r at its service and cannot be stored; trying on", job.id, ticket.remote_id)
            await asyncio.sleep(_SAVE_AGAIN_AFTER)
        else:
            return


async def _drop_double(held: Held, ticket: Ticket) -> None:
    """Cancel a late job at its service, where its row was settled or has another ticket."""
    stored = held.store.find(held.job.id)
    if stored is not None and stored.ticket is not None and stored.ticket.remote_id == ticket.remote_id:
        return
    _log.warning("job %s: cancelling %r, which came too late", held.job.id, ticket.remote_id)
    try:
        await held.work.cancel(msgspec.structs.replace(held.job, ticket=ticket), held.owner)
    except StembridgeError as error:
        _log.warning("job %s: %r may be charged in vain: %s", held.job.id, ticket.remote_id, error)


async def _recover(held: Held, defect: Exception) -> bool:
    """Look once for a job whose provider broke; fail with the defect if it is not seen, since it would break again.

    One look is no proof: a retry begins with another.
    """
    try:
        ticket = await held.work.find(held.job, held.owner)
    except StembridgeError as error:
        _log.warning("job %s: cannot be looked for: %s", held.job.id, error)
        ticket = None
    if ticket is None:
        return await fail_unexpected(held, defect, bought=Bought.MAYBE)
    _log.error("job %s: its provider broke after the call", held.job.id, exc_info=defect)
    await _keep(held, ticket)
    return True


async def search(held: Held) -> bool:
    """Look for a job that may or may not have been made; never send it again before that is sure.

    One that was given up before, as unconfirmed, is sent again by its user's word alone.
    """
    if _is_new(held):
        _begin_search(held)
    try:
        if held.work.account(held.job) != held.job.account:
            # Another account knows nothing of the job, which is no proof that it does not exist.
            return _look_again(held, "it was sent with other keys than those that are set now")
        began = held.now()
        ticket = await held.work.find(held.job, held.owner)
    except TransientError as error:
        return held.postpone(error, problem=held.job.problem or problem_of(error))
    except StembridgeError as error:
        return _look_again(held, error.message)
    except Exception as error:  # noqa: BLE001 - a broken provider must not make a paid job look failed
        _log.exception("job %s: cannot be looked for", held.job.id)
        return _look_again(held, f"{held.job.operation.provider} broke with {type(error).__name__}: {error}")
    if ticket is not None:
        await _keep(held, ticket)
        return True
    # Counted to the start of this look: one that took long saw only what was there when it began.
    age = began - held.job.updated
    if not held.store.is_abandoned(held.job.id, held.owner):
        return _look_again(held, "another process began to submit this job and is frozen")
    if age < held.policy.settle:
        return held.wait(held.policy.settle - age)
    if held.job.cancel:
        return await settle(held, JobState.CANCELLED, bought=Bought.NO)
    if held.job.bought is Bought.MAYBE:
        return _park(held, "the service has no such job", Bought.GONE)
    return _send_anew(held)


def _send_anew(held: Held) -> bool:
    # ``attempts`` stays: a call that fails like this each time is sent at growing distances.
    attempts, state = held.job.attempts, JobState.QUEUED
    seconds = held.policy.backoff.delay(attempts) if attempts else 0.0
    fresh = {"problem": None, "attempts": attempts + 1, "bought": Bought.BY_TICKET}
    return held.wait(seconds, state=state, updated=held.now(), **fresh)


def _is_new(held: Held) -> bool:
    """Tell whether the search begins now; a clock that was put back since is no reason to look for longer."""
    job = held.job
    if job.updated > held.now():
        return True
    # What was put back for another look began with that.
    return job.bought is Bought.BY_TICKET and (job.problem is None or job.problem.kind != _LOST)


def _begin_search(held: Held) -> None:
    """Mark the start of the search, since an upload before it may have taken any time."""
    problem = Problem(kind=_LOST, message="the answer of the service was lost; looking for the job there", exit_code=4)
    held.save(msgspec.structs.replace(held.job, problem=problem, updated=held.now(), progress=None))


def _look_again(held: Held, why: str) -> bool:
    left = held.job.updated + held.policy.search_for - held.now()
    if left > 0:
        attempts = held.job.attempts + 1
        return held.wait(min(held.policy.backoff.delay(attempts), left), attempts=attempts)
    if held.job.bought is Bought.AGAIN:
        return _send_anew(held)
    return _park(held, f"it is not known whether the service took this job: {why}", Bought.MAYBE)


def _park(held: Held, what: str, bought: Bought) -> bool:
    """Leave the job to its user."""
    retry = f"stembridge jobs retry {held.job.id}"
    problem = Problem(
        kind=_LOST,
        message=what,
        remedy=f"`{retry}` looks again; if the service surely has not got it, `{retry} --force` sends it again",
        exit_code=int(OutcomeUnknownError.exit_code),
    )
    parked: dict[str, object] = {"state": JobState.UNCONFIRMED, "updated": held.now(), "progress": None}
    held.save(msgspec.structs.replace(held.job, problem=problem, bought=bought, **parked), release=True)
    return False
