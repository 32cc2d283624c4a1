"""The one effect that may cost money, what goes before it, and the search for a job whose answer was lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial

import msgspec

from plugin_core.errors import (
    BoughtBeforeError,
    OutcomeUnknownError,
    StembridgeError,
    StoreError,
    TransientError,
    UsageError,
)
from plugin_core.files.database import new_id
from plugin_core.jobs.claim import Claim, LostError, fail, fail_unexpected, settle
from plugin_core.jobs.keys import base_key, forced_key, is_forced
from plugin_core.model import Job, JobState, Problem, Quote, Separation, Ticket
from plugin_core.purchases.purchase import Purchase, PurchaseState, describe_time, purchase_key

_log = logging.getLogger(__name__)

_LOST = OutcomeUnknownError.__name__
_SAVE_AGAIN_AFTER = 1.0
_NEVER_MADE = "it never reached the service"


async def begin(claim: Claim) -> bool:
    """Go on from what was bought for this wish before; buy what never was, or at the user's word.

    Raises:
        BoughtBeforeError: it was bought, its results are gone, and there is no such word.
        LimitReachedError: the user's own limit.
    """
    # Whose keys are used now is where a lost answer has to be looked for.
    account = claim.work.account(claim.job)
    if not claim.work.occupies(claim.job):
        await claim.enter(JobState.SUBMITTING, attempts=claim.job.attempts, account=account)
        claim.is_fresh = True
        return True
    ids = await claim.ask(claim.store.recordings_of, claim.job.recording) if claim.job.quote is not None else []
    earlier = await _earlier(claim, account, ids)
    if earlier is not None and earlier.state is PurchaseState.EXPIRED and claim.job.may_buy:
        # The user's word is that it is bought anew.
        earlier = None
    if account != claim.job.account and (earlier is None or earlier.id != claim.job.purchase):
        return await _change_account(claim, account, _key(claim.job, account, ids))
    if earlier is None:
        _require_wish(claim)
        return await _buy(claim, _key(claim.job, account, ids), account)
    if earlier.state is PurchaseState.EXPIRED and not _may_be_there(claim.job, earlier):
        raise BoughtBeforeError(describe_earlier(earlier))
    return await _go_on(claim, earlier)


async def _change_account(claim: Claim, account: str, key: str) -> bool:
    """Queue a job anew for an account whose keys were set since: for its slots, and behind its like."""
    _log.info("job %s: goes to account %s, whose keys are set now", claim.job.id, account)
    dedupe = forced_key(key) if is_forced(claim.job.dedupe) else key
    return await claim.wait(0.0, account=account, dedupe=dedupe)


def _may_be_there(job: Job, purchase: Purchase) -> bool:
    """Tell whether a retry asks again for what was said to be gone: services err, and asking costs nothing."""
    return purchase.id == job.purchase and purchase.ticket is not None and not purchase.is_released


def describe_earlier(purchase: Purchase) -> str:
    """Say when and for how much something was bought whose results are gone."""
    why = purchase.reason or f"{purchase.provider} keeps the results no longer"
    return f"this was bought {describe_time(purchase)}, and {why}"


def _require_wish(claim: Claim) -> None:
    """Make sure that it is known what is to be bought: a job that takes over what was made elsewhere buys nothing.

    Raises:
        UsageError: it is not.
    """
    job = claim.job
    if isinstance(job.operation, Separation) and job.quote is not None and not job.quote.sent:
        raise UsageError(
            f"what was made elsewhere is to be had no more from {job.operation.provider}",
            remedy="`stembridge separate` buys it",
        )


def _key(job: Job, account: str, ids: Sequence[str]) -> str:
    """Return the key that a purchase gets; ``ids`` are those of the job's recording."""
    if job.quote is None:
        return base_key(job.dedupe)
    return purchase_key(job.operation.provider, account, ids[0], job.quote)


async def _earlier(claim: Claim, account: str, ids: Sequence[str]) -> Purchase | None:
    """Return the purchase to go on from: the job's own, else any that serves unless it is to be bought anew."""
    own = await claim.purchase()
    if own is not None and own.state is PurchaseState.CANCELLED:
        own = None
    if is_forced(claim.job.dedupe) or (own is not None and own.state is not PurchaseState.EXPIRED):
        return own
    # One that is gone may have been bought again for another job.
    job, ledger = claim.job, claim.store.purchases
    if job.quote is None:
        return await claim.ask(ledger.serving, [base_key(job.dedupe)], Quote()) or own
    is_here = partial(claim.work.has_kept, job)
    serving = await claim.ask(ledger.serving_wish, job.operation.provider, account, ids, job.quote, is_here)
    return serving or own


async def _buy(claim: Claim, key: str, account: str) -> bool:
    """Commit the purchase and the state before its paid call."""
    job, now = claim.job, claim.now()
    known = await claim.ask(claim.store.purchases.find, job.id)
    # A call that made nothing may be sent again under its name; what a service has seen once it must not see again.
    is_unused = known is None or (known.state is PurchaseState.CANCELLED and known.ticket is None)
    purchase = Purchase(
        id=job.id if is_unused else new_id(claim.store.clock),
        key=key,
        state=PurchaseState.INTENT,
        provider=job.operation.provider,
        account=account,
        recording=job.recording,
        quote=await claim.work.quote(job),
        song=job.source.path,
        created=now,
        updated=now,
        register_seconds=claim.work.terms(job).register_seconds,
    )
    try:
        await claim.enter(
            JobState.SUBMITTING,
            bought=purchase,
            purchase=purchase.id,
            attempts=job.attempts,
            account=account,
            may_buy=False,
        )
    except LostError:
        # A server may have kept it and crashed before it said so: then the job waits for a call that is never sent.
        claim.is_fresh = True
        raise
    claim.is_fresh = True
    price = "at no known price" if purchase.quote.credits is None else f"for about {purchase.quote.credits:g} credits"
    sent = {**purchase.quote.sent, "output": purchase.quote.output}
    _log.info("job %s: sent to %s as %s %s: %s", job.id, purchase.provider, purchase.id, price, sent)
    return True


async def _go_on(claim: Claim, purchase: Purchase) -> bool:
    """Take up a purchase where it is; nothing is sent that may cost money."""
    state = JobState.RUNNING
    if purchase.state.is_open:
        state = JobState.SUBMITTING
    elif claim.work.has_kept(claim.job, purchase):
        state = JobState.FETCHING
    _log.info("job %s: goes on from purchase %s, %s", claim.job.id, purchase.id, purchase.state)
    await claim.enter(
        state,
        purchase=purchase.id,
        account=purchase.account,
        ticket=purchase.ticket,
        results=purchase.results,
        labels=purchase.labels,
    )
    return True


async def submitting(claim: Claim) -> bool:
    """Send the paid call if this claim is the one that may; otherwise look for what a call before it made.

    An engine on this machine takes no money and leaves nothing behind a dead process: it is simply told again.
    """
    if not claim.is_fresh and claim.work.occupies(claim.job):
        return await search(claim)
    claim.is_fresh = False
    return await _submit(claim)


async def _submit(claim: Claim) -> bool:
    absent = False
    claim.is_paying = True
    try:
        ticket = await claim.work.submit(claim.job, claim.owner, claim.report)
        await _keep(claim, ticket)
    except TransientError as error:
        absent = True
        never = await claim.note_purchase(PurchaseState.CANCELLED, reason=_NEVER_MADE)
        return await claim.postpone(error, bought=never, state=JobState.QUEUED, updated=claim.now())
    except OutcomeUnknownError as error:
        _log.warning("job %s: %s; looking for it", claim.job.id, error)
    except (LostError, StoreError):
        raise
    except StembridgeError as error:
        absent = True
        return await fail(claim, error, bought=await claim.note_purchase(PurchaseState.CANCELLED, reason=error.message))
    except Exception as error:  # noqa: BLE001 - a provider's defect after the call must not lose what is paid for
        return await _recover(claim, error)
    finally:
        claim.is_paying = False
        if claim.job.state is JobState.SUBMITTING:
            await claim.ask(claim.store.end_submit, claim.job.id, claim.owner, absent=absent)
    return True


async def _keep(claim: Claim, ticket: Ticket) -> None:
    """Store the ticket, whatever happened to the job meanwhile: it is paid for."""
    job = msgspec.structs.replace(claim.job, ticket=ticket)
    while True:
        try:
            running = await claim.note_purchase(PurchaseState.RUNNING, ticket=ticket, sent=claim.now())
            await claim.enter(JobState.RUNNING, bought=running, ticket=ticket)
        except LostError:
            if not await claim.ask(claim.store.heal, job.id, job.purchase, ticket):
                await _drop_double(claim, ticket)
            raise
        except StoreError:
            _log.exception("job %s runs as %r at its service and cannot be stored; trying on", job.id, ticket.remote_id)
            await asyncio.sleep(_SAVE_AGAIN_AFTER)
        else:
            _log.info("job %s: the service has it as %r", job.id, ticket.remote_id)
            return


async def _drop_double(claim: Claim, ticket: Ticket) -> None:
    """Cancel a late job at its service, where its row was settled or has another ticket."""
    stored = await claim.ask(claim.store.find, claim.job.id)
    if stored is not None and stored.ticket is not None and stored.ticket.remote_id == ticket.remote_id:
        return
    _log.warning("job %s: cancelling %r, which came too late", claim.job.id, ticket.remote_id)
    try:
        await claim.work.cancel(msgspec.structs.replace(claim.job, ticket=ticket), claim.owner)
    except StembridgeError as error:
        _log.warning("job %s: %r may be charged: %s", claim.job.id, ticket.remote_id, error)
        return
    purchase = await claim.purchase()
    if purchase is not None and purchase.ticket is not None and purchase.ticket.remote_id == ticket.remote_id:
        over = {"state": PurchaseState.CANCELLED, "reason": "it was cancelled in time"}
        await claim.ask(claim.store.purchases.change, purchase.id, **over)


async def _recover(claim: Claim, defect: Exception) -> bool:
    """Look once for a job whose provider broke; fail with the defect if it is not seen, since it would break again."""
    try:
        ticket = await claim.work.find(claim.job, claim.owner)
    except StembridgeError as error:
        _log.warning("job %s: cannot be looked for: %s", claim.job.id, error)
        ticket = None
    if ticket is None:
        return await fail_unexpected(claim, defect, bought=await claim.note_purchase(PurchaseState.UNKNOWN))
    _log.error("job %s: its provider broke after the call", claim.job.id, exc_info=defect)
    await _keep(claim, ticket)
    return True


async def search(claim: Claim) -> bool:
    """Look for a job that may or may not have been made; never send it again before that is sure."""
    purchase = await claim.purchase()
    was_given_up = purchase is not None and purchase.state is PurchaseState.UNKNOWN
    if _is_begun_now(claim, was_given_up=was_given_up):
        await _begin_search(claim, was_given_up=was_given_up)
    try:
        if claim.work.account(claim.job) != claim.job.account:
            # Another account knows nothing of the job, which is no proof that it does not exist.
            return await _look_again(claim, "it was sent with other keys than those that are set now")
        began = claim.now()
        ticket = await claim.work.find(claim.job, claim.owner)
        may_come = ticket is None and await _may_be_missed(claim, began)
    except TransientError as error:
        return await claim.postpone(error, problem=claim.job.problem)
    except StembridgeError as error:
        if was_given_up and claim.job.may_buy:
            # The user's word: what may have been bought stays on record, beside what is bought now.
            ids = await claim.ask(claim.store.recordings_of, claim.job.recording)
            return await _buy(claim, _key(claim.job, claim.job.account, ids), claim.job.account)
        return await _look_again(claim, error.message)
    except Exception as error:  # noqa: BLE001 - a broken provider must not make a paid job look failed
        _log.exception("job %s: cannot be looked for", claim.job.id)
        return await _look_again(claim, f"{claim.job.operation.provider} broke with {type(error).__name__}: {error}")
    if ticket is not None:
        await _keep(claim, ticket)
        return True
    # Counted to the start of this look: one that took long saw only what was there when it began.
    age = began - claim.job.updated
    if not await claim.ask(claim.store.is_abandoned, claim.job.id, claim.owner):
        return await _look_again(claim, "another process began to submit this job and is frozen")
    if may_come:
        return await _look_again(claim, "the service lists no such job yet")
    if age < claim.policy.settle:
        return await claim.wait(claim.policy.settle - age)
    if claim.job.cancel:
        return await settle(
            claim, JobState.CANCELLED, bought=await claim.note_purchase(PurchaseState.CANCELLED, reason=_NEVER_MADE)
        )
    if was_given_up and not claim.job.may_buy:
        return await _give_up(claim, "the service has no such job", is_absent=True)
    # ``attempts`` stays: a call that fails like this each time is sent at growing distances.
    seconds = claim.policy.backoff.delay(claim.job.attempts) if claim.job.attempts else 0.0
    return await claim.wait(
        seconds,
        bought=await claim.note_purchase(PurchaseState.CANCELLED, reason=_NEVER_MADE),
        state=JobState.QUEUED,
        updated=claim.now(),
        problem=None,
        attempts=claim.job.attempts + 1,
    )


async def _may_be_missed(claim: Claim, looked_at: float) -> bool:
    """Tell whether a job that was not listed at a time may be listed yet."""
    purchase = await claim.purchase()
    if purchase is None:
        return False
    return looked_at - (purchase.looked_since or looked_at) < claim.register_seconds(purchase)


def _is_begun_now(claim: Claim, *, was_given_up: bool) -> bool:
    """Tell whether the search begins now; a clock that was set since is no reason to look for longer, nor less long."""
    job = claim.job
    if not claim.store.leapt <= job.updated <= claim.now():
        return True
    # What is looked for once more began with that.
    return not was_given_up and (job.problem is None or job.problem.kind != _LOST)


async def _begin_search(claim: Claim, *, was_given_up: bool) -> None:
    """Mark the start of the search, since an upload before it may have taken any time."""
    problem = Problem(kind=_LOST, message="the answer of the service was lost; looking for the job there", exit_code=4)
    now, earlier = claim.now(), await claim.purchase()
    after = msgspec.structs.replace(claim.job, problem=problem, updated=now, progress=None)
    state = PurchaseState.UNKNOWN if was_given_up else PurchaseState.SENT
    since = earlier.looked_since if earlier is not None else 0.0
    # A clock that was set since, back or ahead, begins it anew.
    if not since or not claim.store.leapt <= since <= now:
        since = now
    await claim.save(after, bought=await claim.note_purchase(state, looked_since=since))


async def _look_again(claim: Claim, why: str) -> bool:
    left = claim.job.updated + claim.policy.search_for - claim.now()
    if left > 0:
        attempts = claim.job.attempts + 1
        return await claim.wait(min(claim.policy.backoff.delay(attempts), left), attempts=attempts)
    return await _give_up(claim, why)


async def _give_up(claim: Claim, why: str, *, is_absent: bool = False) -> bool:
    """Leave the job to its user."""
    retry = f"stembridge jobs retry {claim.job.id}"
    problem = Problem(
        kind=_LOST,
        message=why if is_absent else f"it is not known whether the service took this job: {why}",
        remedy=f"`{retry}` looks again; if the service surely has not got it, `{retry} --force` sends it again",
        exit_code=int(OutcomeUnknownError.exit_code),
        needs_word=is_absent,
    )
    after = msgspec.structs.replace(
        claim.job, state=JobState.UNCONFIRMED, updated=claim.now(), problem=problem, progress=None
    )
    await claim.save(after, release=True, bought=await claim.note_purchase(PurchaseState.UNKNOWN))
    return False
