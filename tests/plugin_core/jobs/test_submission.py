"""The paid call: its answer may be lost, late or in vain, and it is sent but once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from plugin_core.errors import (
    OutcomeUnknownError,
    TransientError,
)
from plugin_core.jobs.engine import Engine
from plugin_core.jobs.store import JobStore, Place
from plugin_core.model import Job, JobState, Quote, Ticket
from plugin_core.purchases.ledger import Limits, Spending
from plugin_core.purchases.purchase import PurchaseState
from tests.plugin_core.jobs.conftest import FAST, Heard, Ticks
from tests.plugin_core.jobs.fakes import PATIENCE, FakeWork, make_job, run

ANY_STORE = True


@pytest.fixture
def store(store_place: Place) -> Iterator[JobStore]:
    """A store whose time does not depend on the machine: what a search may take counts here."""
    with JobStore(store_place, clock=Ticks()) as opened:
        yield opened


@pytest.mark.parametrize("charged", [True, False], ids=["charged", "not charged"])
def test_lost_answer_is_looked_for(engine: Engine, store: JobStore, work: FakeWork, charged: bool) -> None:
    job, _ = store.add(make_job())
    work.fail("late_submit" if charged else "submit", [OutcomeUnknownError("timeout")])
    run(engine)
    assert store.get(job.id).state is JobState.DONE
    assert work.service.lines("creates") == [job.id]
    # Absence is believed only when seen twice.
    assert work.calls.count("find") == (1 if charged else 2)


def test_one_long_look_does_not_count_as_two(engine: Engine, store: JobStore, work: FakeWork) -> None:
    """The list it read may be as old as its beginning, when the service had not made the job yet."""
    store.add(make_job())
    work.fail("submit", [OutcomeUnknownError("timeout")])
    work.fail("find", [lambda: [store.clock() for _ in range(10_000)]])
    run(engine)
    assert work.calls.count("find") == 2


def test_unknowable_outcome_becomes_unconfirmed(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job, _ = store.add(make_job())
    work.knows_absence = False
    work.fail("submit", [OutcomeUnknownError("timeout")])
    run(engine)
    parked = store.get(job.id)
    assert parked.state is JobState.UNCONFIRMED and parked.problem is not None
    assert parked.problem.exit_code == 4
    assert f"stembridge jobs retry {job.id}" in parked.problem.remedy
    assert work.calls.count("find") > 1 and work.calls.count("submit") == 1 and "discard" not in work.calls
    store.retry(job.id)
    run(engine)
    assert (store.get(job.id).state, work.calls.count("submit")) == (JobState.UNCONFIRMED, 1)
    # The user's word sends it again, under a name of its own: the first may be there all the same.
    store.retry(job.id, force=True)
    run(engine)
    done = store.get(job.id)
    assert done.state is JobState.DONE and work.service.lines("creates") == [done.purchase] != [job.id]
    assert store.purchases.get(job.id).state is PurchaseState.UNKNOWN


def test_another_account_is_not_asked_for_a_lost_job(engine: Engine, store: JobStore, work: FakeWork) -> None:
    """It would not know the job, and the job would be paid for twice."""
    job, _ = store.add(make_job())

    def log_in_anew(name: str, _job: Job) -> None:
        work.keys = "other" if name == "submit" else work.keys

    work.on_call = log_in_anew
    work.fail("late_submit", [OutcomeUnknownError("timeout")])
    run(engine)
    parked = store.get(job.id)
    assert (parked.state, work.calls.count("find")) == (JobState.UNCONFIRMED, 0)
    assert parked.problem is not None and "other keys" in parked.problem.message
    assert work.service.lines("creates") == [job.id]


def test_lost_answer_is_looked_for_with_the_keys_it_was_sent_with(
    engine: Engine, store: JobStore, work: FakeWork
) -> None:
    job, _ = store.add(make_job())
    work.keys = "renewed before it was sent"
    work.fail("late_submit", [OutcomeUnknownError("timeout")])
    run(engine)
    assert (store.get(job.id).state, store.get(job.id).account) == (JobState.DONE, work.keys)
    assert work.service.lines("creates") == [job.id]


def test_search_outlives_transient_errors(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job, _ = store.add(make_job())
    work.fail("late_submit", [OutcomeUnknownError("timeout")])
    work.fail("find", [TransientError("offline")] * 5)
    run(engine)
    assert store.get(job.id).state is JobState.DONE
    assert work.service.lines("creates") == [job.id]


def test_broken_provider_does_not_lose_a_paid_job(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job, _ = store.add(make_job())
    work.fail("late_submit", [KeyError("hash")])
    run(engine)
    assert store.get(job.id).state is JobState.DONE
    assert work.service.lines("creates") == [job.id]


def test_broken_provider_is_not_asked_for_ever(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job, _ = store.add(make_job())
    work.fail("submit", [KeyError("hash")])
    run(engine)
    assert store.get(job.id).state is JobState.FAILED
    assert work.calls.count("submit") == 1


def test_stop_lets_a_paid_call_come_home(store: JobStore, work: FakeWork, heard: Heard) -> None:
    engine = Engine(store, lambda job: work, heard, clock=store.clock, policy=replace(FAST, grace=PATIENCE))
    job, _ = store.add(make_job())
    stop = asyncio.Event()

    async def answer_late() -> None:
        stop.set()
        await asyncio.sleep(0.05)

    work.fail("late_submit", [answer_late])
    asyncio.run(asyncio.wait_for(engine.run(stop=stop), PATIENCE))
    stored = store.get(job.id)
    assert stored.ticket is not None and stored.state is JobState.RUNNING


def test_late_answer_heals_a_parked_job(engine: Engine, store: JobStore, store_place: Place, work: FakeWork) -> None:
    job, _ = store.add(make_job())

    def take_away() -> None:
        # As if this process had been frozen past its lease, and another had given the job up.
        with JobStore(store_place, clock=lambda: store.clock() + 3600) as other:
            owner = other.new_owner()
            found = other.claim(owner, ids=None, slots={})
            assert found is not None and found.state is JobState.SUBMITTING
            assert not other.is_abandoned(job.id, owner)
            parked = msgspec.structs.replace(found, state=JobState.UNCONFIRMED)
            assert other.save(found, parked, owner, True)

    async def stay(job_id: str) -> None:
        take_away()
        await asyncio.sleep(0.1)

    work.fail("late_submit", [lambda: stay(job.id)])
    run(engine)
    run(engine)
    assert store.get(job.id).state is JobState.DONE
    assert work.service.lines("creates") == [job.id]


def test_a_call_that_a_frozen_process_may_still_send_is_not_sent_by_another(
    engine: Engine, store: JobStore, store_place: Place, work: FakeWork, heard: Heard
) -> None:
    """It is not found, however long another process looks: it is given up there, and comes home when that thaws."""
    job, _ = store.add(make_job())
    elsewhere: list[JobState] = []

    async def search_elsewhere(job_id: str) -> None:
        with JobStore(store_place, clock=lambda: store.clock() + 3600) as other:
            searching = Engine(other, lambda job: work, heard, clock=other.clock, policy=FAST)
            await asyncio.wait_for(searching.run([job_id]), PATIENCE)
            elsewhere.append(other.get(job_id).state)

    work.fail("submit", [lambda: search_elsewhere(job.id)])
    run(engine)
    run(engine)
    assert (elsewhere, store.get(job.id).state) == ([JobState.UNCONFIRMED], JobState.DONE)
    assert work.service.lines("creates") == [job.id]


def test_an_engine_on_this_machine_is_told_again_though_another_process_may_thaw(
    store_place: Place, work: FakeWork, heard: Heard
) -> None:
    """It takes no money: to look for it, and to give it up as unconfirmed, would leave the song undone for nothing."""
    work.is_remote = False
    elsewhere: list[JobState] = []

    async def work_elsewhere(job_id: str) -> None:
        with JobStore(store_place, clock=lambda: time.time() + 3600) as other:
            working = Engine(other, lambda job: work, heard, clock=other.clock, policy=FAST)
            await asyncio.wait_for(working.run([job_id]), PATIENCE)
            elsewhere.append(other.get(job_id).state)

    def freeze(job_id: str) -> None:
        # While it lasts nothing of this process moves, its signs of life among it.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: asyncio.run(work_elsewhere(job_id))).result()

    # On a clock that only looks move, a busy machine would have the other's lease end as well.
    with JobStore(store_place) as store:
        job, _ = store.add(make_job(), occupies=False)
        work.fail("submit", [lambda: freeze(job.id)])
        run(Engine(store, lambda job: work, heard, policy=FAST))
        assert (elsewhere, store.get(job.id).state) == ([JobState.DONE], JobState.DONE)
    assert "find" not in work.calls and "cancel" not in work.calls


def test_job_that_was_lost_before_its_call_is_sent_again(store: JobStore, store_place: Place, work: FakeWork) -> None:
    job, _ = store.add(make_job())
    taken: list[Job] = []

    def take_away(after: Job, _before: Job | None) -> None:
        # As if this process had been frozen between its word that it would send the call and the call.
        if after.state is not JobState.SUBMITTING or taken:
            return
        with JobStore(store_place, clock=lambda: store.clock() + 3600) as other:
            owner = other.new_owner()
            found = other.claim(owner, ids=None, slots={})
            assert found is not None
            taken.append(msgspec.structs.replace(found, state=JobState.UNCONFIRMED))
            assert other.save(found, taken[0], owner, True)

    run(Engine(store, lambda job: work, take_away, clock=store.clock, policy=FAST))
    assert taken
    assert store.get(job.id).state is JobState.DONE
    assert work.service.lines("creates") == [job.id]


def test_intent_that_a_server_kept_and_did_not_tell_of_is_followed_by_one_call(
    engine: Engine, store: JobStore, work: FakeWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, kept = store.save, list[bool]()

    def save_twice(*arguments: Any, **options: Any) -> bool:
        done = save(*arguments, **options)
        if arguments[1].state is JobState.SUBMITTING and not kept:
            kept.append(done)
            # Its answer was lost with the server, and it is begun anew.
            return save(*arguments, **options)
        return done

    monkeypatch.setattr(store, "save", save_twice)
    job, _ = store.add(make_job())
    run(engine)
    assert kept == [True]
    assert store.get(job.id).state is JobState.DONE
    assert work.service.lines("creates") == [job.id]


@pytest.mark.parametrize("state", [JobState.CANCELLED, JobState.RUNNING], ids=str)
def test_answer_that_comes_too_late_is_cancelled_at_the_service(
    engine: Engine, store: JobStore, store_place: Place, work: FakeWork, state: JobState
) -> None:
    job, _ = store.add(make_job())
    other_ticket = Ticket(remote_id="another") if state is JobState.RUNNING else None

    def take_away() -> None:
        with JobStore(store_place, clock=lambda: store.clock() + 3600) as other:
            owner = other.new_owner()
            found = other.claim(owner, ids=None, slots={})
            assert found is not None
            moved = msgspec.structs.replace(found, state=state, ticket=other_ticket)
            assert other.save(found, moved, owner, True)

    work.fail("late_submit", [take_away])
    run(engine)
    assert work.service.lines("cancels") == [f"remote-{job.id}"]


def test_a_clock_that_is_put_back_during_the_search_does_not_prolong_it(store_place: Place, work: FakeWork) -> None:
    ticks, ahead = Ticks(), [86_400.0]
    with JobStore(store_place, clock=lambda: ticks() + ahead[0]) as store:
        job, _ = store.add(make_job())
        work.fail("submit", [OutcomeUnknownError("timeout")])
        work.fail("find", [lambda: ahead.__setitem__(0, 0.0)])
        run(Engine(store, lambda job: work, lambda *_: None, clock=store.clock, policy=FAST))
        assert store.get(job.id).state is JobState.DONE
        assert work.service.lines("creates") == [job.id]


def test_a_limit_of_the_users_own_refuses_before_the_call_and_leaves_no_purchase(
    store: JobStore, work: FakeWork, heard: Heard
) -> None:
    def limited(run: float) -> Engine:
        guard = Spending(lambda _provider: Limits(run=run), store.clock).check
        return Engine(store, lambda _job: work, heard, clock=store.clock, policy=FAST, guard=guard)

    quote = Quote(sent={"model": "large"}, credits=4.0)
    first, second = (
        store.add(msgspec.structs.replace(make_job(number), quote=quote, recording=f"r{number}"))[0]
        for number in (1, 2)
    )
    run(limited(7.0))
    failed = store.get(second.id)
    assert store.get(first.id).state is JobState.DONE and failed.state is JobState.FAILED
    assert failed.problem is not None and failed.problem.exit_code == 3 and "[spend.fake] run" in failed.problem.message
    assert work.service.lines("creates") == [first.id] == [one.id for one in store.purchases.list()]
    store.retry(second.id)
    run(limited(8.0))
    assert store.get(second.id).state is JobState.DONE
    assert work.service.lines("creates") == [first.id, second.id]
