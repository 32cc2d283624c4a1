"""Tables on screens of any width, and whole lines for programs."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from rich.cells import cell_len

from plugin_core.console.phrases import describe_outages
from plugin_core.console.tables import print_table, print_wrapped, show_job, show_jobs
from plugin_core.model import JobState, Problem, Ticket
from tests.plugin_core.cli.jobs import make_job

SONGS = (
    "/home/me/Music/Some Artist/An Album With A Long Name/01 - A Song With Quite A Name.flac",
    "/home/me/音楽/アーティスト/とても長い名前のアルバム/とても長い名前の歌.flac",
    f"/m/{'x' * 120}.flac",
    "/m/" + "Cafe\u0301 👩‍👩‍👧 🇩🇪 " * 9 + ".flac",
)
AWAY = Problem(kind="TransientError", message="MVSEP: no answer in time", since=1_700_000_000.0)


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [20, 50, 80, 200])
def test_no_line_is_wider_than_the_screen_and_no_word_is_lost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    # A simple terminal has as many columns as it says, too.
    monkeypatch.setenv("TERM", "dumb")
    jobs = [make_job(JobState.RUNNING, job_id=f"0192f4c{n}", path=Path(song)) for n, song in enumerate(SONGS)]
    show_jobs(jobs, [job.id for job in jobs], now=90.0)
    lines = lines_of(capsys)
    assert max(map(cell_len, lines)) <= width
    joined = "".join("".join(lines).split())
    assert all(job.id in joined for job in jobs)
    assert joined.count("x") == 120
    assert (joined.count("e\u0301"), joined.count("👩‍👩‍👧"), joined.count("🇩🇪")) == (9, 9, 9)


def test_a_row_becomes_what_the_screen_has_room_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heads, row = ("ID", "STATE", "SOURCE"), ("0192f4c0", "done", "a word " * 10 + "end")
    monkeypatch.setenv("COLUMNS", "60")
    print_table(heads, [row])
    side = lines_of(capsys)
    assert side[0] == "ID        STATE  SOURCE"
    assert side[1].startswith("0192f4c0  done   a word a word")
    assert side[2].startswith("                 word")
    # A column in which nothing stands takes no room.
    monkeypatch.setenv("COLUMNS", "23")
    print_table(("ID", "", "SOURCE"), [("0192f4c0", "", "Some Song.wav")])
    assert lines_of(capsys)[1] == "0192f4c0  Some Song.wav"
    # An id can be copied: it is taken apart by no line end.
    monkeypatch.setenv("COLUMNS", "48")
    print_table(heads, [("0192f4c0-" * 4, "a state of many words", row[2])])
    assert lines_of(capsys)[2] == "0192f4c0-0192f4c0-0192f4c0-0192f4c0-  a state of"
    # Nor is a word that can stay whole.
    monkeypatch.setenv("COLUMNS", "28")
    print_table(("ID", "WHAT", "SOURCE"), [("0192f4c0", "local, centre_weight=4, flac16", "Song.flac")])
    assert lines_of(capsys)[2:] == ["0192f4c0  local,", "          centre_weight=4,", "          flac16", "  Song.flac"]
    monkeypatch.setenv("COLUMNS", "30")
    print_table(heads, [row])
    assert lines_of(capsys)[:3] == ["ID        STATE", "  SOURCE", "0192f4c0  done"]
    monkeypatch.setenv("COLUMNS", "22")
    print_table((*heads, "X"), [(*row[:1], "a state", *row[2:], "y")])
    assert lines_of(capsys)[:2] == ["ID      0192f4c0", "STATE   a state"]
    monkeypatch.delenv("COLUMNS")
    print_table(heads, [row])
    assert lines_of(capsys)[1] == "0192f4c0  done   " + row[2]


def test_a_text_stands_behind_its_head_or_below_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    print_wrapped("head  ", "one two three four five six")
    print_wrapped("a head of its own  ", "one two three four")
    print_wrapped("nothing  ", "")
    assert lines_of(capsys) == [
        *("head  one two three four five", "      six", "a head of its own", "    one two three four"),
    ]


def test_a_trouble_is_told_once_with_when_it_began_and_who_waits(capsys: pytest.CaptureFixture[str]) -> None:
    later = Problem(kind="TransientError", message="MVSEP: no connection (refused)", since=1_700_000_060.0)
    full = Problem(kind="TransientError", message="no space left on the disk", since=1_700_000_000.0)
    waiting = [
        make_job(JobState.RUNNING, job_id=str(number), problem=problem, fraction=0.5)
        for number, problem in enumerate((later, AWAY, full, AWAY))
    ]
    jobs = [*waiting, make_job(JobState.FAILED), make_job(JobState.RUNNING)]
    clock = time.strftime("%H:%M", time.localtime(1_700_000_000.0))
    told = [
        f"fake: not reachable since {clock}, 3 jobs wait",
        f"fake: 1 job waits since {clock}: no space left on the disk",
    ]
    assert describe_outages(jobs) == told
    show_jobs(jobs, ["0"], now=5.0)
    lines = lines_of(capsys)
    assert lines[-2:] == told
    assert [line.split()[1] for line in lines[1:7]] == ["waits"] * 4 + ["failed", "running"]
    assert "50 %" not in "".join(lines)


@pytest.mark.parametrize(("remote", "is_told"), [("0192-a", False), ("theirs", True)])
def test_an_id_of_its_own_is_told_of_a_job_that_a_service_has(
    capsys: pytest.CaptureFixture[str], remote: str, is_told: bool
) -> None:
    job = msgspec.structs.replace(make_job(JobState.DONE), ticket=Ticket(remote_id=remote))
    show_job(job, now=1.0)
    assert ("remote " in capsys.readouterr().out) is is_told
