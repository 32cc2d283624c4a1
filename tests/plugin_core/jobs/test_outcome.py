"""What a failure keeps, and where a retry goes on: nothing that is paid for is bought again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import (
    GoneError,
    OutcomeUnknownError,
    PlacementError,
    PluginError,
    RefusedError,
    ResultError,
    ServiceError,
    SourceError,
    TransientError,
    UnchargedError,
    UsageError,
)
from plugin_core.jobs.changes import give_up_old
from plugin_core.jobs.engine import Engine
from plugin_core.jobs.store import JobStore
from plugin_core.model import Job, JobState
from plugin_core.purchases.purchase import PurchaseState
from tests.plugin_core.jobs.conftest import FAST
from tests.plugin_core.jobs.fakes import FakeWork, make_job, make_stem
from tests.plugin_core.jobs.test_engine import run

RUNNING, FETCHING, PUBLISHING = JobState.RUNNING, JobState.FETCHING, JobState.PUBLISHING
METHODS = {RUNNING: "poll", FETCHING: "fetch", PUBLISHING: "publish"}
ANYTHING = (
    PlacementError("read-only", remedy="choose another place with --to FOLDER"),
    RefusedError("log in again", remedy="stembridge login"),
    SourceError("moved"),
    PluginError("broke"),
    ServiceError("odd words"),
    KeyError("defect"),
)


def fail(engine: Engine, store: JobStore, work: FakeWork, method: str, error: BaseException) -> Job:
    """Let a job fail in one method, however often it is tried."""
    job, _ = store.add(make_job())
    work.fail(method, [error] * FAST.fetch_tries)
    run(engine)
    failed = store.get(job.id)
    assert failed.state is JobState.FAILED
    work.faults.clear()
    return failed


@pytest.mark.parametrize("state", list(METHODS), ids=str)
@pytest.mark.parametrize("error", ANYTHING, ids=lambda error: type(error).__name__)
def test_retry_goes_on_from_what_is_bought(
    engine: Engine, store: JobStore, work: FakeWork, state: JobState, error: BaseException
) -> None:
    failed = fail(engine, store, work, METHODS[state], error)
    assert failed.resume is (PUBLISHING if state is PUBLISHING else None)
    assert work.service.lines("released") == []
    assert failed.problem is not None and f"`stembridge jobs retry {failed.id}`" in failed.problem.remedy
    assert "--to" not in failed.problem.remedy
    store.retry(failed.id)
    run(engine)
    done = store.get(failed.id)
    assert (done.state, done.stems, done.notes) == (JobState.DONE, (make_stem(done),), ("treated",))
    assert work.calls[-1] == "discard" and work.service.lines("released") == [failed.id]
    assert work.service.lines("creates") == [failed.id]


@pytest.mark.parametrize("error", [ServiceError("404"), ResultError("damaged")], ids=lambda error: type(error).__name__)
def test_results_that_are_no_good_are_fetched_again(
    engine: Engine, store: JobStore, work: FakeWork, error: BaseException
) -> None:
    job, _ = store.add(make_job())
    work.fail("fetch", [error] * (FAST.fetch_tries - 1))
    run(engine)
    assert store.get(job.id).state is JobState.DONE
    assert work.calls.count("fetch") == FAST.fetch_tries and work.calls.count("drop_fetched") == FAST.fetch_tries - 1
    assert work.service.lines("creates") == [job.id]


def test_a_failing_network_does_not_use_up_the_tries_of_bad_results(
    engine: Engine, store: JobStore, work: FakeWork
) -> None:
    job, _ = store.add(make_job())
    bad, offline = ResultError("cut off"), TransientError("offline")
    work.fail("fetch", [offline] * 5 + [bad, offline] * (FAST.fetch_tries - 1))
    run(engine)
    assert store.get(job.id).state is JobState.DONE
    # What came whole at last begins a new count.
    assert store.purchases.get(job.id).spoilt == 0


def test_a_retry_has_as_many_tries_again(engine: Engine, store: JobStore, work: FakeWork) -> None:
    failed = fail(engine, store, work, "fetch", ResultError("cut off"))
    work.fail("fetch", [ResultError("cut off")] * (FAST.fetch_tries - 1))
    store.retry(failed.id)
    run(engine)
    assert store.get(failed.id).state is JobState.DONE
    assert work.service.lines("creates") == [failed.id]


def test_what_the_service_failed_and_does_not_charge_is_bought_by_a_plain_retry(
    engine: Engine, store: JobStore, work: FakeWork
) -> None:
    failed = fail(engine, store, work, "poll", UnchargedError("out of memory"))
    assert store.purchases.get(failed.id).state is PurchaseState.CANCELLED
    store.retry(failed.id)
    run(engine)
    done = store.get(failed.id)
    assert done.state is JobState.DONE and done.purchase != failed.id
    assert work.service.lines("creates") == [failed.id, done.purchase]


def test_what_is_gone_at_the_service_is_bought_again_only_at_the_users_word(
    engine: Engine, store: JobStore, work: FakeWork
) -> None:
    failed = fail(engine, store, work, "fetch", PlacementError("read-only"))
    work.kept.clear()
    work.fail("poll", [GoneError("kept for three days only")])
    store.retry(failed.id)
    run(engine)
    gone = store.get(failed.id)
    assert gone.state is JobState.FAILED and gone.problem is not None
    assert "--force" in gone.problem.remedy and gone.problem.needs_word
    assert store.purchases.get(failed.id).state is PurchaseState.EXPIRED
    store.retry(failed.id)
    run(engine)
    assert store.get(failed.id).state is JobState.FAILED
    # The same wish again is no word either.
    other, is_new = store.add(make_job())
    run(engine)
    problem = store.get(other.id).problem
    assert is_new and problem is not None and "was bought on" in problem.message
    assert work.service.lines("creates") == [failed.id]
    store.retry(failed.id, force=True)
    run(engine)
    assert store.get(failed.id).state is JobState.DONE
    assert len(work.service.lines("creates")) == 2


def let_go(engine: Engine, store: JobStore, work: FakeWork) -> Job:
    """Let a service say of a finished job that it is gone."""
    failed = fail(engine, store, work, "fetch", PlacementError("read-only"))
    work.kept.clear()
    work.fail("poll", [GoneError("unknown job")])
    store.retry(failed.id)
    run(engine)
    assert store.purchases.get(failed.id).state is PurchaseState.EXPIRED
    return store.get(failed.id)


def test_a_retry_finds_what_was_wrongly_said_to_be_gone(engine: Engine, store: JobStore, work: FakeWork) -> None:
    failed = let_go(engine, store, work)
    store.purchases.change(failed.id, is_released=False)
    store.retry(failed.id)
    run(engine)
    assert store.get(failed.id).state is JobState.DONE
    assert store.purchases.get(failed.id).state is PurchaseState.KEPT
    assert work.service.lines("creates") == [failed.id]


def test_what_the_service_was_told_to_forget_is_not_asked_for(engine: Engine, store: JobStore, work: FakeWork) -> None:
    failed = let_go(engine, store, work)
    assert store.purchases.get(failed.id).is_released
    polls = work.calls.count("poll")
    store.retry(failed.id)
    run(engine)
    problem = store.get(failed.id).problem
    assert problem is not None and "was bought on" in problem.message
    assert work.calls.count("poll") == polls


def test_the_users_word_is_for_one_purchase(engine: Engine, store: JobStore, work: FakeWork) -> None:
    failed = fail(engine, store, work, "fetch", PlacementError("read-only"))
    work.kept.clear()
    work.fail("poll", [GoneError("kept for three days only")])
    work.fail("fetch", [ResultError("of another song")] * FAST.fetch_tries)
    store.retry(failed.id, force=True)
    run(engine)
    assert store.get(failed.id).state is JobState.FAILED
    assert len(work.service.lines("creates")) == 2


def test_the_users_word_looks_at_the_service_first(engine: Engine, store: JobStore, work: FakeWork) -> None:
    failed = fail(engine, store, work, "fetch", ResultError("of another song"))
    store.retry(failed.id, force=True)
    run(engine)
    assert store.get(failed.id).state is JobState.DONE
    assert work.service.lines("creates") == [failed.id]


def test_results_that_stay_bad_are_bought_again_at_the_users_word(
    engine: Engine, store: JobStore, work: FakeWork
) -> None:
    failed = fail(engine, store, work, "fetch", ResultError("of another song"))
    work.fail("fetch", [ResultError("of another song")] * FAST.fetch_tries)
    store.retry(failed.id, force=True)
    run(engine)
    assert store.get(failed.id).state is JobState.DONE
    assert len(work.service.lines("creates")) == 2


def test_a_cancel_that_the_service_refuses_leaves_what_runs_to_be_taken_back(
    engine: Engine, store: JobStore, work: FakeWork
) -> None:
    job, _ = store.add(make_job())
    work.polls = 1000
    work.fail("cancel", [ServiceError("too late")])
    work.fail("poll", [None, lambda: store.request_cancel(job.id)])
    run(engine)
    cancelled = store.get(job.id)
    assert cancelled.state is JobState.CANCELLED and "too late" in cancelled.notes[-1]
    assert store.purchases.get(job.id).state is PurchaseState.RUNNING and work.service.lines("released") == []
    work.polls = 1
    store.retry(job.id)
    run(engine)
    assert store.get(job.id).state is JobState.DONE
    assert work.service.lines("creates") == [job.id]


def test_a_cancel_in_time_costs_nothing_and_is_bought_anew(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job, _ = store.add(make_job())
    work.polls = 1000
    work.fail("poll", [None, lambda: store.request_cancel(job.id)])
    run(engine)
    assert store.purchases.get(job.id).state is PurchaseState.CANCELLED
    work.polls = 1
    store.retry(job.id)
    run(engine)
    assert store.get(job.id).state is JobState.DONE
    assert len(work.service.lines("creates")) == 2


def test_what_is_ready_stays_bought_though_its_job_is_cancelled(
    engine: Engine, store: JobStore, work: FakeWork
) -> None:
    job, _ = store.add(make_job())

    async def hang() -> None:
        store.request_cancel(job.id)
        await asyncio.Event().wait()

    work.fail("fetch", [hang])
    run(engine)
    assert store.get(job.id).state is JobState.CANCELLED
    assert store.purchases.get(job.id).state is PurchaseState.READY and work.service.lines("released") == []
    store.retry(job.id)
    run(engine)
    assert store.get(job.id).state is JobState.DONE
    assert work.service.lines("creates") == [job.id]


def test_lost_staging_is_made_anew_of_what_is_kept(engine: Engine, store: JobStore, work: FakeWork) -> None:
    failed = fail(engine, store, work, "publish", ResultError("neither in staging nor in its place"))
    store.retry(failed.id)
    assert store.get(failed.id).staged == ()
    polls = work.calls.count("poll")
    run(engine)
    assert store.get(failed.id).state is JobState.DONE
    assert work.calls.count("poll") == polls and work.service.lines("creates") == [failed.id]


@pytest.mark.parametrize(("method", "resume"), [("poll", None), ("fetch", None), ("publish", PUBLISHING)])
def test_work_on_this_machine(
    engine: Engine, store: JobStore, work: FakeWork, method: str, resume: JobState | None
) -> None:
    work.is_remote = False
    failed = fail(engine, store, work, method, PlacementError("read-only"))
    assert failed.resume is resume and store.purchases.list() == []
    store.retry(failed.id)
    run(engine)
    assert store.get(failed.id).state is JobState.DONE


def test_the_same_wish_goes_on_with_what_is_kept(engine: Engine, store: JobStore, work: FakeWork) -> None:
    failed = fail(engine, store, work, "publish", PlacementError("read-only"))
    elsewhere, is_new = store.add(make_job(to=Path("/other")))
    assert is_new and elsewhere.id != failed.id
    again, is_new = store.add(make_job())
    assert (again.id, again.state, is_new) == (failed.id, PUBLISHING, False)
    run(engine, [again.id, elsewhere.id])
    assert [store.get(one.id).state for one in (again, elsewhere)] == [JobState.DONE] * 2
    assert work.service.lines("creates") == [failed.id]


@pytest.mark.parametrize("state", ["found", "absent"])
def test_plain_wish_looks_for_an_unconfirmed_job_first(
    engine: Engine, store: JobStore, work: FakeWork, state: str
) -> None:
    job, _ = store.add(make_job())
    work.can_find = False
    work.fail("submit" if state == "absent" else "late_submit", [OutcomeUnknownError("timeout")])
    run(engine)
    assert store.get(job.id).state is JobState.UNCONFIRMED
    work.can_find = True
    again, is_new = store.add(make_job())
    assert (again.id, is_new) == (job.id, False)
    run(engine)
    found = store.get(job.id)
    if state == "found":
        assert found.state is JobState.DONE
    else:
        assert found.state is JobState.UNCONFIRMED and found.problem is not None
        assert "--force" in found.problem.remedy and work.service.lines("creates") == []
        store.retry(job.id, force=True)
        run(engine)
        assert store.get(job.id).state is JobState.DONE
    assert work.service.lines("creates") == [job.id]


def test_plain_wish_joins_a_forced_job_and_a_forced_one_only_its_like(store: JobStore) -> None:
    forced = msgspec.structs.replace(make_job(), dedupe=f"{make_job().dedupe}:forced")
    first, _ = store.add(forced)
    joined, is_new = store.add(make_job())
    assert (joined.id, is_new) == (first.id, False)
    again, is_new = store.add(msgspec.structs.replace(make_job(), dedupe=forced.dedupe))
    assert (again.id, is_new) == (first.id, False)


def test_prune_spares_what_is_kept_until_it_is_given_up(engine: Engine, store: JobStore, work: FakeWork) -> None:
    failed = fail(engine, store, work, "publish", PlacementError("read-only"))
    assert store.prune(-1) == 0
    assert store.give_up(3600) == 0
    assert store.give_up(-1) == 1
    given_up = store.get(failed.id)
    assert (given_up.state, given_up.resume, given_up.updated) == (JobState.FAILED, None, failed.updated)
    assert store.prune(-1) == 0
    assert asyncio.run(engine.discard_leftovers()) == 1
    assert store.prune(-1) == 1
    # The job is forgotten, what was paid for is not.
    assert store.purchases.get(failed.id).state is PurchaseState.KEPT


@pytest.mark.parametrize("is_wanted", [False, True], ids=["nobody", "another job"])
def test_what_nobody_came_for_is_removed_at_the_service(
    engine: Engine, store: JobStore, work: FakeWork, is_wanted: bool
) -> None:
    failed = fail(engine, store, work, "fetch", ResultError("the file is gone"))
    assert store.purchases.get(failed.id).state is PurchaseState.READY
    assert store.give_up(3600) == 0
    if is_wanted:
        other = msgspec.structs.replace(make_job(), dedupe=f"{failed.dedupe}:forced", id=f"{failed.id}-b")
        store.add(other)
    assert store.give_up(-1) == (0 if is_wanted else 1)
    assert len(store.leftovers()) == (0 if is_wanted else 1)
    assert store.purchases.get(failed.id).state is (PurchaseState.READY if is_wanted else PurchaseState.EXPIRED)
    assert store.get(failed.id).updated == failed.updated


@pytest.mark.parametrize(("since", "count"), [(-1.0, 0), (0.0, 1)], ids=["failed anew", "still as it was"])
def test_what_failed_anew_since_it_was_found_old_is_kept(
    engine: Engine, store: JobStore, work: FakeWork, since: float, count: int
) -> None:
    failed = fail(engine, store, work, "publish", PlacementError("read-only"))
    with store._database.write() as connection:
        assert give_up_old(connection, [failed.id, "gone"], failed.updated + since, store.clock()) == count
    assert (store.get(failed.id).resume is PUBLISHING) is (count == 0)


def test_cancel_gives_up_what_is_staged(engine: Engine, store: JobStore, work: FakeWork) -> None:
    failed = fail(engine, store, work, "publish", PlacementError("read-only"))
    store.request_cancel(failed.id)
    run(engine, [failed.id])
    assert work.calls[-1] == "discard"
    cancelled = store.get(failed.id)
    assert (cancelled.state, cancelled.resume, store.leftovers()) == (JobState.CANCELLED, None, [])
    with pytest.raises(UsageError, match="cancelled already"):
        store.request_cancel(failed.id)


def test_tidying_of_another_process_spares_what_is_kept_since(engine: Engine, store: JobStore, work: FakeWork) -> None:
    failed = fail(engine, store, work, "publish", PlacementError("read-only"))
    store.clean(failed.id)
    assert store.prune(-1) == 0
    store.retry(failed.id)
    run(engine)
    assert store.get(failed.id).state is JobState.DONE


def test_cancelled_after_a_retry_is_cleaned_up(engine: Engine, store: JobStore, work: FakeWork) -> None:
    failed = fail(engine, store, work, "publish", PlacementError("read-only"))
    store.retry(failed.id)
    store.request_cancel(failed.id)
    run(engine)
    assert store.get(failed.id).state is JobState.CANCELLED
    assert work.calls[-1] == "discard"


def test_a_song_that_moved_is_followed(engine: Engine, store: JobStore, work: FakeWork) -> None:
    """Handed in elsewhere while its own path is empty, or found near it: it is the same job."""
    job, _ = store.add(make_job(path=Path("/music/old.wav")))
    elsewhere = make_job(path=Path("/music/new.wav"))
    stays, is_new = store.add(elsewhere, is_gone=lambda path: False)
    assert is_new and stays.id != job.id
    store.request_cancel(stays.id)
    run(engine, [stays.id])
    followed, is_new = store.add(make_job(path=Path("/music/new.wav")), is_gone=lambda path: True)
    assert (followed.id, is_new, followed.source.path) == (job.id, False, Path("/music/new.wav"))
    work.fail("fetch", [SourceError("gone")])
    work.found_at = msgspec.structs.replace(followed.source, path=Path("/music/newer.wav"))
    run(engine)
    done = store.get(job.id)
    assert (done.state, done.source.path) == (JobState.DONE, Path("/music/newer.wav"))
    assert work.service.lines("creates") == [job.id]


def test_a_song_handed_in_elsewhere_while_it_is_missed_is_followed(
    engine: Engine, store: JobStore, work: FakeWork
) -> None:
    job, _ = store.add(make_job(path=Path("/music/old.wav")))
    work.fail("fetch", [SourceError("gone")])
    # It is not found near its old path, and by then it is known from elsewhere.
    work.fail("locate", [lambda: store.add(make_job(path=Path("/music/new.wav")), is_gone=lambda path: True)])
    run(engine)
    done = store.get(job.id)
    assert (done.state, done.source.path) == (JobState.DONE, Path("/music/new.wav"))
    assert (store.list(), work.service.lines("creates")) == ([done], [job.id])


def test_a_song_that_moved_once_can_still_fail(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job, _ = store.add(make_job(path=Path("/music/old.wav")))
    store.move(job.id, msgspec.structs.replace(job.source, path=Path("/music/new.wav")))
    work.fail("fetch", [SourceError("gone")])
    run(engine)
    assert store.get(job.id).state is JobState.FAILED


@pytest.mark.parametrize(("name", "fetches"), [("1.wav", 1), ("renamed.wav", 2)], ids=["moved", "renamed"])
def test_stems_that_wait_to_be_placed_follow_a_song_and_take_its_name(
    engine: Engine, store: JobStore, work: FakeWork, name: str, fetches: int
) -> None:
    job, _ = store.add(make_job())
    work.found_at = msgspec.structs.replace(job.source, path=Path("/elsewhere") / name)
    work.fail("target", [SourceError("gone from its path")])
    run(engine)
    done = store.get(job.id)
    assert (done.state, done.source.path) == (JobState.DONE, work.found_at.path)
    assert (work.calls.count("fetch"), work.calls.count("target")) == (fetches, 2)
    assert work.service.lines("creates") == [job.id]


def test_the_users_word_buys_again_what_the_service_failed(engine: Engine, store: JobStore, work: FakeWork) -> None:
    """The service may have charged for it, so that only this word does; it must not be in vain."""
    failed = fail(engine, store, work, "poll", ServiceError("it broke here"))
    assert failed.problem is not None and failed.problem.needs_word
    work.fail("poll", [ServiceError("it broke here")])
    store.retry(failed.id, force=True)
    run(engine)
    assert store.get(failed.id).state is JobState.DONE
    assert len(work.service.lines("creates")) == 2


def test_another_account_that_does_not_know_a_job_is_not_believed(
    engine: Engine, store: JobStore, work: FakeWork
) -> None:
    failed = fail(engine, store, work, "fetch", PlacementError("read-only"))
    work.kept.clear()
    work.keys = "another"
    work.fail("poll", [GoneError("no such job")])
    store.retry(failed.id, force=True)
    run(engine)
    problem = store.get(failed.id).problem
    assert problem is not None and "other keys" in problem.message
    assert store.purchases.get(failed.id).state is PurchaseState.READY
    work.keys = ""
    store.retry(failed.id)
    run(engine)
    assert store.get(failed.id).state is JobState.DONE
    assert work.service.lines("creates") == [failed.id]


def test_a_song_that_does_not_fit_does_not_cost_what_is_kept(engine: Engine, store: JobStore, work: FakeWork) -> None:
    """Another job found it whole: what is wrong is wrong with this one."""
    bought, _ = store.add(make_job())
    run(engine)
    other, _ = store.add(make_job(to=Path("/other")))
    work.fail("fetch", [ResultError("of another song")] * FAST.fetch_tries)
    run(engine)
    assert store.get(other.id).state is JobState.FAILED and "drop_fetched" not in work.calls
    # The user's word throws it away.
    work.fail("fetch", [ResultError("damaged")])
    store.retry(other.id, force=True)
    run(engine)
    assert "drop_fetched" in work.calls and store.get(other.id).state is JobState.DONE
    assert work.service.lines("creates") == [bought.id]


def test_what_another_job_bought_again_serves_the_first_as_well(
    engine: Engine, store: JobStore, work: FakeWork
) -> None:
    failed = fail(engine, store, work, "fetch", PlacementError("read-only"))
    work.kept.clear()
    store.purchases.change(failed.id, state=PurchaseState.EXPIRED)
    again, _ = store.add(msgspec.structs.replace(make_job(), may_buy=True))
    run(engine)
    assert store.get(again.id).state is JobState.DONE
    store.retry(failed.id, force=True)
    run(engine)
    assert store.get(failed.id).state is JobState.DONE
    assert work.service.lines("creates") == [failed.id, again.id]


def test_what_a_service_says_is_kept_without_secrets(engine: Engine, store: JobStore, work: FakeWork) -> None:
    failed = fail(engine, store, work, "poll", UnchargedError("https://x.org/a?q-signature=0123456789abcdef failed"))
    assert "0123456789abcdef" not in store.purchases.get(failed.id).reason


def test_a_cancel_before_the_call_costs_nothing(engine: Engine, store: JobStore, work: FakeWork) -> None:
    job, _ = store.add(make_job())

    def changed(after: Job, _before: Job | None) -> None:
        if after.state is JobState.SUBMITTING:
            store.request_cancel(job.id)

    run(Engine(store, lambda job: work, changed, clock=store.clock, policy=FAST))
    assert store.get(job.id).state is JobState.CANCELLED and work.service.lines("creates") == []
    assert store.purchases.get(job.id).state is PurchaseState.CANCELLED


def test_job_of_an_older_version_has_nothing_kept(store: JobStore) -> None:
    job, _ = store.add(make_job())
    old = {name: value for name, value in msgspec.to_builtins(job, enc_hook=str).items() if name != "resume"}
    assert msgspec.convert(old, Job, dec_hook=lambda kind, value: Path(value)).resume is None
