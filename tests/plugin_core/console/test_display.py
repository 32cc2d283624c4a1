from __future__ import annotations

import pytest

from plugin_core.console.display import Summary, Throttle, choose_exit_code, summarise
from plugin_core.errors import RefusedError, SourceError, StembridgeError
from plugin_core.model import Job, JobState
from tests.plugin_core.cli.jobs import make_job

DONE = make_job(JobState.DONE)
FAILED = make_job(JobState.FAILED)
REFUSED = make_job(JobState.FAILED, exit_code=3)
UNCONFIRMED = make_job(JobState.UNCONFIRMED)
CANCELLED = make_job(JobState.CANCELLED)


@pytest.mark.parametrize(
    ("jobs", "errors", "interrupted", "code"),
    [
        ([DONE, DONE], [], False, 0),
        ([], [], False, 0),
        ([DONE, FAILED], [], False, 1),
        ([DONE], [SourceError("x")], False, 1),
        ([CANCELLED], [], False, 1),
        ([UNCONFIRMED, FAILED], [], False, 4),
        ([UNCONFIRMED, FAILED, REFUSED], [], False, 3),
        ([UNCONFIRMED], [RefusedError("x")], False, 3),
        ([UNCONFIRMED, REFUSED], [], True, 130),
    ],
    ids=["done", "nothing", "failed", "bad-source", "cancelled", "unconfirmed", "refused", "refused-early", "stopped"],
)
def test_exit_code_precedence(jobs: list[Job], errors: list[StembridgeError], interrupted: bool, code: int) -> None:
    assert choose_exit_code(jobs, errors, interrupted=interrupted) == code


def test_every_job_is_counted_once() -> None:
    running = make_job(JobState.RUNNING)
    summary = summarise(
        [DONE, FAILED, CANCELLED, UNCONFIRMED, running],
        reused=2,
        errors=[SourceError("x")],
        interrupted=True,
        seconds=3,
    )
    assert summary == Summary(
        done=1, failed=2, cancelled=1, unconfirmed=1, unfinished=1, reused=2, seconds=3, exit_code=130
    )


def test_a_late_stop_that_left_nothing_undone_is_no_interruption() -> None:
    assert summarise([DONE], interrupted=True).exit_code == 0


def test_words() -> None:
    assert str(Summary(done=3, failed=1, seconds=200)) == "3 done, 1 failed in 3 min 20 s"
    assert str(Summary(seconds=0.2)) == ""


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_either_distance_or_time() -> None:
    clock = Clock()
    throttle = Throttle(0.25, 10.0, clock=clock)
    throttle.start(make_job(JobState.RUNNING, fraction=0.0))
    assert not throttle.is_due(make_job(JobState.RUNNING, fraction=0.2))
    assert throttle.is_due(make_job(JobState.RUNNING, fraction=0.3))
    assert not throttle.is_due(make_job(JobState.RUNNING, fraction=0.5))
    clock.now += 10
    assert throttle.is_due(make_job(JobState.RUNNING, fraction=0.5))


def test_both_distance_and_time() -> None:
    clock = Clock()
    throttle = Throttle(0.01, 0.25, together=True, clock=clock)
    throttle.start(make_job(JobState.RUNNING, fraction=0.0))
    assert not throttle.is_due(make_job(JobState.RUNNING, fraction=0.9))
    clock.now += 1
    assert not throttle.is_due(make_job(JobState.RUNNING, fraction=0.001))
    assert throttle.is_due(make_job(JobState.RUNNING, fraction=0.9))


def test_jobs_are_counted_apart() -> None:
    throttle = Throttle(0.25, 10.0, clock=Clock())
    first, second = make_job(JobState.RUNNING, job_id="a"), make_job(JobState.RUNNING, job_id="b")
    throttle.start(first)
    assert throttle.is_due(second)
    assert not throttle.is_due(first)
