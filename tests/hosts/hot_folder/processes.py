"""Watches in processes of their own, that can be stopped, killed, and deprived of what a system usually grants."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Final

import pytest
from stembridge_hot_folder.ledger import LEDGER_NAME, SongLedger, SongState

from tests import quick_start
from tests.hosts.hot_folder.conftest import PATIENCE, Desk

ROOT: Final = Path(__file__).parents[3]


def start(
    desk: Desk,
    *options: str,
    is_heard: bool = True,
    within: Sequence[str] = (),
    output: IO[bytes] | None = None,
    **environ: str,
) -> subprocess.Popen[bytes]:
    """Start a watch; one that works for long is not heard, since it would wait for a reader of its lines.

    Args:
        desk: its folder and home.
        options: more words of the command.
        is_heard: whether a pipe is read from.
        within: a command that runs the watch in other circumstances.
        output: takes both streams, in place of pipes.
        environ: more variables.
    """
    known = {name: value for name, value in os.environ.items() if not name.startswith("STEMBRIDGE_")}
    command = [sys.executable, "-m", "tests.hosts.hot_folder.host", str(desk.separator.ledger), "watch"]
    stream = output or (subprocess.PIPE if is_heard else subprocess.DEVNULL)
    return quick_start.Popen(
        [*within, *command, str(desk.root), *options],
        cwd=ROOT,
        env=known | desk.environ | environ,
        stdout=stream,
        stderr=stream,
    )


def finish(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end, and close what was read from."""
    process.communicate(timeout=PATIENCE)
    return process.returncode


def wait_until_said(stream: IO[bytes], words: bytes) -> None:
    """Read lines until one holds some words."""
    heard = []
    while words not in (line := stream.readline()):
        heard.append(line)
        assert line, heard


def rows_in(desk: Desk, state: SongState = SongState.DONE) -> int:
    """Return how many songs are in a state."""
    if not (desk.home / LEDGER_NAME).exists():
        return 0
    with SongLedger(desk.home / LEDGER_NAME) as ledger:
        return ledger.counts()[state]


def limited(name: str, value: int) -> list[str]:
    """Return the command that runs another where the system grants only so many of something.

    Args:
        name: of a file in ``/proc/sys/user``; user_namespaces(7).
        value: at most so many.
    """
    within = ["unshare", "-Ur", "sh", "-c", f'echo {value} > /proc/sys/user/{name} && exec "$@"', "limited"]
    return _require(within, "user namespaces")


def unprivileged() -> list[str]:
    """Return the command that runs another so that permissions count, also for root."""
    if os.getuid():
        return []
    capabilities = "-dac_override,-dac_read_search"
    within = ["setpriv", f"--bounding-set={capabilities}", f"--inh-caps={capabilities}"]
    return _require(within, "setpriv")


def _require(within: list[str], what: str) -> list[str]:
    try:
        is_there = subprocess.run([*within, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        is_there = False
    if not is_there:
        pytest.skip(f"needs {what}")
    return within
