"""The life of a job under an engine, with everything that can go wrong in it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import (
    RefusedError,
    ServiceError,
    SettingsError,
    SourceError,
    StembridgeError,
    TransientError,
)
from plugin_core.jobs.engine import Done, Engine, JobSet, Slots, Wait
from plugin_core.jobs.keys import forced_key
from plugin_core.jobs.policy import Policy
from plugin_core.jobs.queue import Beat, ClaimState
from plugin_core.jobs.store import JobStore, Place
from plugin_core.jobs.work import Staged
from plugin_core.model import Job, JobState, Progress, Ticket
from plugin_core.protocols import Finished, Report, Waiting
from tests.plugin_core.jobs.conftest import FAST, Heard
from tests.plugin_core.jobs.fakes import PATIENCE, FakeWork, Service, make_job, make_stem, run


def test_job_goes_through_every_state(engine: Engine, store: JobStore, work: FakeWork, heard: Heard) -> None:
    job, _ = store.add(make_job())
    run(engine)
    done = store.get(job.id)
    assert heard.states == ["submitting", "running", "fetching", "publishing", "done"]
    assert work.calls == ["prepare", "submit", "poll", "fetch", "target", "publish", "discard"]
    assert (done.stems, done.notes, done.problem) == ((make_stem(job),), ("treated",), None)
    assert done.target == Path(f"/music/{job.id}.stems")
    assert store.leftovers() == []


def test_a_clock_that_is_put_back_makes_no_limit_young() -> None:
    now, asked = [7000.0], []

    class Counted(FakeWork):
        async def slots(self, job: Job) -> int:
            asked.append(job.account)
            return 3

    async def ask(work: Counted) -> None:
        limits = Slots(lambda _: work, lambda: now[0], Policy(), lambda: None)
        for ahead, count in ((0.0, 1), (1.0, 1), (-3000.0, 2), (-2990.0, 2), (0.0, 3)):
            now[0] = 7000.0 + ahead
            assert list((await limits.of(make_job())).values()) == [3]
            assert len(asked) == count

    asyncio.run(ask(Counted(Service(Path("nowhere")))))


@pytest.mark.parametrize("fault", [None, RefusedError("token revoked")], ids=["told", "unknown"])
def test_a_limit_is_asked_for_again_when_it_is_old_and_not_before(work: FakeWork, fault: Exception | None) -> None:
    now, answered = [7000.0], asyncio.Event()

    async def look() -> list[bool]:
        limits, job = Slots(lambda _: work, lambda: now[0], Policy(slots_for=10.0), answered.set), make_job()
        asked = []
        for seconds in (0.0, 9.0, 2.0):
            now[0] += seconds
            answered.clear()
            limits.current([job])
            await asyncio.gather(*limits._asking.values())
            asked.append(answered.is_set())
            assert limits.current([job]) == {job.account: 1}
        return asked

    work.limit = 0
    work.fail("slots", [fault, fault])
    assert asyncio.run(look()) == [True, False, True]


def test_a_link_that_an_error_repeats_is_not_kept(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job, _ = store.add(make_job())
    work.fail("poll", [ServiceError("cannot read https://x/?q-ak=AKID&q-signature=0123", remedy="see token=abcd")])
    run(engine)
    problem = store.get(job.id).problem
    assert problem is not None
    assert problem.message == "cannot read https://x/?q-ak=********&q-signature=********"
    assert problem.remedy.startswith("see token=********; ")


def test_each_state_is_stored_before_its_effect(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job, _ = store.add(make_job())
    seen: list[tuple[str, str]] = []
    work.on_call = lambda name, _: seen.append((name, store.get(job.id).state.value))
    run(engine)
    assert dict(seen) == {
        "prepare": "queued",
        "submit": "submitting",
        "poll": "running",
        "fetch": "fetching",
        "target": "publishing",
        "publish": "publishing",
        "discard": "done",
    }


@pytest.mark.parametrize("method", ["prepare", "submit", "poll", "fetch", "target", "publish"])
def test_transient_errors_pass(engine: Engine, store: JobStore, work: FakeWork, method: str) -> None:
    job, _ = store.add(make_job())
    work.fail(method, [TransientError("the share is gone"), TransientError("again", retry_after=0.01)])
    run(engine)
    assert store.get(job.id).state is JobState.DONE
    assert work.calls.count(method) == 3
    assert len(work.service.lines("creates")) == 1


def test_waiting_job_says_why(engine: Engine, store: JobStore, work: FakeWork, heard: Heard) -> None:
    store.add(make_job())
    work.fail("prepare", [TransientError("disk full", remedy="free some space")])
    run(engine)
    problems = [job.problem for job, _ in heard.changes if job.problem]
    assert [(problem.kind, problem.message, problem.remedy) for problem in problems] == [
        ("TransientError", "disk full", "free some space")
    ]


def test_a_trouble_begins_with_its_first_try_and_again_after_a_success(
    engine: Engine, store: JobStore, work: FakeWork, heard: Heard
) -> None:
    job, _ = store.add(make_job())
    work.fail("prepare", [TransientError("away"), TransientError("still away")])
    work.fail("poll", [TransientError("away once more")])
    run(engine)
    first, second, third = [after.problem for after, _ in heard.changes if after.problem]
    assert first.since == second.since
    assert first.since is not None and third.since is not None
    assert job.created <= first.since < third.since


@pytest.mark.parametrize("method", ["prepare", "submit", "poll", "fetch", "publish"])
@pytest.mark.parametrize("error", [ServiceError("too long", remedy="cut it"), SourceError("changed")], ids=repr)
def test_permanent_errors_fail_at_once(
    engine: Engine, store: JobStore, work: FakeWork, method: str, error: StembridgeError
) -> None:
    job, _ = store.add(make_job())
    is_fetched_again = method == "fetch" and isinstance(error, ServiceError)
    work.fail(method, [error] * (FAST.fetch_tries if is_fetched_again else 1))
    run(engine)
    failed = store.get(job.id)
    assert failed.state is JobState.FAILED and failed.problem is not None
    assert (failed.problem.kind, failed.problem.message) == (type(error).__name__, error.message)
    assert failed.problem.exit_code == error.exit_code
    assert ("discard" in work.calls) == (failed.resume is None)


def test_unexpected_error_names_its_type_and_hides_the_traceback(
    engine: Engine, store: JobStore, work: FakeWork, caplog: pytest.LogCaptureFixture
) -> None:
    job, _ = store.add(make_job())
    work.fail("poll", [KeyError("status")])
    run(engine)
    problem = store.get(job.id).problem
    assert problem is not None and problem.kind == "PluginError" and "KeyError" in problem.message
    assert "Traceback" in caplog.text and "Traceback" not in problem.message


def test_local_work_is_done_again_when_its_files_are_gone(engine: Engine, store: JobStore, work: FakeWork) -> None:
    work.is_remote = False
    job, _ = store.add(make_job())
    work.fail("fetch", [TransientError("staging is gone")])
    run(engine)
    assert store.get(job.id).state is JobState.DONE
    assert work.calls.count("poll") == 2


def test_same_content_is_bought_once(engine: Engine, store: JobStore, work: FakeWork) -> None:
    first, _ = store.add(make_job(1))
    twin, is_new = store.add(make_job(1, path=Path("/music/copy.wav")))
    work.reusable = Staged(stems=(make_stem(first),))
    assert is_new
    run(engine)
    assert store.get(twin.id).state is JobState.DONE and store.get(twin.id).stems == (make_stem(first),)
    assert work.service.lines("creates") == [first.id]


def test_a_forced_job_is_bought_whatever_there_is(engine: Engine, store: JobStore, work: FakeWork) -> None:
    first, _ = store.add(make_job(1))
    run(engine)
    work.reusable = Staged(stems=(make_stem(first),))
    second, _ = store.add(msgspec.structs.replace(make_job(1), dedupe=forced_key(first.dedupe)))
    run(engine)
    assert work.service.lines("creates") == [first.id, second.id]


@pytest.mark.parametrize("where", ["kept at home", "at the service"])
def test_stems_that_are_gone_come_from_what_was_bought(
    engine: Engine, store: JobStore, work: FakeWork, where: str
) -> None:
    first, _ = store.add(make_job(1))
    run(engine)
    if where == "at the service":
        work.kept.clear()
    polls = work.calls.count("poll")
    second, _ = store.add(make_job(1))
    run(engine)
    assert store.get(second.id).state is JobState.DONE and store.get(second.id).purchase == first.id
    assert work.calls.count("poll") == polls + (where == "at the service")
    assert work.service.lines("creates") == [first.id]


@pytest.mark.parametrize("state", ["prepare", "submit", "poll", "fetch"])
def test_cancel_ends_the_running_effect(engine: Engine, store: JobStore, work: FakeWork, state: str) -> None:
    job, _ = store.add(make_job())

    async def hang() -> None:
        store.request_cancel(job.id)
        await asyncio.Event().wait()

    work.fail("late_submit" if state == "submit" else state, [hang])
    run(engine)
    assert store.get(job.id).state is JobState.CANCELLED
    cancelled = [] if state == "prepare" else [f"remote-{job.id}"]
    assert work.service.lines("cancels") == cancelled
    assert work.calls[-1] == "discard"


def test_cancel_before_the_call_was_sent_costs_nothing(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job, _ = store.add(make_job())

    async def hang() -> None:
        store.request_cancel(job.id)
        await asyncio.Event().wait()

    work.fail("submit", [hang])
    run(engine)
    assert store.get(job.id).state is JobState.CANCELLED
    assert work.service.lines("creates") == [] and work.service.lines("cancels") == []


def test_queued_job_is_cancelled_without_a_slot(engine: Engine, store: JobStore, work: FakeWork) -> None:
    work.limit = 1
    first, _ = store.add(make_job(1))
    second, _ = store.add(make_job(2))
    store.request_cancel(second.id)
    run(engine, [second.id])
    assert store.get(second.id).state is JobState.CANCELLED
    assert store.get(first.id).state is JobState.QUEUED
    assert work.calls == ["discard"]


def test_cancel_after_the_target_was_chosen_comes_too_late(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job, _ = store.add(make_job())
    work.fail("publish", [lambda: store.request_cancel(job.id)])
    run(engine)
    assert store.get(job.id).state is JobState.DONE
    assert "cancel" not in work.calls


def test_service_that_cannot_cancel_is_quoted(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job, _ = store.add(make_job())
    work.fail("poll", [lambda: store.request_cancel(job.id), TransientError("not reached")])
    work.polls = 5
    work.fail("cancel", [TransientError("offline"), ServiceError("already in progress")])
    run(engine)
    cancelled = store.get(job.id)
    assert cancelled.state is JobState.CANCELLED
    assert "already in progress" in cancelled.notes[-1]
    assert work.calls.count("cancel") == 2


def test_failed_tidying_never_fails_the_job_and_is_repeated(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job, _ = store.add(make_job())
    work.fail("discard", [TransientError("share gone"), OSError("busy")])
    run(engine)
    assert store.get(job.id).state is JobState.DONE
    assert [left.id for left in store.leftovers()] == [job.id]
    assert store.prune(-1) == 0
    assert asyncio.run(engine.discard_leftovers()) == 0
    assert asyncio.run(engine.discard_leftovers()) == 1
    assert store.prune(-1) == 1


def test_progress_is_told_and_throttled(store: JobStore, work: FakeWork, heard: Heard) -> None:
    class Chatty(FakeWork):
        async def poll(self, job: Job, attempt: str, report: Report) -> Waiting | Finished:
            for number in range(2000):
                report(Progress(fraction=number / 2000))
                if number % 100 == 0:
                    await asyncio.sleep(0.002)
            while store.get(job.id).progress != Progress(fraction=1999 / 2000):  # noqa: ASYNC110 - a store has no event
                await asyncio.sleep(0.005)
            return Finished()

    job, _ = store.add(make_job())
    begun = time.monotonic()
    run(Engine(store, lambda job: Chatty(work.service), heard, policy=FAST))
    # A machine that takes longer has time for more.
    most = 1 + (time.monotonic() - begun) / FAST.progress_every
    fractions = [after.progress.fraction for after, _ in heard.changes if after.progress]
    assert fractions[-1] == 1999 / 2000 and 1 <= len(fractions) <= most
    assert store.get(job.id).progress is None


def test_progress_of_all_steps_is_stored_at_once(
    store: JobStore, work: FakeWork, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, beats = [store.add(make_job(number))[0] for number in range(4)], list[set[str]]()
    beat = store.heartbeat

    def heartbeat(those: Sequence[Beat]) -> list[ClaimState]:
        beats.append({one.job_id for one in those if one.progress is not None})
        return beat(those)

    monkeypatch.setattr(store, "heartbeat", heartbeat)

    class Chatty(FakeWork):
        async def poll(self, job: Job, attempt: str, report: Report) -> Waiting | Finished:
            await all_at_work.wait()
            report(Progress(fraction=0.5))
            while store.get(job.id).progress is None:  # noqa: ASYNC110 - a store has no event
                await asyncio.sleep(0.005)
            return Finished()

    all_at_work = asyncio.Barrier(len(jobs))
    run(Engine(store, lambda job: Chatty(work.service), heard, policy=FAST))
    assert max(map(len, beats)) > 1
    assert {after.id for after, _ in heard.changes if after.progress} == {job.id for job in jobs}


def test_slots_limit_jobs_alive_at_the_service(store: JobStore, work: FakeWork, heard: Heard) -> None:
    work.limit, work.polls = 2, 3
    jobs = [store.add(make_job(number))[0] for number in range(6)]
    alive: list[int] = []

    def count(name: str, job: Job) -> None:
        held = (JobState.SUBMITTING, JobState.RUNNING, JobState.FETCHING)
        alive.append(len(store.list(held)))

    work.on_call = count
    run(Engine(store, lambda job: work, heard, policy=FAST))
    assert max(alive) == 2
    assert [store.get(job.id).state for job in jobs] == [JobState.DONE] * 6


def test_unknown_slots_count_as_one(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job, _ = store.add(make_job())
    work.fail("slots", [RefusedError("token revoked")])
    work.fail("prepare", [RefusedError("token revoked")])
    run(engine)
    problem = store.get(job.id).problem
    assert problem is not None and problem.message == "token revoked"


def test_a_question_still_out_ends_with_the_run(engine: Engine, store: JobStore, work: FakeWork) -> None:
    store.add(make_job())
    ended: list[str] = []

    async def ask_for_ever() -> None:
        stop.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("question")

    async def leave() -> None:
        await engine.run(stop=stop)
        await asyncio.sleep(0)
        ended.append("loop")

    stop = asyncio.Event()
    work.fail("slots", [ask_for_ever])
    asyncio.run(leave())
    assert ended == ["question", "loop"]


def test_jobs_added_meanwhile_are_noticed(engine: Engine, store: JobStore, store_place: Place, work: FakeWork) -> None:
    store.add(make_job(1))
    added: list[Job] = []

    def add() -> None:
        with JobStore(store_place) as other:
            added.append(other.add(make_job(2))[0])

    work.fail("fetch", [add])
    run(engine)
    assert store.get(added[0].id).state is JobState.DONE


def test_run_leaves_other_jobs_alone(engine: Engine, store: JobStore) -> None:
    own, _ = store.add(make_job(1))
    other, _ = store.add(make_job(2))
    run(engine, [own.id])
    assert (store.get(own.id).state, store.get(other.id).state) == (JobState.DONE, JobState.QUEUED)


def test_run_brings_home_what_holds_the_slot(engine: Engine, store: JobStore, work: FakeWork) -> None:
    work.limit = 1
    holder, _ = store.add(make_job(1))
    owner = store.new_owner()
    claimed = store.claim(owner, ids=None, slots={"fake": 1})
    assert claimed is not None
    running = msgspec.structs.replace(claimed, state=JobState.RUNNING, ticket=Ticket(remote_id="r"))
    assert store.save(claimed, running, owner, True)
    own, _ = store.add(make_job(2))
    run(engine, [own.id])
    assert [store.get(job.id).state for job in (holder, own)] == [JobState.DONE] * 2


@pytest.mark.parametrize("how", ["stop", "cancel"])
@pytest.mark.parametrize("method", ["prepare", "poll", "fetch"])
def test_stopped_jobs_can_be_resumed_at_once(
    engine: Engine, store: JobStore, store_place: Place, work: FakeWork, how: str, method: str
) -> None:
    job, _ = store.add(make_job())
    stop, entered = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        entered.set()
        await asyncio.Event().wait()

    async def main() -> None:
        running = asyncio.create_task(engine.run(stop=stop))
        await entered.wait()
        if how == "stop":
            stop.set()
            await asyncio.wait_for(running, PATIENCE)
        else:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(running, PATIENCE)

    work.fail(method, [hang])
    asyncio.run(main())
    assert store.get(job.id).state.is_active
    with JobStore(store_place) as other:
        claimed = other.claim(other.new_owner(), ids=None, slots={"fake": 8})
        assert claimed is not None and claimed.id == job.id


def test_lost_job_is_dropped(engine: Engine, store: JobStore, store_place: Place, work: FakeWork) -> None:
    job, _ = store.add(make_job())

    async def lose() -> None:
        with JobStore(store_place, clock=lambda: store.clock() + 3600) as other:
            owner = other.new_owner()
            found = other.claim(owner, ids=None, slots={})
            assert found is not None
            other.save(found, msgspec.structs.replace(found, state=JobState.FAILED), owner, True)
        await asyncio.Event().wait()

    work.fail("fetch", [lose])
    run(engine)
    assert store.get(job.id).state is JobState.FAILED and "publish" not in work.calls


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (SettingsError("no such provider"), "SettingsError", "no such provider"),
        (KeyError("key"), "PluginError", "fake broke with KeyError: 'key'"),
    ],
    ids=["missing", "broken"],
)
@pytest.mark.parametrize(
    ("started", "state"), [(False, JobState.FAILED), (True, JobState.RUNNING)], ids=["queued", "paid for"]
)
def test_missing_provider(
    store: JobStore,
    work: FakeWork,
    heard: Heard,
    started: bool,
    state: JobState,
    error: Exception,
    kind: str,
    said: str,
) -> None:
    job, _ = store.add(make_job())
    if started:
        owner = store.new_owner()
        claimed = store.claim(owner, ids=None, slots={"fake": 1})
        assert claimed is not None
        assert store.save(claimed, msgspec.structs.replace(claimed, state=JobState.RUNNING), owner, True)

    def missing(job: Job) -> FakeWork:
        raise error

    async def once() -> Done | Wait:
        return await Engine(store, missing, heard).advance(job.id)

    began = store.clock()
    asyncio.run(once())
    stored = store.get(job.id)
    assert stored.state is state and stored.problem is not None
    assert (stored.problem.kind, stored.problem.message) == (kind, said)
    assert stored.attempts == int(started) and (stored.due > began) is started
    assert heard.states == [state.value]


def test_advance_does_what_a_job_waits_for(engine: Engine, store: JobStore, work: FakeWork) -> None:
    """Nobody else works on the older job of the same wish, which goes first."""
    older, _ = store.add(make_job(1))
    younger, _ = store.add(make_job(1, path=Path("/music/copy.wav")))

    async def drive() -> None:
        for _ in range(50):
            answer = await engine.advance(younger.id)
            if isinstance(answer, Done):
                return
        raise AssertionError("it waits for ever")

    asyncio.run(asyncio.wait_for(drive(), 20))
    assert store.get(older.id).state is store.get(younger.id).state is JobState.DONE
    assert work.service.lines("creates") == [older.id]


def test_advance_is_the_seam_for_other_engines(engine: Engine, store: JobStore, work: FakeWork) -> None:
    work.polls = 3
    job, _ = store.add(make_job())

    async def drive(advance: Callable[[str], Awaitable[Done | Wait]]) -> tuple[int, Job]:
        waits = 0
        while isinstance(answer := await advance(job.id), Wait):
            waits += 1
            assert answer.seconds <= 0.01, "longer than the service asked for"
            await asyncio.sleep(answer.seconds)
        return waits, answer.job

    waits, done = asyncio.run(asyncio.wait_for(drive(engine.advance), PATIENCE))
    assert waits == 2 and done.state is JobState.DONE


def test_failing_listener_harms_nobody(store: JobStore, work: FakeWork, caplog: pytest.LogCaptureFixture) -> None:
    def broken(job: Job, previous: Job | None) -> None:
        raise RuntimeError("listener")

    caplog.set_level(logging.CRITICAL, logger="asyncio")
    job, _ = store.add(make_job())
    run(Engine(store, lambda job: work, broken, policy=FAST))
    assert store.get(job.id).state is JobState.DONE


def test_ids_stay_the_same_object_until_something_changes() -> None:
    jobs = JobSet()
    jobs.add("a")
    before = jobs.ids
    jobs.add("a")
    jobs.discard("b")
    assert jobs.ids is before
    jobs.add("b")
    assert jobs.ids == {"a", "b"}
    jobs.discard("a")
    assert jobs.ids == {"b"}


def test_additions_are_told() -> None:
    jobs = JobSet()
    told: list[str] = []
    jobs.on_change = lambda: told.append("!")
    jobs.add("a")
    jobs.add("a")
    jobs.discard("a")
    assert told == ["!"]
