from __future__ import annotations

from plugin_core.console.throttle import Throttle
from plugin_core.model import JobState
from tests.plugin_core.cli.jobs import make_job


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
