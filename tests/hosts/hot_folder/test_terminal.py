"""The watch on a real terminal: what settles, is queued, at work, done and failed, and why; and the log of it all."""

from __future__ import annotations

import os
import re
import signal
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.hosts.hot_folder.conftest import PATIENCE, Desk, wait_for
from tests.hosts.hot_folder.processes import start

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX terminal")

SIZE: Final = (30, 150)
_ESCAPE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal(threading.Thread):
    """Reads all that is ever drawn."""

    def __init__(self, master: int) -> None:
        super().__init__()
        self._master = master
        self._drawn = b""

    def run(self) -> None:
        while True:
            try:
                read = os.read(self._master, 65536)
            except OSError:
                # Linux tells so that nobody has the other side open any more.
                return
            if not read:
                return
            self._drawn += read

    @property
    def drawn(self) -> str:
        """All that came, escapes included."""
        return self._drawn.decode("utf-8", "replace")

    @property
    def lines(self) -> list[str]:
        """Every line that was ever drawn, redrawn ones again, in plain words."""
        return [line for line in re.split(r"[\r\n]+", _ESCAPE.sub("", self.drawn)) if line.strip()]

    def wait(self, pattern: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Wait until a line that fits was drawn, and do something again and again until then."""

        def is_drawn() -> bool:
            meanwhile()
            return any(re.search(pattern, line) for line in self.lines)

        wait_for(is_drawn, lambda: f"{pattern}: {self.lines[-30:]}")


@contextmanager
def watched(desk: Desk, **environ: str) -> Iterator[tuple[Terminal, Callable[[], int]]]:
    """Watch on a terminal; yields it, and what interrupts the watch and returns its exit code."""
    import fcntl
    import pty
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *SIZE, 0, 0))
    terminal = Terminal(master)
    with open(slave, "wb", buffering=0) as output:  # noqa: PTH123 - a descriptor
        process = start(desk, is_heard=False, output=output, **({"TERM": "xterm-256color"} | environ))
    terminal.start()

    def interrupt() -> int:
        process.send_signal(signal.SIGINT)
        return process.wait(timeout=PATIENCE)

    try:
        yield terminal, interrupt
    finally:
        process.kill()
        process.wait()
        terminal.join()
        os.close(master)


def touch(songs: Sequence[Path]) -> None:
    """Keep songs from settling."""
    for song in songs:
        os.utime(song)


def test_terminal_shows_where_every_song_is_and_why_one_failed(desk: Desk) -> None:
    desk.set(settle_seconds=2, at_once=1)
    gate = desk.home / "gate"
    gate.touch()
    with watched(desk, CHEAP_GATE=str(gate)) as (terminal, interrupt):
        terminal.wait("waiting for songs")
        songs = [desk.song("Anna.wav", seed=1), desk.song("Bela.wav", seed=2)]
        terminal.wait("2 settling", meanwhile=lambda: touch(songs))
        terminal.wait(r"^(Anna|Bela)\.wav +running .*50 %")
        terminal.wait("1 queued, 1 working")
        gate.unlink()
        (desk.root / "Bad.wav").write_text("just words, no audio")
        terminal.wait("2 done, 1 failed")
        terminal.wait(r"Bad\.wav.*not audio")
        assert interrupt() == 1
    for name in ("Anna", "Bela"):
        told = {line for line in terminal.lines if "done" in line and f"{name}.stems" in line}
        assert len(told) == 1, "each song's end is told once"
    assert not any("Traceback" in line or "Error" in line for line in terminal.lines)
    assert terminal.lines[-1] == "2 done, 1 failed"
    assert terminal.drawn.rfind("\x1b[?25h") > terminal.drawn.rfind("\x1b[?25l"), "the cursor shows again"


def test_terminal_that_is_closed_is_a_clean_end(desk: Desk) -> None:
    import pty

    desk.song("Anna.wav")
    master, slave = pty.openpty()
    with open(slave, "wb", buffering=0) as output:  # noqa: PTH123 - a descriptor
        # The last flush is an interpreter's own, of what Python keeps back for most people.
        process = start(
            desk, is_heard=False, within=["env", "-u", "PYTHONUNBUFFERED"], output=output, TERM="xterm-256color"
        )
    drawn = b""
    while b"1 done" not in drawn:
        drawn += os.read(master, 65536)
    os.close(master)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=PATIENCE) == 0
    assert "Traceback" not in (desk.home / "logs" / "stembridge.log").read_text("utf-8")


def test_terminal_that_can_do_nothing_gets_plain_lines(desk: Desk) -> None:
    desk.song("Anna.wav")
    with watched(desk, TERM="dumb") as (terminal, interrupt):
        terminal.wait(r"Anna\.wav.*done|done.*Anna\.wav")
        assert interrupt() == 0
    assert "\x1b" not in terminal.drawn


def test_log_has_a_line_for_each_decision_with_its_reason(desk: Desk) -> None:
    desk.song("Anna.wav", seed=1)
    desk.song("Copy.wav", seed=1)
    os.utime(desk.root / "Anna.wav", (1e9, 1e9))
    (desk.root / "link.wav").symlink_to("Anna.wav")
    (desk.root / "Bad.wav").write_text("just words, no audio")
    desk.set(at_once=1)
    process = start(desk, "--once", is_heard=False)
    assert process.wait(timeout=PATIENCE) == 1
    log = (desk.home / "logs" / "stembridge.log").read_text("utf-8")
    for name, word in (
        ("Anna", "settling"),
        ("Anna", "queued"),
        ("Anna", "taken"),
        ("Anna", "done"),
        ("Copy", "skipped, the same song as"),
        ("link", "passed, a link"),
        ("Bad", "failed, .*not audio"),
    ):
        found = re.findall(rf"^.*INFO.*{name}\.wav: {word}.*$|^.*WARNING.*{name}\.wav: {word}.*$", log, re.MULTILINE)
        assert len(found) == 1, (name, word, log)
