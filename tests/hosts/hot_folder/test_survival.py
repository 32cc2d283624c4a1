"""Cases 28, 29, 32 and 33 with real processes: started twice, stopped, suspended."""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
import time
from pathlib import Path

import pytest
from stembridge_hot_folder.lock import SHARED_NAME, FolderLock

from plugin_core.console.interrupt import WITHIN
from plugin_core.errors import UsageError
from plugin_core.jobs.store import JobStore
from plugin_core.session import Session
from tests import audio_files
from tests.hosts.hot_folder.conftest import PATIENCE, Desk, wait_for
from tests.hosts.hot_folder.processes import finish, rows_in, start, wait_until_said
from tests.hosts.hot_folder.test_complete import ever_slower, longest_gap, write_slowly
from tests.hosts.reaper.schemas import list_event_faults

SCHEMA = "hosts/hot_folder/events.schema.json"
pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_case_33_first_signal_stops_and_leaves_all_resumable(desk: Desk, number: int) -> None:
    desk.song()
    process = start(desk, CHEAP_HOLD="1")
    wait_for(lambda: desk.separator.paid)
    process.send_signal(number)
    assert finish(process) == 130
    assert finish(start(desk, "--once")) == 0
    assert desk.separator.paid == ["Song.wav"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_case_33_a_signal_ends_the_process_within_five_seconds_whatever_still_runs(desk: Desk, number: int) -> None:
    assert WITHIN < 5
    desk.song()
    process = start(desk, CHEAP_DEADLINE="1", CHEAP_SUBMIT_DELAY="3600", CHEAP_GRACE="3600")
    wait_for(desk.separator.asked.exists)
    process.send_signal(number)
    assert finish(process) == 130


def test_case_33_second_signal_ends_at_once(desk: Desk) -> None:
    desk.song()
    # A paid call in flight is given an hour here; the second signal does not wait for it.
    process = start(desk, CHEAP_SUBMIT_DELAY="3600", CHEAP_GRACE="3600")
    wait_for(desk.separator.asked.exists)
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    wait_until_said(process.stdout, b"stopping")
    process.send_signal(signal.SIGTERM)
    assert finish(process) == 130


def test_case_33_idle_watch_ends_cleanly(desk: Desk) -> None:
    desk.song()
    process = start(desk)
    wait_for(lambda: rows_in(desk) == 1)
    process.terminate()
    assert finish(process) == 0


def test_case_33_suspended_in_the_middle_takes_the_song_whole_and_pays_once(desk: Desk, tmp_path: Path) -> None:
    song = audio_files.write_song(tmp_path / "whole.mp3", 2.0, 8000)
    for desk, settle in ever_slower(desk):  # noqa: B020 - each takes the place of the one before
        late = desk.root / "Late.mp3"
        desk.song("Held.wav")
        process = start(desk, CHEAP_POLLS="40")
        wait_for(lambda: desk.separator.paid)  # noqa: B023 - called at once
        # It goes on being written for longer than it would have to lie still, before, during and after the pause.
        with write_slowly(song, late, settle / 10, 40, "keep"):
            wait_for(lambda: late.exists() and late.stat().st_size)  # noqa: B023 - called at once
            time.sleep(settle / 2)
            process.send_signal(signal.SIGSTOP)
            time.sleep(settle * 1.5)
            process.send_signal(signal.SIGCONT)
        wait_for(lambda: rows_in(desk) == 2)  # noqa: B023 - called at once
        process.terminate()
        assert finish(process) == 0
        if longest_gap(song) < settle:
            break
    # Taken before it was whole, it would have been paid for again.
    assert desk.separator.paid == ["Held.wav", "Late.mp3"]


@pytest.mark.parametrize("hours", [5.0, -5.0, -0.75])
def test_case_32_clock_that_is_set_while_a_song_is_at_the_service_holds_nothing_up(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, hours: float
) -> None:
    ahead = [0.0]
    assert Session.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(Session.__init__.__kwdefaults__, "clock", lambda: time.time() + ahead[0])
    assert JobStore.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(JobStore.__init__.__kwdefaults__, "steady", time.monotonic)
    desk.separator.hold = True
    with desk.running() as watch:
        desk.song()
        wait_for(lambda: desk.separator.paid)
        ahead[0] = hours * 3600
        desk.song("Next.wav", seed=2)
        wait_for(lambda: len(desk.separator.paid) == 2)
        desk.separator.hold = False
        watch.wait_done("Song.wav", "Next.wav")
        # Put right again.
        ahead[0] = 0.0
        desk.song("Last.wav", seed=3)
        watch.wait_done("Last.wav")
    assert desk.separator.paid == ["Song.wav", "Next.wav", "Last.wav"]


def test_service_manager_hears_ready_alive_and_stopping(desk: Desk) -> None:
    # The path of a socket must be short.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, tempfile.TemporaryDirectory() as folder:
        address = f"{folder}/notify"
        manager.bind(address)
        manager.settimeout(PATIENCE)
        process = start(desk, NOTIFY_SOCKET=address, WATCHDOG_USEC="400000")
        heard = [manager.recv(1000) for _ in range(4)]
        process.terminate()
        while not heard[-1].startswith(b"STOPPING=1"):
            heard.append(manager.recv(1000))
        process.communicate(timeout=PATIENCE)
    assert any(one.startswith(b"READY=1") for one in heard)
    assert heard.count(b"WATCHDOG=1") >= 3


def test_case_28_two_watches_of_one_folder(desk: Desk) -> None:
    first = start(desk)
    wait_for(lambda: (desk.root / ".stembridge.lock").exists())
    desk.song()
    wait_for(lambda: rows_in(desk) == 1)
    second = start(desk, "--once")
    out, err = second.communicate(timeout=PATIENCE)
    assert second.returncode == 2, (out, err)
    assert (out, len(err.splitlines())) == (b"", 1), "it says of nothing that it watches it"
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
    (desk.root / "Bad.wav").write_text("just words, no audio")
    process = start(desk, "--once", "--json")
    out, err = process.communicate(timeout=PATIENCE)
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
    assert [fault for event in events for fault in list_event_faults(SCHEMA, event["event"], event)] == []
    assert {event["event"] for event in events} == {"song", "job", "note", "summary"}
    times = [event["time"] for event in events]
    assert times == sorted(times)
    assert events[-1]["event"] == "summary"
    assert (events[-1]["done"], events[-1]["failed"], events[-1]["exit_code"]) == (1, 1, 1)
