"""Cases 14, 15, 28, 29, 32 and 33 with real processes: killed, stopped, started twice."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile
from stembridge_hot_folder.ledger import LEDGER_NAME, Ledger, SongState
from stembridge_hot_folder.locking import SHARED_NAME, FolderLock

from plugin_core.errors import UsageError
from plugin_core.jobs.store import JobStore
from plugin_core.session import STORE_NAME
from tests.hosts.hot_folder.conftest import Desk, wait_for
from tests.plugin_core.cli.fakes import write_song

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")

ROOT = Path(__file__).parents[3]
SONGS = int(os.environ.get("STEMBRIDGE_TEST_HOT_FOLDER_SONGS", "60"))
KILLS = int(os.environ.get("STEMBRIDGE_TEST_HOT_FOLDER_KILLS", "8"))


def start(desk: Desk, *options: str, is_heard: bool = True, **environ: str) -> subprocess.Popen[bytes]:
    """Start a watch; one that works for long is not heard, since it would wait for a reader of its lines."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("STEMBRIDGE_")}
    command = [sys.executable, "-m", "tests.hosts.hot_folder.host", str(desk.separator.ledger), "watch"]
    return subprocess.Popen(
        [*command, str(desk.root), *options],
        cwd=ROOT,
        env=known | desk.environ | environ,
        stdout=subprocess.PIPE if is_heard else subprocess.DEVNULL,
        stderr=subprocess.PIPE if is_heard else subprocess.DEVNULL,
    )


def finish(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end, and close what was read from."""
    process.communicate(timeout=30)
    return process.returncode


def done_rows(desk: Desk) -> int:
    if not (desk.home / LEDGER_NAME).exists():
        return 0
    with Ledger(desk.home / LEDGER_NAME) as ledger:
        return ledger.counts()[SongState.DONE]


class Guard(threading.Thread):
    """Decodes every file that is ever seen in a *.stems folder, as soon as it is seen."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.seen: set[str] = set()
        self.broken: list[str] = []
        self.is_over = False

    def run(self) -> None:
        while not self.is_over:
            self.look()
            time.sleep(0.005)
        self.look()

    def look(self) -> None:
        for folder in os.scandir(self.root):
            if folder.name.endswith(".stems"):
                for entry in os.scandir(folder.path):
                    if entry.path not in self.seen:
                        self.seen.add(entry.path)
                        self.check(entry.path)

    def check(self, path: str) -> None:
        try:
            samples, _ = soundfile.read(path)
        except (soundfile.LibsndfileError, OSError) as error:
            self.broken.append(f"{path}: {error}")
        else:
            if len(samples) != 800:
                self.broken.append(f"{path}: {len(samples)} samples")


@contextmanager
def guarded(root: Path) -> Iterator[Guard]:
    guard = Guard(root)
    guard.start()
    try:
        yield guard
    finally:
        guard.is_over = True
        guard.join()


def wait_until_all_are_done(desk: Desk) -> None:
    """Wait for as long as there is any progress."""
    done = done_rows(desk)
    while done < SONGS:
        wait_for(lambda: done_rows(desk) > done, lambda: open_rows(desk))  # noqa: B023 - called at once
        done = done_rows(desk)


def open_rows(desk: Desk) -> list[tuple[bytes, str, str]]:
    """Return what is not done, with the states of the jobs."""
    with Ledger(desk.home / LEDGER_NAME) as ledger, JobStore(desk.home / STORE_NAME) as store:
        rows = list(ledger.list([state for state in SongState if state is not SongState.DONE]))
        return [(row.path[-9:], row.state, str([store.get(one).state.value for one in row.jobs])) for row in rows]


def test_case_14_and_15_killed_at_random_each_song_is_done_exactly_once_and_never_half(desk: Desk) -> None:
    rng = random.Random(7)
    for number in range(SONGS):
        write_song(desk.root / f"{number:04}.wav", 0.1, number)
    kills = 0
    with guarded(desk.root) as guard:
        process = start(desk, is_heard=False, CHEAP_SUBMIT_DELAY="0.01")
        try:
            while kills < KILLS and done_rows(desk) < SONGS:
                before = done_rows(desk)
                wait_for(lambda: done_rows(desk) > before or process.poll() is not None)  # noqa: B023 - called at once
                time.sleep(rng.uniform(0, 0.15))
                process.kill()
                process.communicate()
                kills += 1
                process = start(desk, is_heard=False, CHEAP_SUBMIT_DELAY="0.01")
            wait_until_all_are_done(desk)
        finally:
            process.terminate()
            process.communicate(timeout=20)
    assert kills >= min(KILLS, 3)
    assert guard.broken == []
    assert len(guard.seen) == 2 * SONGS
    counted = Counter(desk.separator.paid)
    assert len(counted) == SONGS
    assert set(counted.values()) == {1}
    assert len(list(desk.root.glob("*.stems"))) == SONGS
    assert not list(desk.root.glob("*.error.txt"))


def test_case_14_restart_goes_on_with_the_job_at_the_service_and_pays_once(desk: Desk) -> None:
    desk.song()
    process = start(desk, CHEAP_HOLD="1")
    wait_for(lambda: desk.separator.paid)
    process.kill()
    process.communicate()
    process = start(desk, "--once")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, (out, err)
    assert desk.separator.paid == ["Song.wav"]
    assert len(desk.stems()) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_case_33_first_signal_stops_within_five_seconds_and_leaves_all_resumable(desk: Desk, number: int) -> None:
    desk.song()
    process = start(desk, CHEAP_HOLD="1")
    wait_for(lambda: desk.separator.paid)
    began = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=20)
    assert time.monotonic() - began < 5.5
    assert process.returncode == 130
    assert finish(start(desk, "--once")) == 0
    assert desk.separator.paid == ["Song.wav"]


def test_case_33_second_signal_ends_at_once(desk: Desk) -> None:
    desk.song()
    # A paid call in flight is given some seconds; the second signal does not wait for it.
    process = start(desk, CHEAP_SUBMIT_DELAY="60")
    with Ledger(desk.home / LEDGER_NAME) as ledger:
        wait_for(lambda: ledger.counts()[SongState.WORKING])
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    while b"stopping" not in (line := process.stdout.readline()):
        assert line
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 130
    assert time.monotonic() - began < 2
    process.communicate()


def test_case_33_idle_watch_ends_cleanly(desk: Desk) -> None:
    desk.song()
    process = start(desk)
    wait_for(lambda: done_rows(desk) == 1)
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == 0


def test_service_manager_hears_ready_alive_and_stopping(desk: Desk, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = os.path.relpath(tmp_path / "notify", ROOT)
        manager.bind(os.path.relpath(tmp_path / "notify"))
        manager.settimeout(20)
        process = start(desk, NOTIFY_SOCKET=address, WATCHDOG_USEC="400000")
        heard = [manager.recv(1000) for _ in range(4)]
        process.terminate()
        while not heard[-1].startswith(b"STOPPING=1"):
            heard.append(manager.recv(1000))
        process.communicate(timeout=10)
    assert any(one.startswith(b"READY=1") for one in heard)
    assert heard.count(b"WATCHDOG=1") >= 3


def test_case_28_two_watches_of_one_folder(desk: Desk) -> None:
    first = start(desk)
    wait_for(lambda: (desk.root / ".stembridge.lock").exists())
    desk.song()
    wait_for(lambda: done_rows(desk) == 1)
    second = start(desk, "--once")
    out, err = second.communicate(timeout=20)
    assert second.returncode == 2, (out, err)
    assert b"another stembridge" in err
    first.kill()
    first.communicate()
    # A lock that a crash left behind hinders nobody.
    assert finish(start(desk, "--once")) == 0


def test_case_28_share_locked_by_another_machine(tmp_path: Path) -> None:
    now = [0.0]
    shared = tmp_path / os.fsdecode(SHARED_NAME)
    shared.mkdir()

    def beating(seconds: float) -> None:
        now[0] += seconds
        os.utime(shared, (now[0], now[0]))

    lock = FolderLock(os.fsencode(tmp_path), is_share=True, clock=lambda: now[0], sleep=beating)
    with pytest.raises(UsageError, match="another machine"):
        lock.acquire()
    lock.release()

    def silent(seconds: float) -> None:
        now[0] += seconds

    lock = FolderLock(os.fsencode(tmp_path), is_share=True, clock=lambda: now[0], sleep=silent)
    assert lock.acquire()
    lock.release()
    assert not shared.exists()


@pytest.mark.parametrize("at_once", [1, 3])
def test_case_29_many_files_are_done_oldest_first_and_few_at_once(desk: Desk, at_once: int) -> None:
    desk.set(at_once=at_once)
    desk.separator.polls = 1
    for number in range(30):
        song = desk.song(f"{number:02}.wav", seed=number, seconds=0.05)
        os.utime(song, (1e9 - number, 1e9 - number))
    most: list[int] = []
    with desk.running() as watch:

        def is_over() -> bool:
            most.append(watch.watch.counts().working)
            return len(watch.listener.of("done")) == 30

        wait_for(is_over)
    wanted = [f"{number:02}.wav" for number in reversed(range(30))]
    # Songs at work together are read side by side; which is read first is anybody's guess.
    places = [wanted.index(name) for name in watch.listener.of("taken")]
    assert all(abs(place - number) < 2 * at_once - 1 for number, place in enumerate(places)), places
    assert max(most) <= at_once


def test_case_32_only_the_monotonic_clock_counts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with desk.running() as watch:
        monkeypatch.setattr(time, "time", lambda: 4e9)
        desk.song()
        watch.wait_done("Song.wav")
        monkeypatch.setattr(time, "time", lambda: 1.0)
        desk.song("Other.wav", seed=2)
        watch.wait_done("Other.wav")


def test_json_lines(desk: Desk) -> None:
    desk.song()
    (desk.root / "Bad.wav").write_text("no audio")
    process = start(desk, "--once", "--json")
    out, err = process.communicate(timeout=30)
    events = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 1, err
    assert {
        event["state"] for event in events if event["event"] == "song" and event["source"].endswith("/Song.wav")
    } == {
        "settling",
        "queued",
        "taken",
        "done",
    }
    assert events[-1]["event"] == "summary"
    assert (events[-1]["done"], events[-1]["failed"], events[-1]["exit_code"]) == (1, 1, 1)
