"""What a failure keeps, and where a retry goes on: nothing that is paid for is bought again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import (
    PlacementError,
    PluginError,
    RefusedError,
    ResultError,
    ServiceError,
    SourceError,
    StembridgeError,
    TransientError,
    UnchargedError,
    UsageError,
)
from plugin_core.jobs.engine import Engine
from plugin_core.jobs.resuming import resume_state
from plugin_core.jobs.store import JobStore
from plugin_core.model import Bought, Job, JobState
from tests.plugin_core.jobs.conftest import FAST
from tests.plugin_core.jobs.fakes import FakeWork, make_job, make_stem
from tests.plugin_core.jobs.test_engine import run

RUNNING, FETCHING, PUBLISHING = JobState.RUNNING, JobState.FETCHING, JobState.PUBLISHING
METHODS = {RUNNING: "poll", FETCHING: "fetch", PUBLISHING: "publish"}
ABOUT_THE_RESULT = (ServiceError("expired"), ResultError("damaged"))
ABOUT_SOMETHING_ELSE = (
    PlacementError("read-only", remedy="choose another place with --to FOLDER"),
    RefusedError("log in again", remedy="stembridge login"),
    SourceError("moved"),
    PluginError("broke"),
)


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.SUBMITTING], ids=str)
@pytest.mark.parametrize("error", [*ABOUT_THE_RESULT, *ABOUT_SOMETHING_ELSE], ids=lambda error: type(error).__name__)
def test_what_cost_nothing_starts_anew(state: JobState, error: StembridgeError) -> None:
    assert resume_state(state, error, is_bought=True) is None


@pytest.mark.parametrize("is_bought", [True, False], ids=["service", "this machine"])
@pytest.mark.parametrize("state", [RUNNING, FETCHING], ids=str)
def test_what_is_bought_is_kept_unless_the_service_says_that_it_failed(state: JobState, is_bought: bool) -> None:
    errors = (*ABOUT_THE_RESULT, *ABOUT_SOMETHING_ELSE)
    assert {resume_state(state, error, is_bought=is_bought) for error in errors} == {state if is_bought else None}
    assert resume_state(state, UnchargedError("no GPU"), is_bought=is_bought) is None


@pytest.mark.parametrize("is_bought", [True, False], ids=["service", "this machine"])
def test_staged_results_are_given_up_only_when_they_are_gone(is_bought: bool) -> None:
    for error in (ServiceError("expired"), *ABOUT_SOMETHING_ELSE):
        assert resume_state(PUBLISHING, error, is_bought=is_bought) is PUBLISHING
    assert resume_state(PUBLISHING, ResultError("gone"), is_bought=is_bought) is (FETCHING if is_bought else None)


def fail(engine: Engine, store: JobStore, work: FakeWork, method: str, error: BaseException) -> Job:
    """Let a job fail in one method."""
    job, _ = store.add(make_job())
    work.fail(method, [error])
    run(engine)
    failed = store.get(job.id)
    assert failed.state is JobState.FAILED
    return failed


@pytest.mark.parametrize("state", list(METHODS), ids=str)
@pytest.mark.parametrize("error", [*ABOUT_SOMETHING_ELSE, KeyError("defect")], ids=lambda error: type(error).__name__)
def test_retry_goes_on_where_the_job_failed(
    engine: Engine, store: JobStore, work: FakeWork, state: JobState, error: BaseException
) -> None:
    failed = fail(engine, store, work, METHODS[state], error)
    assert failed.resume is state and failed.ticket is not None
    assert "discard" not in work.calls and store.leftovers() == []
    assert failed.problem is not None and f"`stembridge jobs retry {failed.id}`" in failed.problem.remedy
    assert "--to" not in failed.problem.remedy
    before = len(work.calls)
    store.retry(failed.id)
    retried = store.get(failed.id)
    assert (retried.state, retried.problem, retried.target, retried.resume) == (state, None, None, None)
    run(engine)
    done = store.get(failed.id)
    assert (done.state, done.stems, done.notes) == (JobState.DONE, (make_stem(done),), ("treated",))
    assert work.calls[before] == {"publish": "target"}.get(METHODS[state], METHODS[state])
    assert work.calls[-1] == "discard"
    assert work.service.lines("creates") == [failed.id]


@pytest.mark.parametrize("error", ABOUT_THE_RESULT, ids=lambda error: type(error).__name__)
def test_bad_result_is_fetched_again_a_few_times(
    engine: Engine, store: JobStore, work: FakeWork, error: StembridgeError
) -> None:
    job, _ = store.add(make_job())
    work.fail("fetch", [error] * FAST.refetches)
    run(engine)
    assert (store.get(job.id).state, work.service.lines("creates")) == (JobState.DONE, [job.id])
    # The service is asked each time: its links may be others by now.
    assert work.calls.count("poll") == work.calls.count("fetch") == FAST.refetches + 1


@pytest.mark.parametrize("method", ["poll", "fetch"])
@pytest.mark.parametrize("error", ABOUT_THE_RESULT, ids=lambda error: type(error).__name__)
def test_result_that_stays_bad_keeps_its_ticket_and_is_bought_anew_by_force_alone(
    engine: Engine, store: JobStore, work: FakeWork, error: StembridgeError, method: str
) -> None:
    job, _ = store.add(make_job())
    tries = 1 + FAST.refetches if method == "fetch" else 1
    work.fail(method, [error] * tries * 3)
    run(engine)
    for _ in range(2):
        failed = store.get(job.id)
        assert (failed.state, failed.bought, failed.ticket is not None) == (JobState.FAILED, Bought.GONE, True)
        assert failed.problem is not None and "--force" in failed.problem.remedy
        assert "discard" not in work.calls and work.service.lines("creates") == [job.id]
        store.retry(job.id, force=work.faults[method] == [error] * tries)
        run(engine)
    done = store.get(job.id)
    assert (done.state, done.bought) == (JobState.DONE, Bought.BY_TICKET)
    assert work.service.lines("creates") == [job.id] * 2


def test_force_buys_nothing_where_the_result_is_to_be_had(engine: Engine, store: JobStore, work: FakeWork) -> None:
    failed = fail(engine, store, work, "poll", ServiceError("gone"))
    store.retry(failed.id, force=True)
    run(engine)
    assert (store.get(failed.id).state, work.service.lines("creates")) == (JobState.DONE, [failed.id])


def test_job_that_the_service_failed_is_bought_again_by_a_plain_retry(
    engine: Engine, store: JobStore, work: FakeWork
) -> None:
    failed = fail(engine, store, work, "poll", UnchargedError("no GPU"))
    assert (failed.resume, failed.bought, work.calls[-1]) == (None, Bought.NO, "discard")
    store.retry(failed.id)
    run(engine)
    assert (store.get(failed.id).state, work.service.lines("creates")) == (JobState.DONE, [failed.id] * 2)


@pytest.mark.parametrize("again", ["retry", "add"])
@pytest.mark.parametrize("is_refused", [True, False], ids=["refused", "taken"])
def test_cancelled_job_goes_on_where_the_service_refused_the_cancel(
    engine: Engine, store: JobStore, work: FakeWork, again: str, is_refused: bool
) -> None:
    job, _ = store.add(make_job())
    work.fail("poll", [lambda: store.request_cancel(job.id), TransientError("not reached")])
    work.polls = 3
    work.fail("cancel", [ServiceError("too late")] if is_refused else [])
    run(engine)
    assert store.get(job.id).state is JobState.CANCELLED and work.calls[-1] == "discard"
    found = store.retry(job.id) if again == "retry" else store.add(make_job())[0]
    assert (found.id == job.id) == (is_refused or again == "retry")
    run(engine)
    assert store.get(found.id).state is JobState.DONE
    assert len(work.service.lines("creates")) == (1 if is_refused else 2)


def test_lost_staging_is_fetched_again(engine: Engine, store: JobStore, work: FakeWork) -> None:
    failed = fail(engine, store, work, "publish", ResultError("neither in staging nor in its place"))
    store.retry(failed.id)
    retried = store.get(failed.id)
    assert (retried.state, retried.staged) == (FETCHING, ())
    run(engine)
    assert store.get(failed.id).state is JobState.DONE
    assert work.service.lines("creates") == [failed.id]


@pytest.mark.parametrize(("method", "resume"), [("poll", None), ("fetch", None), ("publish", PUBLISHING)])
def test_work_on_this_machine(
    engine: Engine, store: JobStore, work: FakeWork, method: str, resume: JobState | None
) -> None:
    work.is_remote = False
    failed = fail(engine, store, work, method, PlacementError("read-only"))
    assert failed.resume is resume
    store.retry(failed.id)
    run(engine)
    assert store.get(failed.id).state is JobState.DONE


def test_the_same_wish_goes_on_with_what_is_kept(engine: Engine, store: JobStore, work: FakeWork) -> None:
    failed = fail(engine, store, work, "publish", PlacementError("read-only"))
    elsewhere, is_new = store.add(make_job(to=Path("/other")))
    assert is_new and elsewhere.id != failed.id
    again, is_new = store.add(make_job())
    assert (again.id, again.state, is_new) == (failed.id, PUBLISHING, False)
    run(engine, [again.id])
    assert store.get(again.id).state is JobState.DONE
    assert work.service.lines("creates") == [failed.id]


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


def test_cancel_gives_up_what_is_kept(engine: Engine, store: JobStore, work: FakeWork) -> None:
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


def test_job_of_an_older_version_has_nothing_kept(store: JobStore) -> None:
    job, _ = store.add(make_job())
    old = {name: value for name, value in msgspec.to_builtins(job, enc_hook=str).items() if name != "resume"}
    assert msgspec.convert(old, Job, dec_hook=lambda kind, value: Path(value)).resume is None
