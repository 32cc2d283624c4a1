from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from plugin_core.console import context
from plugin_core.console.context import ROOTS, Logs
from plugin_core.transfer import redaction
from tests.raw_lines import RawLines, collect_garbage


def tell(message: str, at: float) -> None:
    (root, *_) = ROOTS
    record = root.makeRecord(root.name, logging.WARNING, __file__, 0, message, (), None)
    record.created = at
    root.handle(record)


def test_what_several_tell_at_once_is_one_line_and_later_it_is_news(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = Logs(tmp_path)
    logs.open(verbose=False, quiet=False)
    try:
        for message, at in (("broken", 10.0), ("broken", 10.1), ("other", 10.2), ("broken", 10.3), ("broken", 99.0)):
            tell(message, at)
    finally:
        logs.close()
    told = capsys.readouterr().err.splitlines()
    assert told == [f"stembridge: {message}" for message in ("broken", "other", "broken", "broken")]
    assert logs.has_said("other")
    assert not logs.has_said("nothing")
    assert (tmp_path / "logs" / "stembridge.log").read_text().count("broken") == 4


def test_a_log_that_is_full_goes_aside_and_only_so_many_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "MAX_BYTES", 200)
    logs = Logs(tmp_path)
    logs.open(verbose=False, quiet=False)
    try:
        for number in range(40):
            tell(f"message {number}", float(number))
    finally:
        logs.close()
    kept = {path.name: path.read_text().splitlines() for path in (tmp_path / "logs").iterdir()}
    assert set(kept) == {"stembridge.log", *(f"stembridge.log.{number + 1}" for number in range(context.BACKUPS))}
    assert kept["stembridge.log"][-1].endswith("message 39")
    assert all(0 < sum(map(len, lines[:-1])) <= 200 for lines in kept.values())


@pytest.mark.parametrize("root", ROOTS, ids=[root.name for root in ROOTS])
def test_hosts_are_logged_like_the_core_with_secrets_masked(
    root: logging.Logger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    redaction.register("hunter2-hunter2")
    logs = Logs(tmp_path)
    logs.open(verbose=False, quiet=False)
    try:
        log = logging.getLogger(f"{root.name}.somewhere")
        log.warning("sent %s", "hunter2-hunter2")
        log.info("seen hunter2-hunter2")
    finally:
        logs.close()
    log.error("after the end")
    assert capsys.readouterr().err == f"stembridge: sent {redaction.MASK}\n"
    kept = (tmp_path / "logs" / "stembridge.log").read_text().splitlines()
    assert [line.partition(f"{root.name}.somewhere: ")[2] for line in kept] == [
        f"sent {redaction.MASK}",
        f"seen {redaction.MASK}",
    ]


@pytest.fixture
def full_home(home: Path) -> Path:
    """A home whose log lies on a full disk."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    (home / "logs").mkdir()
    (home / "logs" / "stembridge.log").symlink_to("/dev/full")
    return home


def test_a_home_that_is_full_is_no_logging_error(
    full_home: Path, capsys: pytest.CaptureFixture[str], raw_lines: RawLines
) -> None:
    logs = Logs(full_home)
    logs.open(verbose=False, quiet=False)
    try:
        for number in range(100):
            logging.getLogger("plugin_core.somewhere").warning("line %d", number)
        assert not logs.keep_traceback("broken", ValueError("boom"))
    finally:
        logs.close()
    collect_garbage()
    assert capsys.readouterr().err.splitlines() == [f"stembridge: line {number}" for number in range(100)]
    assert raw_lines.take() == []


def test_a_command_with_a_home_that_is_full_says_what_it_has_to_say(full_home: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "plugin_core", "separate", str(tmp_path / "None.flac")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "Logging error" not in done.stderr
    assert done.stderr.count("\n") == 1
