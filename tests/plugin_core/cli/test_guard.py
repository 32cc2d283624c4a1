from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from plugin_core import hookimpl
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
        def fail() -> None:
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
    ids=["command", "sub-command", "option", "argument", "value"],
)
def test_usage_errors_are_one_line_with_a_suggestion(stembridge: Run, arguments: list[str], line: str) -> None:
    result = stembridge(*arguments)
    assert (result.code, result.err) == (2, f"stembridge: {line}\n")
