"""Jobs that nobody needs any more: given back where that costs nothing, else finished, so that nothing paid is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import ServiceError, SourceError, TransientError
from plugin_core.jobs.engine import Done, Engine
from plugin_core.jobs.store import JobStore
from plugin_core.model import Job, JobState
from plugin_core.purchases.purchase import KeptPart, PurchaseState
from tests.plugin_core.jobs.fakes import FakeWork, make_job, run

ANY_STORE = True

TOO_LATE = ServiceError("it is being processed")


def begin(engine: Engine, store: JobStore, work: FakeWork, state: JobState = JobState.RUNNING) -> Job:
    """Work on a job until it has reached a state."""
    work.polls = 1 << 30
    job, _ = store.add(make_job())
    while store.get(job.id).state is not state:
        asyncio.run(engine.advance(job.id))
    return job


def test_withdrawn_job_is_given_back_while_the_service_refunds(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job = begin(engine, store, work)
    store.withdraw(job.id)
    run(engine)
    purchase = store.purchases.find(store.get(job.id).purchase)
    assert store.get(job.id).state is JobState.CANCELLED
    assert purchase is not None and purchase.state is PurchaseState.CANCELLED
    assert len(work.service.lines("cancels")) == 1


def test_withdrawn_job_is_finished_once_the_service_refuses(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job = begin(engine, store, work)
    store.withdraw(job.id)
    work.fail("cancel", [TOO_LATE])
    work.polls = 1
    # It goes on in the same step.
    assert isinstance(asyncio.run(engine.advance(job.id)), Done)
    assert store.get(job.id).state is JobState.DONE
    assert work.calls.count("cancel") == 1
    assert work.service.lines("cancels") == []


def test_the_users_own_word_to_cancel_goes_before(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job = begin(engine, store, work)
    store.request_cancel(job.id)
    store.withdraw(job.id)
    work.fail("cancel", [TOO_LATE])
    run(engine)
    purchase = store.purchases.find(store.get(job.id).purchase)
    assert store.get(job.id).state is JobState.CANCELLED
    assert purchase is not None and purchase.state is PurchaseState.RUNNING


def test_a_cancel_comes_too_late_once_stems_may_stand(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job, _ = store.add(make_job())

    def cancel() -> None:
        store.request_cancel(job.id)
        raise TransientError("the share is away")

    work.fail("publish", [cancel])
    run(engine)
    assert store.get(job.id).state is JobState.DONE
    assert work.calls.count("publish") == 2


def test_withdrawn_job_that_nobody_has_begun_costs_nothing(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job, _ = store.add(make_job())
    store.withdraw(job.id)
    run(engine)
    assert store.get(job.id).state is JobState.CANCELLED
    assert work.service.lines("creates") == []


def test_withdrawn_job_goes_on_for_a_song_that_is_handed_in_again(
    engine: Engine, store: JobStore, work: FakeWork
) -> None:
    job = begin(engine, store, work)
    store.withdraw(job.id)
    again = make_job()
    moved = msgspec.structs.replace(again, source=msgspec.structs.replace(again.source, path=Path("/music/there.wav")))
    joined, is_new = store.add(moved, is_gone=lambda _path: True)
    work.polls = 1
    run(engine)
    assert (joined.id, is_new, joined.cancel) == (job.id, False, False)
    assert store.get(job.id).state is JobState.DONE
    assert "cancel" not in work.calls


@pytest.mark.parametrize("is_withdrawn", [True, False])
def test_what_is_ready_is_brought_home_also_when_its_song_is_gone(
    engine: Engine, store: JobStore, work: FakeWork, monkeypatch: pytest.MonkeyPatch, is_withdrawn: bool
) -> None:
    """Not released at the service, since it was never held against the song."""
    kept = (KeptPart(stem="vocals", label="Vocals", name="part-0.flac", size=1),)

    async def bring(*_: object) -> tuple[KeptPart, ...]:
        return kept

    job = begin(engine, store, work)
    monkeypatch.setattr(work, "bring", bring)
    work.fail("cancel", [TOO_LATE])
    work.fail("fetch", [SourceError("the song is gone")])
    work.polls = 1
    if is_withdrawn:
        store.withdraw(job.id)
    run(engine)
    failed = store.get(job.id)
    purchase = store.purchases.find(failed.purchase)
    assert failed.state is JobState.FAILED
    assert purchase is not None and (purchase.state, purchase.kept) == (PurchaseState.READY, kept)
    assert work.service.lines("released") == []
    store.retry(job.id)
    run(engine)
    assert store.get(job.id).state is JobState.DONE
    assert len(work.service.lines("creates")) == 1
