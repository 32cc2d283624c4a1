from __future__ import annotations

from pathlib import Path

import click
import pytest

from plugin_core.console.phrases import (
    clean,
    describe,
    describe_place,
    parse_span,
    percent,
    plural,
    say_of,
    short_span,
    show,
    span,
)
from plugin_core.model import JobState, Progress, Separation, Tagging, amount
from tests.plugin_core.cli.jobs import make_job


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "1 min"), (12, "12 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (356400, "4 d 3 h")],
)
def test_span_takes_two_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_short_span_takes_one_unit() -> None:
    assert [short_span(seconds) for seconds in (45, 200, 7500)] == ["45 s", "3 min", "2 h"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30d", 2592000), ("12 h", 43200), ("90min", 5400), ("45s", 45), ("1.5h", 5400), ("2w", 1209600)],
)
def test_parse_span_reads_what_people_write(text: str, seconds: float) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1y", "1 month"])
def test_parse_span_refuses_the_rest(text: str) -> None:
    with pytest.raises(click.BadParameter, match="not a time span"):
        parse_span(text)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("{path} is empty", "a is empty"),
        ("is empty", "a: is empty"),
        ("no room in {path}.stems", "no room in a.stems"),
        ("", "a"),
    ],
    ids=["named", "not named", "folder", "nothing"],
)
def test_what_is_said_of_a_file_names_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert say_of(tmp_path / "a", said.format(path=tmp_path / "a")) == line


def test_show_is_relative_below_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert show(tmp_path / "a" / "b.flac") == str(Path("a", "b.flac"))
    assert show(tmp_path.parent / "c.flac") == str(tmp_path.parent / "c.flac")


def test_odd_names_become_printable() -> None:
    odd = "caf\udce9.flac"
    assert clean(odd).encode() == rb"caf\udce9.flac"
    assert show(Path(odd)) == r"caf\udce9.flac"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
        ("a\x9b31mb\x7f\x00", r"a\x9b31mb\x7f\x00"),
        ("bad\r\nstembridge: all well\n", "bad stembridge: all well "),
        ("a \u2028 b\x85c\td", "a b c d"),
        ("gnp\u202eflac\u2066x\u2069", r"gnp\u202eflac\u2066x\u2069"),
        ("  note: [red]50 %[/red] 愛 é", "  note: [red]50 %[/red] 愛 é"),
    ],
    ids=["ansi", "c1", "lines", "spaces", "bidi", "harmless"],
)
def test_words_from_outside_steer_no_terminal(text: str, shown: str) -> None:
    assert clean(text) == shown
    assert clean(clean(text)) == shown


def test_plural_and_amount() -> None:
    assert (plural(1, "song"), plural(2, "song"), plural(0, "song")) == ("1 song", "2 songs", "0 songs")
    assert (amount(12.0), amount(0.5), amount(1.255), amount(100)) == ("12", "0.5", "1.25", "100")


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (Separation(provider="local"), "local"),
        (Separation(provider="a", model="b", stems=("vocals",), minus=("drums",)), "a b: vocals, without drums"),
        (Tagging(provider="m", dimensions=("mood", "genre")), "m: label mood, genre"),
    ],
    ids=["bare", "full", "tagging"],
)
def test_describe(operation: Separation | Tagging, text: str) -> None:
    assert describe(operation) == text


def test_describe_names_the_model_in_words() -> None:
    wish = Separation(provider="mvsep", model="40", stems=("vocals",))
    assert describe(wish, "BS\x1b Roformer") == r"mvsep 40 (BS\x1b Roformer): vocals"


@pytest.mark.parametrize(
    ("state", "progress", "text"),
    [
        (JobState.RUNNING, None, ""),
        (JobState.RUNNING, Progress(fraction=0.5, note="working"), ""),
        (JobState.RUNNING, Progress(queue_position=3, queue_length=7), "place 3 of 7"),
        (JobState.RUNNING, Progress(queue_position=3), "place 3 in the queue"),
        (JobState.RUNNING, Progress(queue_position=3, queue_length=2), "place 3 in the queue"),
        (JobState.RUNNING, Progress(queue_length=7), ""),
        (JobState.RUNNING, Progress(parts_done=2, parts_all=5), "2 of 5 parts"),
        (JobState.FETCHING, Progress(parts_all=4), "0 of 4 files"),
        (JobState.FETCHING, Progress(parts_done=1, parts_all=1), ""),
        (
            JobState.RUNNING,
            Progress(queue_position=0, queue_length=1, parts_done=1, parts_all=2),
            "place 0 of 1, 1 of 2 parts",
        ),
    ],
    ids=["nothing", "share", "queue", "no length", "odd length", "no place", "parts", "files", "single", "both"],
)
def test_where_a_job_stands(state: JobState, progress: Progress | None, text: str) -> None:
    assert describe_place(make_job(state, progress=progress)) == text


def test_percent_is_empty_when_unknown() -> None:
    assert (percent(None), percent(0.0), percent(0.42), percent(1.0)) == ("", "0 %", "42 %", "100 %")
