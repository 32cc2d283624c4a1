from __future__ import annotations

import errno
import io
import re
import threading
from pathlib import Path

import pytest
from rich.console import Console

from plugin_core.console.display import Summary, TimeLeft
from plugin_core.console.live import LiveDisplay
from plugin_core.errors import SourceError
from plugin_core.model import JobState, Problem, Progress
from tests.plugin_core.cli.jobs import make_job


@pytest.fixture
def console() -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, width=80, highlight=False, markup=False, emoji=False, color_system=None
    )


def text_of(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def drawn(display: LiveDisplay) -> list[str]:
    picture = Console(file=io.StringIO(), width=80, highlight=False, markup=False, emoji=False)
    picture.print(display._draw())
    assert isinstance(picture.file, io.StringIO)
    return picture.file.getvalue().splitlines()


def test_lines_of_jobs_fit_eighty_columns(console: Console) -> None:
    with LiveDisplay(console) as display:
        jobs = [
            make_job(
                JobState.QUEUED, job_id=str(number), path=Path(f"/m/{number} A very long name of a song [live].flac")
            )
            for number in range(12)
        ]
        display.begin(jobs)
        for job in jobs[:10]:
            long = make_job(
                JobState.RUNNING, job_id=job.id, path=job.source.path, fraction=0.42, note="a long note " * 5
            )
            display.change(long, job)
        lines = drawn(display)
    assert len(lines) == 9
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].startswith("0 A very long name")
    assert "running" in lines[0]
    assert "42 %" in lines[0]
    assert lines[-1] == "0 of 12 jobs settled, 2 more in work, 2 waiting"


@pytest.mark.parametrize("width", [30, 50, 80, 120])
def test_bars_fit_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    running = make_job(JobState.SUBMITTING, path=Path("/m/A very long name of a song [live].flac"), fraction=0.42)
    display = LiveDisplay(console)
    display._active = {running.id: running}
    monkeypatch.setattr(display._time_left, "of", lambda _job: 59 * 60.0)
    picture = Console(file=io.StringIO(), width=width, color_system=None)
    picture.print(display._draw())
    assert isinstance(picture.file, io.StringIO)
    (line,) = picture.file.getvalue().splitlines()
    assert len(line) <= width
    if width >= 50:
        assert "submitting" in line and "━━" in line and line.startswith("A very long"[: width // 8])
        assert "42 % 59 min left" in line


def test_time_left_is_foretold_once_enough_was_seen(console: Console) -> None:
    now = [0.0]
    left = TimeLeft(lambda: now[0])

    def see(seconds: float, fraction: float, state: JobState = JobState.RUNNING) -> float | None:
        now[0] = seconds
        left.note(make_job(state, fraction=fraction))
        return left.of(make_job(state))

    assert [see(0, 0.1), see(1, 0.2), see(2.5, 0.11)] == [None, None, None]
    assert see(12.5, 0.31) == pytest.approx(34.5)
    now[0] = 22.5
    assert left.of(make_job(JobState.RUNNING)) == pytest.approx(24.5)
    assert see(30, 0.9, JobState.FETCHING) is None, "each step counts from its own beginning"
    assert see(40, 1.0, JobState.FETCHING) == 0.0
    left.note(make_job(JobState.DONE))
    assert left.of(make_job(JobState.DONE)) is None
    with LiveDisplay(console) as display:
        display._time_left = left
        now[0] = 100.0
        before = make_job(JobState.RUNNING, fraction=0.2)
        display.begin([before])
        display.change(before, before)
        now[0] = 110.0
        after = make_job(JobState.RUNNING, fraction=0.4, note="mixing")
        display.change(after, before)
        assert " 40 % 30 s left mixing" in drawn(display)[0]


def test_an_outage_stands_in_place_of_stale_states(console: Console) -> None:
    problem = Problem(kind="TransientError", message="MVSEP: no answer in time", since=1_700_000_000.0)
    with LiveDisplay(console) as display:
        jobs = [make_job(JobState.RUNNING, job_id=str(number), fraction=0.5) for number in range(3)]
        display.begin(jobs)
        for job in jobs[:2]:
            display.change(make_job(JobState.RUNNING, job_id=job.id, fraction=0.5, problem=problem), job)
        lines = drawn(display)
        assert [line.split()[0] for line in lines] == ["Song.flac", "fake:", "0"]
        assert re.fullmatch(r"fake: not reachable since \d\d:\d\d, 2 jobs wait", lines[1])
        display.change(jobs[0], jobs[0])
        assert len(drawn(display)) == 4


def test_queue_and_files_stand_before_the_note(console: Console) -> None:
    job = make_job(JobState.RUNNING, progress=Progress(note="waiting", queue_position=3, queue_length=7))
    other = make_job(
        JobState.FETCHING, job_id="2", progress=Progress(note="downloading", fraction=0.4, parts_done=1, parts_all=4)
    )
    with LiveDisplay(console) as display:
        display.begin([job, other])
        display.change(job, job)
        display.change(other, other)
        lines = drawn(display)
    assert "place 3 of 7 waiting" in lines[0]
    assert " 40 % 1 of 4 files" in lines[1]


def test_a_terminal_that_is_gone_ends_no_thread_of_drawing(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    met = threading.Event()

    def fail(_text: str) -> int:
        met.set()
        raise OSError(errno.EIO, "Input/output error")

    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    with LiveDisplay(console) as display:
        display.begin([make_job(JobState.RUNNING)])
        with monkeypatch.context() as closed:
            closed.setattr(console.file, "write", fail)
            assert met.wait(60)
            thread = display._live._refresh_thread
            assert thread is not None
            met.clear()
            assert met.wait(60), "drawn again"
        assert thread.is_alive() and died == []


def test_finished_jobs_scroll_above_and_the_cursor_comes_back(console: Console) -> None:
    path = Path("/m/[bold]:smile: caf\udce9.flac")
    with LiveDisplay(console) as display:
        running = make_job(JobState.RUNNING, path=path, fraction=0.5)
        display.begin([running])
        display.change(make_job(JobState.DONE, path=path, notes=("an offset was removed",)), running)
        display.change(make_job(JobState.FAILED, job_id="b"), make_job(JobState.RUNNING, job_id="b"))
        display.refuse(Path("/x.txt"), SourceError("/x.txt is not audio"))
        display.finish(Summary(done=1, failed=2, unfinished=1, seconds=5))
    text = text_of(console)
    assert r"done    /m/[bold]:smile: caf\udce9.flac: vocals, other in " in text
    assert "note: an offset was removed" in text
    assert "failed  /music/Song.flac: out of luck; try luck" in text.replace("\\", "/")
    assert "failed  /x.txt is not audio" in text
    assert "1 done, 2 failed in 5 s" in text
    assert "stopped; 1 job unfinished: stembridge jobs resume" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")


def test_a_job_settled_by_another_process_is_printed_once(console: Console) -> None:
    display = LiveDisplay(console)
    done = make_job(JobState.DONE)
    display.change(done, None)
    display.change(done, done)
    assert text_of(console).count("done ") == 1


def test_a_long_look_is_drawn_while_it_lasts(console: Console) -> None:
    with LiveDisplay(console) as display:
        display.look(0, 500)
        display.look(36, 500)
        assert drawn(display) == ["looking at 37 of 500"]
        display.look(500, 500)
        assert drawn(display) == []


def test_what_a_job_waits_for_is_told_once(console: Console) -> None:
    problem = Problem(kind="TransientError", message="no line", remedy="plug in")
    waiting = make_job(JobState.RUNNING, problem=problem)
    display = LiveDisplay(console)
    display.change(waiting, make_job(JobState.RUNNING))
    display.change(waiting, waiting)
    assert text_of(console).replace("\\", "/") == "waits   /music/Song.flac: no line; plug in\n"
