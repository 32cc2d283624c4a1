"""Cases 22 and 33 for stembridge's own files: a home that is full, read-only or away, a store that others hold."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from stembridge_hot_folder import watch
from stembridge_hot_folder.files import read_identity
from stembridge_hot_folder.ledger import LEDGER_NAME, Row, SongLedger
from stembridge_hot_folder.tools import Stores

from plugin_core.errors import StoreError
from plugin_core.files.database import may_pass
from plugin_core.jobs.store import JobStore
from plugin_core.session import STORE_NAME, Session
from tests.hosts.hot_folder.conftest import PATIENCE, Desk, Listener, Running, mount, wait_for
from tests.hosts.hot_folder.processes import finish, rows_in, start
from tests.postgresql import empty, postgresql

__all__ = ["postgresql"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_TRY_STORES", 0.1)


@pytest.fixture
def home_disk(desk: Desk, tmp_path: Path) -> Iterator[Path]:
    """A disk with nothing but stembridge's home."""
    for disk in mount(tmp_path / "disk", "size=60m"):
        desk.home = disk / "home"
        desk.home.mkdir()
        desk.environ["STEMBRIDGE_HOME"] = str(desk.home)
        yield disk


def fill(disk: Path) -> Path:
    """Leave no byte of a disk."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as out, pytest.raises(OSError, match="No space"):
        while out.write(bytes(4096)):
            pass
    return filler


def pauses(watch: Running) -> list[str]:
    """Return the warnings that nothing can be recorded."""
    return [one.text for one in watch.listener.told if one.word == "warning" and "nothing can be recorded" in one.text]


def is_going_on(watch: Running) -> bool:
    return any("can be written again" in one.text for one in watch.listener.told)


@pytest.mark.parametrize("held", [True, False], ids=["at the service", "not yet taken"])
def test_case_22_full_home_pauses_the_watch_and_it_goes_on_by_itself(desk: Desk, home_disk: Path, held: bool) -> None:
    desk.separator.hold = held
    with desk.running() as watch:
        wait_for(lambda: watch.watch._intakes[0].has_scanned)
        if held:
            desk.song("Held.wav")
            wait_for(lambda: desk.separator.paid)
        filler = fill(home_disk)
        for number in range(3):
            audio = desk.root.parent / f"{number}.wav"
            desk.separator.hold = False
            _write(audio, 10 + number)
            audio.replace(desk.root / audio.name)
        wait_for(lambda: pauses(watch))
        filler.unlink()
        wait_for(lambda: is_going_on(watch))
        names = ["Held.wav"] * held + ["0.wav", "1.wav", "2.wav"]
        watch.wait_done(*names)
    assert len(pauses(watch)) == 1
    assert sorted(desk.separator.paid) == sorted(names)
    assert watch.listener.of("failed") == []


def test_case_22_song_taken_in_the_moment_the_home_is_full_is_not_at_work_for_ever(desk: Desk) -> None:
    """Its work was ended before it began, and it kept its place: after three of them no song was taken any more."""
    path = os.fsencode(desk.song())
    identity = read_identity(path)
    assert identity is not None

    async def take_and_close() -> None:
        with desk.watch(Listener()) as watch:
            workers = watch._workers
            workers.offer(watch._folders[0], path, identity)
            workers.fill()
            assert workers.working == 1
            await workers.close()
            assert (workers.working, workers.holds(path)) == (0, False)

    asyncio.run(take_and_close())


def _write(path: Path, seed: int) -> None:
    from tests.plugin_core.cli.fakes import write_song

    write_song(path, 0.2, seed)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_case_22_whatever_the_system_says_of_a_full_or_read_only_home(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    broken, tried = {"is": False}, list[int]()
    put, check = SongLedger.put, SongLedger.check_writable

    def refuse() -> None:
        try:
            raise OSError(number, os.strerror(number))
        except OSError as error:
            raise StoreError("the ledger", remedy="") from error

    def put_or_refuse(self: SongLedger, row: Row, *, is_end: bool = False) -> Row:
        if broken["is"]:
            refuse()
        return put(self, row, is_end=is_end)

    def check_or_refuse(self: SongLedger) -> None:
        if broken["is"]:
            tried.append(1)
            refuse()
        check(self)

    monkeypatch.setattr(SongLedger, "put", put_or_refuse)
    monkeypatch.setattr(SongLedger, "check_writable", check_or_refuse)
    with desk.running() as watch:
        wait_for(lambda: watch.watch._intakes[0].has_scanned)
        broken["is"] = True
        desk.song()
        wait_for(lambda: tried)
        assert not is_going_on(watch)
        broken["is"] = False
        watch.wait_done("Song.wav")
    assert len(pauses(watch)) == 1
    assert desk.separator.paid == ["Song.wav"]


def test_case_23_home_that_is_away_is_not_taken_for_an_empty_one(desk: Desk) -> None:
    away = desk.home.with_name("away")
    with Stores(desk.home, desk.context().session) as stores:
        desk.home.rename(away)
        desk.home.mkdir()
        with pytest.raises(StoreError) as caught:
            stores.reopen()
        assert may_pass(caught.value)
        assert list(desk.home.iterdir()) == [], "empty stores would buy everything again"
        desk.home.rmdir()
        away.rename(desk.home)
        stores.reopen()
        assert stores.ledger.roots() == []
    assert not list(desk.home.glob(".room*"))


@pytest.mark.skipif(os.name == "nt", reason="Windows moves no folder with open files")
def test_case_23_home_that_is_moved_away_while_the_watch_runs_is_waited_for_and_nothing_is_bought(desk: Desk) -> None:
    """It went on in files that nobody would find again, and paid."""
    away = desk.home.with_name("away")
    with desk.running() as watch:
        wait_for(lambda: watch.watch._intakes[0].has_scanned)
        desk.home.rename(away)
        audio = desk.root.parent / "Song.wav"
        _write(audio, 1)
        audio.replace(desk.root / audio.name)
        wait_for(lambda: pauses(watch), lambda: watch.listener.told)
        assert desk.separator.paid == []
        assert not desk.home.exists()
        away.rename(desk.home)
        watch.wait_done("Song.wav")
    assert desk.separator.paid == ["Song.wav"]
    assert len(pauses(watch)) == 1
    assert "moved or deleted" in pauses(watch)[0]


def test_jobs_on_a_server_are_gone_on_with_though_no_file_of_them_lies_in_the_home(desk: Desk, postgresql: str) -> None:
    empty(postgresql)
    desk.environ |= {"STEMBRIDGE_JOBS_DATABASE": postgresql, "STEMBRIDGE_JOBS_STAGING": str(desk.root)}
    with Stores(desk.home, desk.context().session) as stores:
        stores.reopen()
        assert stores.session.store.list() == [] and not (desk.home / STORE_NAME).exists()


def test_home_that_cannot_be_opened_at_the_start_ends_the_watch(desk: Desk) -> None:
    (desk.home / LEDGER_NAME).mkdir(parents=True)
    process = start(desk)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert len(err.splitlines()) == 1, err


def test_why_the_ledger_cannot_be_opened_is_told_also_where_the_jobs_cannot_be_given_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_session: Session) -> None:
        raise StoreError("cannot be given back")

    (desk.home / LEDGER_NAME).mkdir(parents=True)
    monkeypatch.setattr(Session, "close", fail)
    with pytest.raises(StoreError, match=LEDGER_NAME):
        Stores(desk.home, desk.context().session)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the write lock of a store, as another process may."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def tells_waits() -> bool:
    """Tell whether this system says what a thread waits for: it may be hidden from us."""
    sleeper = threading.Thread(target=time.sleep, args=(5.0,), daemon=True)
    sleeper.start()
    said = Path(f"/proc/self/task/{sleeper.native_id}/wchan")
    while sleeper.is_alive() and said.exists():
        with suppress(OSError):
            if "nanosleep" in said.read_text():
                return True
    return False


needs_proc = pytest.mark.skipif(not tells_waits(), reason="asks /proc what a process waits for")
AN_HOUR = "3600000"


@needs_proc
@pytest.mark.parametrize("name", [STORE_NAME, LEDGER_NAME])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_case_33_signals_do_not_wait_for_a_store_that_is_locked(desk: Desk, number: int, name: str) -> None:
    desk.song()
    process = start(desk, CHEAP_DEADLINE="1", CHEAP_BUSY=AN_HOUR)
    wait_for(lambda: rows_in(desk) == 1)
    with held(desk.home / name):
        desk.song("Next.wav", seed=2)
        wait_for(lambda: waits_for_lock(process))
        process.send_signal(number)
        assert finish(process) == 130
    assert finish(start(desk, "--once")) == 0
    assert desk.separator.paid == ["Song.wav", "Next.wav"]


@needs_proc
def test_case_33_second_signal_does_not_wait_for_a_store_that_is_locked(desk: Desk) -> None:
    desk.song()
    process = start(desk, CHEAP_BUSY=AN_HOUR)
    wait_for(lambda: rows_in(desk) == 1)
    with held(desk.home / LEDGER_NAME):
        desk.song("Next.wav", seed=2)
        wait_for(lambda: waits_for_lock(process))
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert finish(process) == 130


def waits_for_lock(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether a thread sleeps between two tries for a lock, as nothing else in it does."""
    threads = Path(f"/proc/{process.pid}/task").glob("*/wchan")
    return any("nanosleep" in thread.read_text() for thread in threads)


def test_locked_store_pauses_the_watch_and_it_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_core.files.sqlite.BUSY_MS", 50)
    with desk.running() as watch:
        wait_for(lambda: watch.watch._intakes[0].has_scanned)
        with held(desk.home / STORE_NAME):
            desk.song()
            wait_for(lambda: pauses(watch))
        watch.wait_done("Song.wav")
    assert len(pauses(watch)) == 1
    assert desk.separator.paid == ["Song.wav"]


def test_what_was_working_when_the_store_failed_belongs_to_nobody_afterwards(desk: Desk, home_disk: Path) -> None:
    desk.separator.hold = True
    with desk.running() as watch:
        desk.song()
        wait_for(lambda: desk.separator.paid)
        filler = fill(home_disk)
        wait_for(lambda: pauses(watch))
        filler.unlink()
        wait_for(lambda: is_going_on(watch))
        desk.separator.hold = False
        watch.wait_done("Song.wav")
    with JobStore(desk.home / STORE_NAME) as store:
        assert not store.has_active()
    assert desk.separator.paid == ["Song.wav"]
