"""One effect of a job's state, and the transition that follows from it."""

from __future__ import annotations

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
from plugin_core.jobs.dedupe import is_forced
from plugin_core.jobs.held import Held, LostError
from plugin_core.jobs.patience import bear, end_vagueness, is_young
from plugin_core.jobs.settling import fail, fail_unexpected, settle
from plugin_core.jobs.submission import begin, search, submitting
from plugin_core.jobs.work import Staged
from plugin_core.model import JobState, Progress, Source, Written, show_path
from plugin_core.protocols import TOLD, Finished, Waiting
from plugin_core.purchases.purchase import Purchase, PurchaseState

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
    except (SourceError, PlacementError) as error:
        if await _is_found(held):
            return True
        return await fail(held, error)
    except (LostError, StoreError):
        raise
    except StembridgeError as error:
        return await fail(held, error)
    except Exception as error:  # noqa: BLE001 - work comes from plugins, which may raise anything
        return await fail_unexpected(held, error)


async def _is_found(held: Held) -> bool:
    """Tell whether a song that is not at its path was found near it, or handed in elsewhere meanwhile."""
    known = held.store.find(held.job.id)
    source = known.source if known is not None and known.source != held.job.source else None
    if source is None:
        try:
            source = await held.work.locate(held.job)
        except StembridgeError as error:
            _log.info("job %s: its song is not looked for: %s", held.job.id, error)
        if source is None:
            return False
        held.store.move(held.job.id, source)
    await follow(held, source)
    return True


async def follow(held: Held, source: Source) -> None:
    """Go on for a song that lies elsewhere by now: its stems go beside it, under its name."""
    job = held.job
    _log.info("job %s: follows its song to %s", job.id, show_path(source.path))
    moved = msgspec.structs.replace(job, source=source)
    if job.state is not JobState.PUBLISHING or (job.target is not None and job.target.exists()):
        held.job = moved
        return
    if job.source.path.name == source.path.name:
        held.save(msgspec.structs.replace(moved, target=None))
        return
    # What is staged has the old name: it is made anew from what was fetched.
    held.save(msgspec.structs.replace(moved, state=JobState.FETCHING, target=None, staged=(), due=held.now()))


async def _queued(held: Held) -> bool:
    if not is_forced(held.job.dedupe) and (twins := held.store.done_like(held.job.dedupe)):
        staged = await held.work.reuse(held.job, twins)
        if staged is not None:
            return _stage(held, staged)
    await held.work.prepare(held.job, held.owner, held.report)
    return await begin(held)


async def _running(held: Held) -> bool:
    try:
        answer = await held.work.poll(held.job, held.owner, held.report)
    except UnchargedError as error:
        return await fail(held, error, bought=held.note_purchase(PurchaseState.CANCELLED, reason=error.message))
    except GoneError as error:
        if is_young(held):
            return _wait_until_known(held)
        return await _lose(held, error)
    except UnclearAnswerError as error:
        return held.postpone(error, bought=bear(held, error.message))
    except RefusedError:
        raise
    except ServiceError as error:
        if not held.job.may_buy:
            raise
        return await _lose(held, error)
    if isinstance(answer, Waiting):
        before = held.job.progress.note if held.job.progress else ""
        if answer.progress.note != before:
            _log.info("job %s: %s says: %s", held.job.id, held.job.operation.provider, answer.progress.note)
        bought = bear(held, answer.unclear) if answer.unclear else end_vagueness(held)
        return held.wait(answer.seconds, bought=bought, progress=answer.progress, attempts=0, problem=None)
    # Work done on this machine is done again when fetching loses it; its failures are counted across both states.
    attempts = 0 if held.work.occupies(held.job) else held.job.attempts
    _log.info("job %s: ready, %d results", held.job.id, len(answer.files) or len(answer.labels))
    ready = _note_ready(held, answer)
    held.enter(JobState.FETCHING, bought=ready, results=answer.files, labels=answer.labels, attempts=attempts)
    return True


def _note_ready(held: Held, answer: Finished) -> Purchase | None:
    purchase = held.purchase
    ended = (purchase.ended if purchase is not None else 0.0) or held.now()
    what = {"results": answer.files, "labels": answer.labels, "kept": (), "unclear_since": 0.0, "ended": ended}
    return held.note_purchase(PurchaseState.READY, **what)


def _wait_until_known(held: Held) -> bool:
    """Ask again for a job that is too new for its service to know it surely."""
    attempts, progress = held.job.attempts + 1, Progress(note="not listed yet")
    return held.wait(held.policy.backoff.delay(attempts), progress=progress, attempts=attempts, problem=None)


async def _lose(held: Held, error: StembridgeError) -> bool:
    """Note that what was paid for is to be had no more; buy it again only if the user said so."""
    purchase = held.purchase
    if purchase is None:
        return await fail(held, error)
    if held.work.has_kept(held.job, purchase):
        held.enter(JobState.FETCHING, results=purchase.results, labels=purchase.labels)
        return True
    if held.work.account(held.job) != purchase.account:
        # Another account knows nothing of it, which is no proof that it is gone.
        other = f"it was bought with other keys than those that are set now: {error.message}"
        return await fail(held, UnresolvedError(other, remedy="set those again"))
    _log.warning("job %s: what was paid for is gone: %s", held.job.id, error.message)
    expired = held.note_purchase(PurchaseState.EXPIRED, reason=error.message, kept=())
    if held.job.may_buy:
        held.enter(JobState.QUEUED, bought=expired, ticket=None, results=(), labels=())
        return True
    return await fail(held, error, bought=expired)


async def _fetching(held: Held) -> bool:
    is_remote = held.work.occupies(held.job)
    try:
        await _bring(held)
        staged = await held.work.fetch(held.job, held.owner, held.report, held.purchase)
    except RefusedError:
        raise
    except (ServiceError, ResultError, SpoiltFileError) as error:
        if not is_remote:
            raise
        if _is_sound(held):
            return await fail(held, error)
        # What came may have been cut, or be an error page: what is paid for is fetched anew.
        await held.work.drop_fetched(held.job)
        if held.job.attempts + 1 < held.policy.fetch_tries:
            return held.postpone(error)
        return await (_lose(held, error) if held.job.may_buy else fail(held, error))
    except TransientError as error:
        if is_remote:
            raise
        return held.postpone(error, state=JobState.RUNNING, updated=held.now())
    kept = held.note_purchase(PurchaseState.KEPT, kept=staged.kept) if is_remote else None
    return _stage(held, staged, kept)


def _is_sound(held: Held) -> bool:
    """Tell whether what lies at home was whole for another job: nothing but the user's word throws it away."""
    purchase = held.purchase
    if purchase is None or purchase.state is not PurchaseState.KEPT or held.job.may_buy:
        return False
    return held.work.has_kept(held.job, purchase)


async def _bring(held: Held) -> None:
    """Have at home what was bought before its song is asked for, which may be gone by now."""
    purchase = held.purchase
    if purchase is None or held.work.has_kept(held.job, purchase):
        return
    kept = await held.work.bring(held.job, held.owner, held.report)
    # Not known to be whole before it is held against the song: until then the service may not forget it.
    held.save(held.job, bought=held.note_purchase(purchase.state, kept=kept))


def _stage(held: Held, staged: Staged, kept: Purchase | None = None) -> bool:
    purchase = held.purchase
    told = purchase.note.get(TOLD, "") if purchase is not None else ""
    notes = tuple(dict.fromkeys(filter(None, (*held.job.notes, told, *staged.notes))))
    held.enter(JobState.PUBLISHING, bought=kept, staged=staged.stems, labels=staged.labels, notes=notes)
    return True


async def _publishing(held: Held) -> bool:
    if held.job.target is None:
        target = await held.work.target(held.job)
        held.save(msgspec.structs.replace(held.job, target=target))
    placed = await held.work.publish(held.job, held.owner)
    _log.info("job %s: placed at %s", held.job.id, held.job.target)
    if isinstance(placed, Written):
        return await settle(held, JobState.DONE, written=placed)
    return await settle(held, JobState.DONE, stems=placed)


def _is_too_late(held: Held) -> bool:
    """Tell whether results may stand beside the source already: then the job is brought to its end."""
    return held.job.state is JobState.PUBLISHING and held.job.target is not None


async def _cancel(held: Held) -> bool:
    if held.job.state is JobState.SUBMITTING and not held.is_fresh:
        return await search(held)
    notes, bought = held.job.notes, None
    if held.is_fresh:
        bought = held.note_purchase(PurchaseState.CANCELLED, reason="it was never sent")
    is_wanted = held.store.is_wanted_elsewhere(held.job)
    if held.is_withdrawn and held.job.state is JobState.FETCHING and not is_wanted:
        return _finish(held, "it is ready there")
    if held.job.state in (JobState.RUNNING, JobState.FETCHING) and not is_wanted:
        try:
            await held.work.cancel(held.job, held.owner)
            # What is ready was charged for, whatever its service says now.
            if held.job.state is JobState.RUNNING:
                bought = held.note_purchase(PurchaseState.CANCELLED, reason="it was cancelled in time")
        except (TransientError, StoreError):
            raise
        except StembridgeError as error:
            if held.is_withdrawn:
                return _finish(held, error.message)
            _log.warning("job %s: cancelled here only: %s", held.job.id, error)
            notes = (*notes, f"cancelled here, but not at the service: {error.message}")
    return await settle(held, JobState.CANCELLED, bought=bought, notes=notes)


def _finish(held: Held, why: str) -> bool:
    """Go on with a job that nobody needs now and whose service gives nothing back: what is paid for is brought home."""
    _log.info("job %s: finished all the same, its service takes nothing back: %s", held.job.id, why)
    held.store.restore(held.job.id)
    return True


_EFFECTS: Final[Mapping[JobState, Callable[[Held], Awaitable[bool]]]] = {
    JobState.QUEUED: _queued,
    JobState.SUBMITTING: submitting,
    JobState.RUNNING: _running,
    JobState.FETCHING: _fetching,
    JobState.PUBLISHING: _publishing,
}
