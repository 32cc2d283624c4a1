"""The money rules in one place: surely absent, too new to be known, and answers that nobody understands."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from plugin_core.errors import GoneError, OutcomeUnknownError, StembridgeError, TransientError, UnclearAnswerError
from plugin_core.jobs.engine import Engine, Wait
from plugin_core.jobs.policy import Backoff
from plugin_core.jobs.store import JobStore, Place
from plugin_core.model import Job, JobState, Progress
from plugin_core.protocols import ANSWER, GRACE, Finished, Report, Terms, Waiting
from plugin_core.purchases.purchase import PurchaseState
from tests.plugin_core.jobs.conftest import FAST, Clock
from tests.plugin_core.jobs.fakes import FakeWork, Service, make_job

ANY_STORE = True

HOUR = 3600.0
LOST = OutcomeUnknownError("timeout")
DANCING = Waiting(seconds=5, progress=Progress(note="dancing"), unclear="state 'dancing'")
RUNNING = Waiting(seconds=5, progress=Progress(note="separating"))


class LateService(Service):
    """A service that charges at once, and lists a job later.

    Attributes:
        is_listed: whether by now.
    """

    is_listed = False

    def has(self, key: str) -> bool:
        return self.is_listed and super().has(key)


class ScriptedWork(FakeWork):
    """Work whose service lists late and answers from a list; times are those of a clock that stands."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.late = LateService(folder)
        super().__init__(self.late)
        self.answers: list[Waiting | Finished | StembridgeError] = []
        self.times: dict[str, list[float]] = {}
        self.on_call = lambda name, _job: self.times.setdefault(name, []).append(clock.now)

    async def poll(self, job: Job, attempt: str, report: Report) -> Waiting | Finished:
        answer = self.answers.pop(0) if self.answers else Finished()
        if isinstance(answer, StembridgeError):
            raise answer
        return answer


@pytest.fixture
def work(tmp_path: Path, clock: Clock) -> ScriptedWork:
    return ScriptedWork(tmp_path / "service", clock)


@pytest.fixture
def store(store_place: Place, clock: Clock) -> Iterator[JobStore]:
    with JobStore(store_place, clock=clock) as opened:
        yield opened


def look(store: JobStore, work: FakeWork, job: Job) -> float:
    """Do what can be done now, as a process of its own; return the seconds that are to be waited then."""
    # A clock that stands is moved by each wait: as long ones as in earnest.
    policy = replace(FAST, search_for=120.0, backoff=Backoff(first=1.0, most=5.0, jitter=0.0))
    engine = Engine(store, lambda _: work, lambda _after, _before: None, clock=store.clock, policy=policy)
    answer = asyncio.run(engine.advance(job.id))
    return answer.seconds if isinstance(answer, Wait) else 0.0


def follow(store: JobStore, work: FakeWork, clock: Clock, job: Job, *, seconds: float = 1e9) -> Job:
    """Look whenever it is due, for so many seconds."""
    end = clock.now + seconds
    while clock.now < end and store.get(job.id).state.is_active:
        clock.now += max(look(store, work, job), 0.001)
    return store.get(job.id)


def test_what_is_not_listed_is_surely_absent_only_after_register_seconds(
    store: JobStore, work: ScriptedWork, clock: Clock
) -> None:
    work.says = Terms(register_seconds=30)
    work.fail("submit", [LOST])
    job, _ = store.add(make_job(clock=clock))
    assert follow(store, work, clock, job).state is JobState.DONE
    lost, again = work.times["submit"]
    assert 30 <= again - work.times["find"][0] < 60 and lost <= work.times["find"][0]
    assert work.service.lines("creates") == [job.id]


def test_what_is_listed_late_is_never_bought_twice(store: JobStore, work: ScriptedWork, clock: Clock) -> None:
    work.says = Terms(register_seconds=30)
    work.fail("late_submit", [LOST])
    job, _ = store.add(make_job(clock=clock))
    follow(store, work, clock, job, seconds=25)
    work.late.is_listed = True
    assert follow(store, work, clock, job).state is JobState.DONE
    assert work.service.lines("creates") == [job.id]


def test_a_clock_that_leaps_ahead_during_the_search_makes_no_job_surely_absent(
    store_place: Place, work: ScriptedWork, clock: Clock
) -> None:
    work.says = Terms(register_seconds=30)
    work.fail("late_submit", [LOST])
    leaps = [0.0]
    with JobStore(store_place, clock=lambda: clock.now + sum(leaps), steady=clock) as store:
        job, _ = store.add(make_job(clock=store.clock))
        for leap in (20.0, 3600.0):
            follow(store, work, clock, job, seconds=5)
            leaps.append(leap)
        follow(store, work, clock, job, seconds=25)
        assert store.get(job.id).state is JobState.SUBMITTING and work.calls.count("submit") == 1
        work.late.is_listed = True
        assert follow(store, work, clock, job).state is JobState.DONE
    assert work.service.lines("creates") == [job.id]


def test_what_the_provider_said_when_it_was_sent_counts_whatever_the_settings_say_now(
    store: JobStore, work: ScriptedWork, clock: Clock
) -> None:
    work.says = Terms(register_seconds=30)
    work.fail("late_submit", [LOST])
    job, _ = store.add(make_job(clock=clock))
    look(store, work, job)
    work.says = Terms()
    follow(store, work, clock, job, seconds=25)
    assert work.calls.count("find") > 2 and work.calls.count("submit") == 1


def test_another_process_goes_on_looking_and_does_not_begin_anew(
    store: JobStore, store_place: Place, work: ScriptedWork, clock: Clock
) -> None:
    work.says = Terms(register_seconds=30)
    work.fail("submit", [LOST])
    job, _ = store.add(make_job(clock=clock))
    follow(store, work, clock, job, seconds=20)
    store.close()
    with JobStore(store_place, clock=clock) as later:
        assert later.purchases.get(job.id).looked_since == work.times["find"][0]
        follow(later, work, clock, job)
    assert 30 <= work.times["submit"][1] - work.times["find"][0] < 40


def test_a_retry_may_look_at_once_for_what_is_looked_for_since_long(
    store: JobStore, work: ScriptedWork, clock: Clock
) -> None:
    work.says = Terms(register_seconds=30)
    work.can_find = False
    work.fail("submit", [LOST])
    job, _ = store.add(make_job(clock=clock))
    assert follow(store, work, clock, job).state is JobState.UNCONFIRMED
    work.can_find = True
    store.retry(job.id, force=True)
    assert follow(store, work, clock, job, seconds=20).state is JobState.DONE
    assert work.calls.count("submit") == 2


def test_a_new_job_may_be_unknown_for_a_while(store: JobStore, work: ScriptedWork, clock: Clock) -> None:
    work.answers = [*[GoneError("never heard of it")] * 3, RUNNING]
    job, _ = store.add(make_job(clock=clock))
    look(store, work, job)
    young = store.get(job.id)
    assert young.state is JobState.RUNNING and young.progress == Progress(note="not listed yet")
    assert follow(store, work, clock, job).state is JobState.DONE
    assert work.service.lines("creates") == [job.id]


def test_a_job_that_is_unknown_for_longer_is_gone(store: JobStore, work: ScriptedWork, clock: Clock) -> None:
    work.answers = [GoneError("never heard of it")] * 99_999
    job, _ = store.add(make_job(clock=clock))
    follow(store, work, clock, job, seconds=GRACE - 1)
    assert store.get(job.id).state is JobState.RUNNING
    clock.now += 1
    assert follow(store, work, clock, job, seconds=1).state is JobState.FAILED
    assert store.purchases.get(job.id).state is PurchaseState.EXPIRED


def test_a_clock_that_is_set_back_does_not_make_a_job_young(store: JobStore, work: ScriptedWork, clock: Clock) -> None:
    work.answers = [RUNNING, GoneError("expired")]
    job, _ = store.add(make_job(clock=clock))
    look(store, work, job)
    clock.now -= 2 * GRACE
    with store._database.write() as connection:
        connection.execute("UPDATE jobs SET due = 0")
    look(store, work, job)
    assert store.get(job.id).state is JobState.FAILED


def test_what_the_service_says_is_logged_when_it_changes(
    store: JobStore, work: ScriptedWork, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "plugin_core.jobs.effects")
    work.answers = [RUNNING, RUNNING]
    job, _ = store.add(make_job(clock=clock))
    assert follow(store, work, clock, job).state is JobState.DONE
    assert caplog.text.count("fake says: separating") == 1


@pytest.mark.parametrize(("said", "is_remote"), [("", True), ('{"mood": 1}', True), ('{"mood": 1}', False)])
def test_a_paid_answer_is_kept_with_what_was_bought(
    store: JobStore, work: ScriptedWork, clock: Clock, said: str, is_remote: bool
) -> None:
    work.answers, work.is_remote = [Finished(answer=said)], is_remote
    job, _ = store.add(make_job(clock=clock))
    assert follow(store, work, clock, job).state is JobState.DONE
    assert [one.note for one in store.purchases.list()] == ([{ANSWER: said} if said else {}] if is_remote else [])


VAGUE = pytest.mark.parametrize("vague", [UnclearAnswerError("E1047"), DANCING], ids=["none", "unknown state"])


@VAGUE
def test_a_job_nothing_is_said_of_for_a_day_is_given_up_and_kept(
    store: JobStore, work: ScriptedWork, clock: Clock, vague: Waiting | StembridgeError
) -> None:
    work.answers = [vague] * 3
    job, _ = store.add(make_job(clock=clock))
    for hours in (0.0, 23.9):
        clock.now += hours * HOUR
        look(store, work, job)
        assert store.get(job.id).state is JobState.RUNNING
    clock.now += 0.2 * HOUR
    look(store, work, job)
    given_up = store.get(job.id)
    assert given_up.state is JobState.FAILED and given_up.problem is not None
    assert "fake has said nothing of the job that can be understood for 24 hours" in given_up.problem.message
    assert (
        given_up.problem.message.endswith(("E1047", "'dancing'"))
        and "nothing is bought again" in given_up.problem.remedy
    )
    assert store.purchases.get(job.id).state is PurchaseState.RUNNING
    # A retry has a day of its own.
    work.answers = [vague]
    store.retry(job.id)
    look(store, work, job)
    assert store.get(job.id).state is JobState.RUNNING
    assert follow(store, work, clock, job).state is JobState.DONE
    assert work.service.lines("creates") == [job.id]


@VAGUE
def test_a_clear_word_between_starts_the_day_anew(
    store: JobStore, work: ScriptedWork, clock: Clock, vague: Waiting | StembridgeError
) -> None:
    work.answers = [vague, RUNNING, vague, vague]
    job, _ = store.add(make_job(clock=clock))
    for _ in range(4):
        look(store, work, job)
        assert store.get(job.id).state is JobState.RUNNING
        clock.now += 20 * HOUR if len(work.answers) else 0
    assert store.purchases.get(job.id).unclear_since == clock.now - 20 * HOUR


def test_how_long_that_is_borne_is_for_the_provider_to_say(store: JobStore, work: ScriptedWork, clock: Clock) -> None:
    work.says, work.answers = Terms(unclear_hours=1), [DANCING] * 2
    job, _ = store.add(make_job(clock=clock))
    look(store, work, job)
    clock.now += HOUR
    look(store, work, job)
    assert store.get(job.id).state is JobState.FAILED


def test_a_network_that_is_silent_for_days_ends_no_paid_job(store: JobStore, work: ScriptedWork, clock: Clock) -> None:
    work.answers = [TransientError("offline")] * 3
    job, _ = store.add(make_job(clock=clock))
    for _ in range(3):
        look(store, work, job)
        clock.now += 48 * HOUR
    assert follow(store, work, clock, job).state is JobState.DONE
