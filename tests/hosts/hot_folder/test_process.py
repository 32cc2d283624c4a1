"""The watch's process: what it says to systemd, and how it notices that it did not run."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from stembridge_hot_folder.display import Notifier
from stembridge_hot_folder.files import FileIdentity
from stembridge_hot_folder.settler import Patience, Settler
from stembridge_hot_folder.tools import GAP, TICK, SleepDetector
from stembridge_hot_folder.workers import Workers

from plugin_core.manifests import manifest
from tests.hosts.hot_folder.conftest import PATIENCE, Desk, wait_for

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="needs Unix sockets")


class Manager:
    """Hears what a service tells."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        listener.setblocking(False)

    @property
    def hears(self) -> bool:
        """Whether something came."""
        return bool(select.select([self._listener], [], [], 0)[0])

    def heard(self) -> list[bytes]:
        """Return all that came since the last call."""
        found = []
        while True:
            try:
                found.append(self._listener.recv(1000))
            except BlockingIOError:
                return found


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        monkeypatch.chdir(tmp_path)
        listener.bind("notify")
        monkeypatch.setenv("NOTIFY_SOCKET", "notify")
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        yield Manager(listener)


def test_beats_are_as_often_as_they_are_wanted(manager: Manager) -> None:
    notifier = Notifier()
    heard = []
    for hundredth in range(21):
        notifier.beat(1000 + hundredth / 100)
        heard += manager.heard()
    assert heard == [b"WATCHDOG=1"] * 3


def test_manager_that_does_not_read_holds_nothing_up(manager: Manager) -> None:
    notifier = Notifier()
    for second in range(1000):
        notifier.beat(second)
    assert manager.heard()


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": "notify"}, {"NOTIFY_SOCKET": "missing"}], ids=str)
def test_without_a_manager_or_its_wish_nothing_is_told(manager: Manager, environ: dict[str, str]) -> None:
    Notifier(environ).beat(0.0)
    assert manager.heard() == []


def test_loop_that_hangs_gives_no_sign_of_life(desk: Desk, manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs, is_hanging, goes_on = threading.Event(), threading.Event(), threading.Event()
    fill = Workers.fill

    def hang(workers: Workers) -> None:
        if hangs.is_set():
            is_hanging.set()
            goes_on.wait(PATIENCE)
        fill(workers)

    monkeypatch.setattr(Workers, "fill", hang)
    with desk.running():
        told: list[bytes] = []
        while told.count(b"WATCHDOG=1") < 3:
            wait_for(lambda: manager.hears)
            told += manager.heard()
        assert any(one.startswith(b"READY=1") for one in told)
        hangs.set()
        assert is_hanging.wait(PATIENCE)
        manager.heard()
        time.sleep(0.5)
        silence = manager.heard()
        goes_on.set()
        wait_for(lambda: b"WATCHDOG=1" in manager.heard())
    assert silence == []


@pytest.mark.parametrize("name", ["stembridge-watch.service", "stembridge-watch.user.service"])
def test_plain_stop_is_no_failure_and_every_other_end_is_a_new_start(name: str) -> None:
    unit = manifest(f"hosts/hot_folder/{name}").read_text("utf-8").splitlines()
    # 1: some songs failed; 3: an account is refused; 4: something is unconfirmed; 130: songs are left.
    assert "SuccessExitStatus=1 3 4 130" in unit
    assert "Restart=always" in unit
    assert any(line.startswith("WatchdogSec=") for line in unit)
    assert "Type=notify" in unit
    assert "NotifyAccess=main" in unit


A = FileIdentity(1, 2, 100, 5)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def count_after(awake: SleepDetector, clock: Clock, *steps: float) -> int:
    for step in steps:
        clock.now += step
        awake.count()
    return awake.count()


def test_case_33_regular_ticks_are_no_gap() -> None:
    clock = Clock()
    assert count_after(SleepDetector(clock), clock, *[TICK] * 100, TICK * 2) == 0


def test_case_33_each_stop_is_a_gap() -> None:
    clock = Clock()
    awake = SleepDetector(clock)
    assert count_after(awake, clock, TICK, GAP) == 1
    assert count_after(awake, clock, *[TICK] * 100, 3600.0) == 2


def test_case_33_machine_that_is_only_slow_settles_files_all_the_same() -> None:
    clock = Clock()
    awake = SleepDetector(clock)
    found = count_after(awake, clock, *[GAP] * 100)
    assert found < 10
    assert count_after(awake, clock, *[TICK] * 100, 3600.0) == found + 1, "after a calm a stop is a stop again"


def test_case_33_files_wait_for_the_whole_settle_time_after_a_stop() -> None:
    settler = Settler(Patience(settle=5, max_wait=600), lambda path: True)
    settler.observe(b"a", A, 0)
    settler.start_anew(100)
    assert settler.due(104) == []
    assert not settler.observe(b"a", A, 104)
    assert settler.observe(b"a", A, 105)
