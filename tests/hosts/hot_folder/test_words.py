"""What people read: each line once, true, and with what to do."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from stembridge_hot_folder.commands import watch
from stembridge_hot_folder.song.error_file import write_error
from stembridge_hot_folder.status import show_status

from tests.hosts.hot_folder.conftest import Desk
from tests.hosts.hot_folder.processes import start


def lines_of(desk: Desk, *options: str) -> list[str]:
    """Run a watch and return the lines of both streams."""
    process = start(desk, *options)
    out, err = process.communicate(timeout=30)
    return [*out.decode().splitlines(), *err.decode().splitlines()]


def test_help_shows_both_ways_to_call_and_every_sentence_whole() -> None:
    lines = CliRunner().invoke(watch, ["--help"]).output.splitlines()
    usage = [line.removeprefix("Usage:").split() for line in lines[:2]]
    assert [words[1:] for words in usage] == [["[OPTIONS]", "DIR..."], ["COMMAND", "[ARGS]..."]]
    assert usage[0][0] == usage[1][0]
    assert not [line for line in lines if line.endswith("...") and line not in lines[:2]]
    assert not [line for line in lines if line.strip() == "DIR..."]


def test_folder_called_folders_is_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(watch.commands["folders"], "callback", lambda **values: seen.append(values["folders"]))
    result = CliRunner().invoke(watch, ["folders"])
    assert result.exception is None, result.output
    assert seen == [(Path("folders"),)]


def test_status_names_a_failed_song_once(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    (desk.root / "Bad.wav").write_text("just words, no audio")
    desk.once()
    capsys.readouterr()
    assert show_status(desk.face(), [desk.root], as_json=False) == 1
    [line] = [line for line in capsys.readouterr().out.splitlines() if "Bad.wav" in line]
    assert line.count("Bad.wav") == 1
    assert "not audio" in line


def test_once_names_what_it_leaves_and_why(desk: Desk) -> None:
    (desk.root / "Empty.wav").touch()
    desk.song()
    lines = lines_of(desk, "--once")
    assert [line for line in lines if "Empty.wav" in line] == [f"{desk.root / 'Empty.wav'}: left, it is empty"]
    assert lines[-1] == "1 left, 1 done"


def test_done_line_says_that_the_stems_moved_too(desk: Desk) -> None:
    desk.set(done="done")
    desk.song()
    [line] = [line for line in lines_of(desk, "--once") if ": done, " in line]
    assert line.endswith(f"; moved, with its stems, to {desk.root / 'done' / 'Song.wav'}")


def test_note_always_says_what_to_do(tmp_path: Path) -> None:
    song = tmp_path / "Song.wav"
    write_error(bytes(song), "it is broken", "")
    lines = (tmp_path / "Song.wav.error.txt").read_text("utf-8").splitlines()
    assert "What to do:    take the song away, or put one that works in its place" in lines
    assert not any(not one and not other for one, other in itertools.pairwise(lines))


def test_log_of_the_listener_does_not_reach_the_terminal() -> None:
    code = (
        "import logging, stembridge_hot_folder.folder.waking\n"
        "logging.getLogger('watchdog.observers.inotify').warning('called when the thread is inactive')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr == b""
