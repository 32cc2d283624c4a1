from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from plugin_core import __main__, hookimpl
from plugin_core.errors import OutcomeUnknownError, RefusedError, SettingsError, SourceError
from tests.plugin_core.cli.conftest import Run
from tests.plugin_core.cli.fakes import FakePoint


class Commands:
    """A plugin with commands that end in every way."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    @hookimpl
    def register_commands(self, group: click.Group) -> None:
        @group.command("fail")
        @click.option("--json", "as_json", is_flag=True)
        def fail(as_json: bool) -> None:
            """End badly."""
            logging.getLogger("plugin_core.test").warning("a warning\non two lines")
            raise self.error


def failing(error: BaseException) -> tuple[FakePoint, ...]:
    return (FakePoint("failing", Commands(error)),)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (SourceError("a.flac is cut off", remedy="copy it anew"), 1, "a.flac is cut off; copy it anew"),
        (SettingsError("config.toml, line 3: no"), 2, "config.toml, line 3: no"),
        (RefusedError("no credits"), 3, "no credits"),
        (OutcomeUnknownError("answer lost"), 4, "answer lost"),
        (ExceptionGroup("several", [SourceError("first"), SourceError("second")]), 1, "first"),
        (click.Abort(), 130, "interrupted; what was begun goes on with: stembridge jobs resume"),
        (KeyboardInterrupt(), 130, "interrupted; what was begun goes on with: stembridge jobs resume"),
    ],
    ids=["source", "settings", "refused", "unknown", "group", "abort", "ctrl-c"],
)
def test_errors_become_one_line_and_a_code(stembridge: Run, error: BaseException, code: int, line: str) -> None:
    result = stembridge("fail", points=failing(error))
    assert (result.code, result.out) == (code, "")
    assert result.err.splitlines() == ["stembridge: a warning on two lines", f"stembridge: {line}"]


def test_who_is_interrupted_where_workers_work_is_not_told_to_resume(
    stembridge: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMBRIDGE_JOBS_DATABASE", "postgresql://127.0.0.1/jobs")
    told = stembridge("fail", points=failing(KeyboardInterrupt())).err.splitlines()[-1]
    assert told.startswith("stembridge: interrupted; workers go on with what was begun") and "resume" not in told


def test_unexpected_errors_leave_their_trace_in_the_log_only(stembridge: Run, home: Path) -> None:
    result = stembridge("fail", points=failing(ZeroDivisionError("by\nzero")))
    log = home / "logs" / "stembridge.log"
    assert result.code == 1
    assert result.err.splitlines()[-1] == f"stembridge: ZeroDivisionError: by zero; details in {log}"
    text = log.read_text(encoding="utf-8")
    assert "Traceback (most recent call last)" in text
    assert "a warning" in text
    assert "Traceback" not in result.err


def test_a_log_that_cannot_be_written_hinders_nothing(stembridge: Run, home: Path) -> None:
    (home / "logs").write_text("in the way")
    result = stembridge("fail", points=failing(ZeroDivisionError("zero")))
    assert result.code == 1
    assert result.err.splitlines()[-1].endswith("stembridge.log cannot be written")


def test_quiet_keeps_warnings_back_and_verbose_tells_more(stembridge: Run) -> None:
    assert stembridge("-q", "fail", points=failing(SourceError("x"))).err == "stembridge: x\n"
    assert stembridge("-v", "fail", points=failing(SourceError("x"))).err.count("a warning") == 1


@pytest.mark.skipif(os.name == "nt", reason="needs a shell's pipe")
def test_a_closed_pipe_is_quiet() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "plugin_core", "--help"]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["separat"], "no command 'separat', did you mean 'separate'?; try 'stembridge --help'"),
        (["jobs", "shwo"], "no command 'shwo', did you mean 'show'?; try 'stembridge jobs --help'"),
        # By what they do, where no name is near.
        (["presets"], "no command 'presets', did you mean 'run'?; try 'stembridge --help'"),
        (["split"], "no command 'split', did you mean 'separate' or 'models'?; try 'stembridge --help'"),
        (["prune"], "no command 'prune', did you mean 'jobs prune'?; try 'stembridge --help'"),
        (["moods"], "no command 'moods', did you mean 'tag'?; try 'stembridge --help'"),
        (
            ["jobs", "delete"],
            "no command 'delete', there are cancel, list, migrate, prune, resume, retry, show;"
            " try 'stembridge jobs --help'",
        ),
        (
            ["separate", "--provder", "x"],
            "no option --provder, did you mean --provider?; try 'stembridge separate --help'",
        ),
        (["separate"], "missing argument 'FILE...'; try 'stembridge separate --help'"),
        (
            ["jobs", "prune", "--older-than", "soon"],
            "invalid value for '--older-than': 'soon' is not a time span such as 30d, 12h or 90min;"
            " try 'stembridge jobs prune --help'",
        ),
    ],
    ids=[
        "command",
        "sub-command",
        "what a command does",
        "what two commands do",
        "of a group",
        "plural",
        "nothing like it",
        "option",
        "argument",
        "value",
    ],
)
def test_usage_errors_are_one_line_with_a_suggestion(stembridge: Run, arguments: list[str], line: str) -> None:
    result = stembridge(*arguments)
    assert (result.code, result.err) == (2, f"stembridge: {line}\n")


@pytest.mark.parametrize(
    ("error", "message", "remedy", "code"),
    [
        (RefusedError("no credits", remedy="buy some"), "no credits", "buy some", 3),
        (click.UsageError("No such thing."), "no such thing", "try 'stembridge fail --help'", 2),
        (ExceptionGroup("several", [OutcomeUnknownError("lost")]), "lost", "", 4),
    ],
    ids=["refused", "usage", "group"],
)
def test_a_program_is_told_of_the_error_that_ends_a_command(
    stembridge: Run, error: Exception, message: str, remedy: str, code: int
) -> None:
    told, end = stembridge("fail", "--json", points=failing(error)).events
    assert told == {"event": "error", "source": None, "message": message, "remedy": remedy, "exit_code": code}
    assert (end["event"], end["done"], end["exit_code"]) == ("summary", 0, code)


@pytest.mark.parametrize(
    "arguments",
    [
        ["separate", "--json"],
        ["separate", "gone.flac", "--json"],
        ["separate", "--no-such", "--json"],
        ["tag", "gone.flac", "--json"],
        ["run", "nope", "gone.flac", "--json"],
        ["account", "--json"],
        ["models", "nothing", "--json"],
        ["login", "--json"],
        ["jobs", "show", "none", "--json"],
        ["jobs", "--json", "cancel", "none"],
        ["mvsep", "history", "--json"],
        ["nonsense", "--json"],
    ],
    ids=" ".join,
)
def test_every_command_tells_programs_of_errors_alike(stembridge: Run, arguments: list[str]) -> None:
    result = stembridge(*arguments)
    told, end = result.events
    assert (told["event"], end["event"]) == ("error", "summary")
    assert told["exit_code"] == end["exit_code"] == result.code != 0
    assert result.err == f"stembridge: {told['message']}{'; ' if told['remedy'] else ''}{told['remedy']}\n"


@pytest.mark.parametrize("error", [click.Abort(), KeyboardInterrupt()], ids=["abort", "ctrl-c"])
def test_an_interrupted_command_ends_with_a_summary(stembridge: Run, error: BaseException) -> None:
    (end,) = stembridge("fail", "--json", points=failing(error)).events
    assert (end["event"], end["exit_code"]) == ("summary", 130)


def test_a_file_called_as_the_option_asks_for_nothing(stembridge: Run) -> None:
    assert stembridge("separate", "--", "--json").out == ""


@pytest.mark.parametrize("home", ["~nobody-of-that-name/stembridge", ""], ids=["unknown user", "none"])
def test_a_home_that_cannot_be_known_is_one_line(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code = f"""
import os, pwd
os.environ.update(STEMBRIDGE_HOME={home!r})
os.environ.pop("HOME", None)
pwd.getpwuid = lambda number: {{}}[number]  # a container's user that no one has named
from plugin_core.cli.app import run
raise SystemExit(run(["jobs", "--json"]))
"""
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("stembridge: ")
    assert done.stderr.count("\n") == 1
    assert "STEMBRIDGE_HOME" in done.stderr
    assert '"event":"error"' in done.stdout


def test_ctrl_c_while_modules_are_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Slow:
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "argv", ["stembridge", "jobs"])
    slow: Any = Slow()
    monkeypatch.setitem(sys.modules, "plugin_core.cli.app", slow)
    assert __main__.main() == 130
    assert capsys.readouterr() == ("", "stembridge: nothing was begun\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_an_error_keeps_its_exit_code_where_nobody_can_be_told() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "plugin_core", "separate", "gone.flac"]
        assert subprocess.run(command, stderr=full, check=False).returncode == 2
