"""Case 33: time in which the process did not run is no time in which a file did not change."""

from __future__ import annotations

from stembridge_hot_folder.settling.identity import Identity
from stembridge_hot_folder.settling.settler import Patience, Settler
from stembridge_hot_folder.sleep_detector import GAP, TICK, SleepDetector

A = Identity(1, 2, 100, 5)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def count_after(awake: SleepDetector, clock: Clock, *steps: float) -> int:
    for step in steps:
        clock.now += step
        awake.count()
    return awake.count()


def test_case_33_regular_ticks_are_no_gap() -> None:
    clock = Clock()
    assert count_after(SleepDetector(clock), clock, *[TICK] * 100, TICK * 2) == 0


def test_case_33_each_stop_is_a_gap() -> None:
    clock = Clock()
    awake = SleepDetector(clock)
    assert count_after(awake, clock, TICK, GAP) == 1
    assert count_after(awake, clock, *[TICK] * 100, 3600.0) == 2


def test_case_33_machine_that_is_only_slow_settles_files_all_the_same() -> None:
    clock = Clock()
    awake = SleepDetector(clock)
    found = count_after(awake, clock, *[GAP] * 100)
    assert found < 10
    assert count_after(awake, clock, *[TICK] * 100, 3600.0) == found + 1, "after a calm a stop is a stop again"


def test_case_33_files_wait_for_the_whole_settle_time_after_a_stop() -> None:
    settler = Settler(Patience(settle=5, max_wait=600), lambda path: True)
    settler.observe(b"a", A, 0)
    settler.start_anew(100)
    assert settler.due(104) == []
    assert not settler.observe(b"a", A, 104)
    assert settler.observe(b"a", A, 105)
