from __future__ import annotations

from pathlib import Path

from stembridge_beets.trouble import Trouble

from plugin_core.model import Job, JobState, Problem, Separation, Source

SOURCE = Source(
    path=Path("/a"),
    device=1,
    inode=1,
    size=1,
    mtime_ns=1,
    content="",
    duration=1,
    frames=1,
    channels=1,
    sample_rate=44100,
    encoding="pcm_16",
)


def job(name: str, state: JobState, attempts: int = 0) -> Job:
    return Job(
        id=name,
        state=state,
        operation=Separation(provider="local"),
        source=SOURCE,
        account="",
        dedupe="",
        created=0,
        updated=0,
        attempts=attempts,
        problem=Problem(kind="x", message="y") if attempts else None,
    )


def test_waiting_ends_when_nothing_but_trouble_is_left() -> None:
    trouble = Trouble(3)
    trouble.note(job("a", JobState.RUNNING))
    trouble.note(job("b", JobState.QUEUED, 3))
    assert not trouble.is_all
    trouble.note(job("a", JobState.DONE))
    assert trouble.is_all


def test_what_is_tried_again_may_still_come_right() -> None:
    trouble = Trouble(3)
    trouble.note(job("a", JobState.QUEUED, 2))
    assert not trouble.is_all
    trouble.note(job("a", JobState.RUNNING))
    assert not trouble.is_all


def test_jobs_not_begun_do_not_count() -> None:
    trouble = Trouble(1)
    trouble.note(job("a", JobState.QUEUED))
    assert not trouble.is_all
    trouble.note(job("b", JobState.QUEUED, 1))
    assert trouble.is_all


def test_the_search_for_a_lost_answer_is_waited_for() -> None:
    now = 0.0
    trouble = Trouble(1, clock=lambda: now)
    trouble.note(job("a", JobState.SUBMITTING, 9))
    assert not trouble.is_all


def test_a_search_that_the_service_does_not_answer_is_trouble() -> None:
    now = 1e6
    trouble = Trouble(1, clock=lambda: now)
    trouble.note(job("a", JobState.SUBMITTING, 9))
    assert trouble.is_all
