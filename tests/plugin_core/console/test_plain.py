from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from stembridge_hot_folder.display import PlainWatch

from plugin_core.console.display import PlainDisplay, Summary
from plugin_core.errors import SourceError
from plugin_core.model import JobState, Problem, Progress
from tests.plugin_core.cli.jobs import make_job
from tests.plugin_core.console.test_display import Clock

Capture = pytest.CaptureFixture[str]
PROBLEM = Problem(kind="TransientError", message="no line", remedy="plug in")
SONG = str(Path("/music/Song.flac"))
STEMS = str(Path("/music/Song.stems"))


def test_a_job_takes_a_few_lines_and_not_one_a_percent(capsys: Capture) -> None:
    display = PlainDisplay(clock=Clock())
    display.begin([make_job(JobState.QUEUED)])
    states = [make_job(JobState.SUBMITTING)]
    states += [make_job(JobState.RUNNING, fraction=number / 100, note="demix") for number in range(100)]
    states += [make_job(JobState.FETCHING), make_job(JobState.PUBLISHING), make_job(JobState.DONE, notes=("a note",))]
    previous = make_job(JobState.QUEUED)
    for job in states:
        display.change(job, previous)
        previous = job
    display.finish(Summary(done=1, seconds=12))
    assert capsys.readouterr().out.splitlines() == [
        f"{SONG}: running",
        f"{SONG}: demix 25 %",
        f"{SONG}: demix 50 %",
        f"{SONG}: demix 75 %",
        f"{SONG}: vocals, other in {STEMS}",
        "  note: a note",
        "1 done in 12 s",
    ]


@pytest.mark.parametrize(("kind", "times"), [(PlainDisplay, 3), (PlainWatch, 1)])
def test_slow_progress_shows_every_ten_seconds_and_in_a_watch_once(
    capsys: Capture, kind: type[PlainDisplay], times: int
) -> None:
    clock = Clock()
    display = kind(clock=clock)
    waiting = make_job(JobState.RUNNING, note="place 3 in the queue")
    display.begin([waiting])
    for _ in range(30):
        clock.now += 1
        display.change(waiting, waiting)
    assert capsys.readouterr().out.splitlines() == [f"{SONG}: place 3 in the queue"] * times


def test_queue_and_files_are_told_with_the_note(capsys: Capture) -> None:
    clock = Clock()
    display = PlainDisplay(clock=clock)
    waiting = make_job(JobState.RUNNING, progress=Progress(note="waiting", queue_position=3, queue_length=7))
    fetching = make_job(
        JobState.FETCHING, progress=Progress(note="downloading", fraction=0.4, parts_done=1, parts_all=4)
    )
    display.begin([waiting])
    for job in (waiting, fetching):
        clock.now += 60
        display.change(job, job)
    assert capsys.readouterr().out.splitlines() == [
        f"{SONG}: waiting, place 3 of 7",
        f"{SONG}: downloading 40 %, 1 of 4 files",
    ]


@pytest.mark.parametrize("quiet", [False, True])
def test_what_went_wrong_goes_to_standard_error_even_if_quiet(capsys: Capture, quiet: bool) -> None:
    display = PlainDisplay(quiet=quiet)
    display.change(make_job(JobState.FAILED), make_job(JobState.RUNNING))
    display.change(make_job(JobState.UNCONFIRMED, job_id="77"), make_job(JobState.SUBMITTING))
    display.refuse(Path("/a.txt"), SourceError("/a.txt is not audio", remedy="leave it out"))
    display.finish(Summary(failed=2, unfinished=1))
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        f"stembridge: {SONG}: failed: out of luck; try luck",
        f"stembridge: {SONG}: unconfirmed: out of luck; try luck; if it has not: stembridge jobs retry 77",
        "stembridge: /a.txt is not audio; leave it out",
        "stopped; 1 job unfinished: stembridge jobs resume",
    ]
    assert bool(out) is not quiet


def test_no_words_are_sought_that_nobody_reads(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Path] = []
    monkeypatch.setattr("plugin_core.console.display.show", shown.append)
    display = PlainDisplay(quiet=True, clock=Clock())
    states = [JobState.QUEUED, JobState.RUNNING, JobState.RUNNING, JobState.DONE]
    jobs = [make_job(state, fraction=0.5) for state in states]
    for previous, job in pairwise(jobs):
        display.change(job, previous)
    assert shown == []
    assert capsys.readouterr() == ("", "")


def test_what_workers_go_on_with_is_left_to_them(capsys: Capture) -> None:
    display = PlainDisplay()
    display.has_workers = True
    display.finish(Summary(unfinished=2))
    told = "stopped looking on; 2 jobs left to the workers: stembridge jobs shows them, jobs cancel ends them\n"
    assert capsys.readouterr() == ("", told)


def test_what_a_job_waits_for_is_told_once(capsys: Capture) -> None:
    display = PlainDisplay(clock=Clock())
    waiting = make_job(JobState.RUNNING, problem=PROBLEM)
    display.begin([waiting])
    display.change(waiting, make_job(JobState.RUNNING))
    display.change(waiting, waiting)
    assert capsys.readouterr() == ("", f"stembridge: {SONG}: waits: no line; plug in\n")


def test_reused_result_names_its_folder(capsys: Capture) -> None:
    PlainDisplay().reuse(make_job(JobState.DONE))
    assert capsys.readouterr().out == f"{SONG}: made before, vocals, other in {STEMS}\n"
