"""One effect of a job's state, and the transition that follows from it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from plugin_core.errors import (
    GoneError,
    PlacementError,
    RefusedError,
    ResultError,
    ServiceError,
    SourceError,
    SpoiltFileError,
    StembridgeError,
    StoreError,
    TransientError,
    UnchargedError,
    UnclearAnswerError,
    UnresolvedError,
)
from plugin_core.jobs.claim import Claim, LostError, fail, fail_unexpected, settle
from plugin_core.jobs.keys import is_forced
from plugin_core.jobs.submission import begin, search, submitting
from plugin_core.jobs.work import Staged
from plugin_core.model import JobState, Progress, Source, Written, show_path
from plugin_core.protocols import ANSWER, GRACE, TOLD, Finished, Waiting
from plugin_core.purchases.purchase import Purchase, PurchaseState

_log = logging.getLogger(__name__)


async def advance(claim: Claim) -> bool:
    """Do one effect and store what follows; tell whether the next effect can be done at once.

    Raises:
        LostError: the job is no longer ours.
        StoreError: the store cannot be written.
    """
    try:
        if claim.job.cancel and not _is_too_late(claim):
            return await _cancel(claim)
        return await _EFFECTS[claim.job.state](claim)
    except (LostError, StoreError):
        raise
    except StembridgeError as error:
        if isinstance(error, TransientError) or (error.elsewhere and claim.store.paths.is_shared):
            return await claim.postpone(error)
        if isinstance(error, (SourceError, PlacementError)):
            if away := await asyncio.to_thread(claim.store.paths.away_of, claim.job.source.path, claim.job.target):
                trouble = TransientError(f"{show_path(away)} is away, or empty", remedy="mount it again")
                return await claim.postpone(trouble)
            if await _is_found(claim):
                return True
        return await fail(claim, error)
    except Exception as error:  # noqa: BLE001 - work comes from plugins, which may raise anything
        return await fail_unexpected(claim, error)


async def _is_found(claim: Claim) -> bool:
    """Tell whether a song that is not at its path was found near it, or handed in elsewhere meanwhile."""
    known = await claim.ask(claim.store.find, claim.job.id)
    source = known.source if known is not None and known.source != claim.job.source else None
    if source is None:
        try:
            source = await claim.work.locate(claim.job)
        except StembridgeError as error:
            _log.info("job %s: its song is not looked for: %s", claim.job.id, error)
        if source is None:
            return False
        await claim.ask(claim.store.move, claim.job.id, source)
    await follow(claim, source)
    return True


async def follow(claim: Claim, source: Source) -> None:
    """Go on for a song that lies elsewhere by now: its stems go beside it, under its name."""
    job = claim.job
    _log.info("job %s: follows its song to %s", job.id, show_path(source.path))
    moved = msgspec.structs.replace(job, source=source)
    if job.state is not JobState.PUBLISHING or (job.target is not None and job.target.exists()):
        claim.job = moved
        return
    if job.source.path.name == source.path.name:
        await claim.save(msgspec.structs.replace(moved, target=None))
        return
    # What is staged has the old name: it is made anew from what was fetched.
    await claim.save(msgspec.structs.replace(moved, state=JobState.FETCHING, target=None, staged=(), due=claim.now()))


async def _queued(claim: Claim) -> bool:
    if not is_forced(claim.job.dedupe) and (twins := await claim.ask(claim.store.done_like, claim.job.dedupe)):
        staged = await claim.work.reuse(claim.job, twins)
        if staged is not None:
            return await _stage(claim, staged)
    await claim.work.prepare(claim.job, claim.owner, claim.report)
    return await begin(claim)


async def _running(claim: Claim) -> bool:
    try:
        answer = await claim.work.poll(claim.job, claim.owner, claim.report)
    except UnchargedError as error:
        return await fail(claim, error, bought=await claim.note_purchase(PurchaseState.CANCELLED, reason=error.message))
    except GoneError as error:
        if await _is_young(claim):
            return await _wait_until_known(claim)
        return await _lose(claim, error)
    except UnclearAnswerError as error:
        return await claim.postpone(error, bought=await _bear(claim, error.message))
    except RefusedError:
        raise
    except ServiceError as error:
        if not claim.job.may_buy:
            raise
        return await _lose(claim, error)
    if isinstance(answer, Waiting):
        before = claim.job.progress.note if claim.job.progress else ""
        if answer.progress.note != before:
            _log.info("job %s: %s says: %s", claim.job.id, claim.job.operation.provider, answer.progress.note)
        bought = await _bear(claim, answer.unclear) if answer.unclear else await _end_vagueness(claim)
        return await claim.wait(answer.seconds, bought=bought, progress=answer.progress, attempts=0, problem=None)
    # Work done on this machine is done again when fetching loses it; its failures are counted across both states.
    attempts = 0 if claim.work.occupies(claim.job) else claim.job.attempts
    _log.info("job %s: ready, %d results", claim.job.id, len(answer.files) or len(answer.labels))
    ready = await _note_ready(claim, answer)
    await claim.enter(JobState.FETCHING, bought=ready, results=answer.files, labels=answer.labels, attempts=attempts)
    return True


async def _is_young(claim: Claim) -> bool:
    """Tell whether the service took the job so lately that it may not know it everywhere."""
    purchase = await claim.purchase()
    if purchase is None or purchase.ended:
        return False
    # A clock that was set back does not make it young again.
    return abs(claim.now() - purchase.sent) < max(GRACE, claim.register_seconds(purchase))


async def _bear(claim: Claim, said: str) -> Purchase | None:
    """Return what is to be stored of an answer that nobody understands; the network's silence is none.

    Raises:
        UnresolvedError: there was no other for too long. The next look begins anew.
    """
    purchase, now = await claim.purchase(), claim.now()
    if purchase is None:
        return None
    if not purchase.unclear_since:
        return msgspec.structs.replace(purchase, unclear_since=now)
    hours = claim.work.terms(claim.job).unclear_hours
    if now - purchase.unclear_since < hours * 3600:
        return None
    await claim.ask(claim.store.purchases.change, purchase.id, unclear_since=0.0)
    raise UnresolvedError(
        f"{purchase.provider} has said nothing of the job that can be understood for {hours:g} hours, last: {said}",
        remedy="look at the job in the service's console",
    )


async def _end_vagueness(claim: Claim) -> Purchase | None:
    """Return what is to be stored of an answer that was understood."""
    purchase = await claim.purchase()
    if purchase is None or not purchase.unclear_since:
        return None
    return msgspec.structs.replace(purchase, unclear_since=0.0)


async def _note_ready(claim: Claim, answer: Finished) -> Purchase | None:
    purchase = await claim.purchase()
    what: dict[str, object] = {"results": answer.files, "labels": answer.labels, "kept": (), "unclear_since": 0.0}
    what["ended"] = (purchase.ended if purchase is not None else 0.0) or claim.now()
    if purchase is not None and answer.answer:
        what["note"] = {**purchase.note, ANSWER: answer.answer}
    return await claim.note_purchase(PurchaseState.READY, read=purchase, **what)


async def _wait_until_known(claim: Claim) -> bool:
    """Ask again for a job that is too new for its service to know it surely."""
    attempts, progress = claim.job.attempts + 1, Progress(note="not listed yet")
    return await claim.wait(claim.policy.backoff.delay(attempts), progress=progress, attempts=attempts, problem=None)


async def _lose(claim: Claim, error: StembridgeError) -> bool:
    """Note that what was paid for is to be had no more; buy it again only if the user said so."""
    purchase = await claim.purchase()
    if purchase is None:
        return await fail(claim, error)
    if claim.work.has_kept(claim.job, purchase):
        await claim.enter(JobState.FETCHING, results=purchase.results, labels=purchase.labels)
        return True
    if claim.work.account(claim.job) != purchase.account:
        # Another account knows nothing of it, which is no proof that it is gone.
        other = f"it was bought with other keys than those that are set now: {error.message}"
        return await fail(claim, UnresolvedError(other, remedy="set those again"))
    _log.warning("job %s: what was paid for is gone: %s", claim.job.id, error.message)
    expired = await claim.note_purchase(PurchaseState.EXPIRED, reason=error.message, kept=())
    if claim.job.may_buy:
        await claim.enter(JobState.QUEUED, bought=expired, ticket=None, results=(), labels=())
        return True
    return await fail(claim, error, bought=expired)


async def _fetching(claim: Claim) -> bool:
    is_remote = claim.work.occupies(claim.job)
    try:
        purchase = await _bring(claim)
        staged = await claim.work.fetch(claim.job, claim.owner, claim.report, purchase)
    except RefusedError:
        raise
    except (ServiceError, ResultError, SpoiltFileError) as error:
        if not is_remote:
            raise
        if await _is_sound(claim):
            return await fail(claim, error)
        # What came may have been cut, or be an error page: what is paid for is fetched anew.
        await claim.work.drop_fetched(claim.job)
        return await _fetch_anew(claim, error)
    except TransientError as error:
        if is_remote:
            raise
        return await claim.postpone(error, state=JobState.RUNNING, updated=claim.now())
    kept = await claim.note_purchase(PurchaseState.KEPT, spoilt=0) if is_remote else None
    return await _stage(claim, staged, kept)


async def _fetch_anew(claim: Claim, error: StembridgeError) -> bool:
    """Fetch again what was no good, but not for ever; a network that fails meanwhile does not count."""
    purchase = await claim.purchase()
    spoilt = 0 if purchase is None else purchase.spoilt + 1
    if purchase is not None and spoilt < claim.policy.fetch_tries:
        return await claim.postpone(error, bought=await claim.note_purchase(purchase.state, spoilt=spoilt))
    # A retry by its user tries as often again.
    over = None if purchase is None else await claim.note_purchase(purchase.state, spoilt=0)
    if claim.job.may_buy:
        return await _lose(claim, error)
    return await fail(claim, error, bought=over)


async def _is_sound(claim: Claim) -> bool:
    """Tell whether what lies at home was whole for another job: nothing but the user's word throws it away."""
    purchase = await claim.purchase()
    if purchase is None or purchase.state is not PurchaseState.KEPT or claim.job.may_buy:
        return False
    return claim.work.has_kept(claim.job, purchase)


async def _bring(claim: Claim) -> Purchase | None:
    """Have at home what was bought before its song is asked for, which may be gone by now; return it as it is then."""
    purchase = await claim.purchase()
    if purchase is None or claim.work.has_kept(claim.job, purchase):
        return purchase
    kept = await claim.work.bring(claim.job, claim.owner, claim.report)
    # Not known to be whole before it is held against the song: until then the service may not forget it.
    purchase = await claim.note_purchase(purchase.state, kept=kept)
    await claim.save(claim.job, bought=purchase)
    return purchase


async def _stage(claim: Claim, staged: Staged, kept: Purchase | None = None) -> bool:
    purchase = kept or await claim.purchase()
    told = purchase.note.get(TOLD, "") if purchase is not None else ""
    notes = tuple(dict.fromkeys(filter(None, (*claim.job.notes, told, *staged.notes))))
    await claim.enter(
        JobState.PUBLISHING,
        bought=kept,
        staged=staged.stems,
        projects=staged.projects,
        labels=staged.labels,
        notes=notes,
    )
    return True


async def _publishing(claim: Claim) -> bool:
    if claim.job.target is None:
        target = await claim.work.target(claim.job)
        await claim.save(msgspec.structs.replace(claim.job, target=target))
    placed = await claim.work.publish(claim.job, claim.owner)
    _log.info("job %s: placed at %s", claim.job.id, claim.job.target)
    if isinstance(placed, Written):
        return await settle(claim, JobState.DONE, written=placed)
    notes = tuple(dict.fromkeys((*claim.job.notes, *placed.notes)))
    return await settle(claim, JobState.DONE, stems=placed.stems, projects=placed.projects, notes=notes)


def _is_too_late(claim: Claim) -> bool:
    """Tell whether results may stand beside the source already: then the job is brought to its end."""
    return claim.job.state is JobState.PUBLISHING and claim.job.target is not None


async def _cancel(claim: Claim) -> bool:
    if claim.job.state is JobState.SUBMITTING and not claim.is_fresh:
        return await search(claim)
    notes, bought = claim.job.notes, None
    if claim.is_fresh:
        bought = await claim.note_purchase(PurchaseState.CANCELLED, reason="it was never sent")
    is_there = claim.job.state in (JobState.RUNNING, JobState.FETCHING)
    # Every job that is active is looked at for it: of thousands that are cancelled, few are there.
    if is_there and not await claim.ask(claim.store.is_wanted_elsewhere, claim.job):
        if claim.is_withdrawn and claim.job.state is JobState.FETCHING:
            return await _finish(claim, "it is ready there")
        try:
            await claim.work.cancel(claim.job, claim.owner)
            # What is ready was charged for, whatever its service says now.
            if claim.job.state is JobState.RUNNING:
                bought = await claim.note_purchase(PurchaseState.CANCELLED, reason="it was cancelled in time")
        except (TransientError, StoreError):
            raise
        except StembridgeError as error:
            if claim.is_withdrawn:
                return await _finish(claim, error.message)
            _log.warning("job %s: cancelled here only: %s", claim.job.id, error)
            notes = (*notes, f"cancelled here, but not at the service: {error.message}")
    return await settle(claim, JobState.CANCELLED, bought=bought, notes=notes)


async def _finish(claim: Claim, why: str) -> bool:
    """Go on with a job that nobody needs now and whose service gives nothing back: what is paid for is brought home."""
    _log.info("job %s: finished all the same, its service takes nothing back: %s", claim.job.id, why)
    await claim.ask(claim.store.restore, claim.job.id)
    return True


_EFFECTS: Final[Mapping[JobState, Callable[[Claim], Awaitable[bool]]]] = {
    JobState.QUEUED: _queued,
    JobState.SUBMITTING: submitting,
    JobState.RUNNING: _running,
    JobState.FETCHING: _fetching,
    JobState.PUBLISHING: _publishing,
}
