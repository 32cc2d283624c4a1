"""The SQLite file under the job store and the hot folder's ledger: locks, modes, disks that are full, words."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from plugin_core.errors import StoreError
from plugin_core.files import database as module
from plugin_core.files import sqlite
from plugin_core.files.database import Connection, Database, Schema, may_pass
from plugin_core.files.sqlite import SqliteFile

SCHEMA = Schema("book", ("CREATE TABLE words (word TEXT)",), if_damaged="burn it")
FULL, NORMAL = 2, 1

LOCKS = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDWR)
try:
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)
except OSError:
    print("held")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "book.sqlite3"


def add(database: Database, word: str, *, durable: bool = True) -> None:
    with database.write(durable=durable) as connection:
        connection.execute("INSERT INTO words VALUES (?)", (word,))


def words(database: Database) -> list[str]:
    with database.read() as connection:
        return [row["word"] for row in connection.execute("SELECT word FROM words")]


def test_what_is_written_is_there_for_the_next(path: Path) -> None:
    one = SqliteFile(path, SCHEMA)
    add(one, "first")
    with pytest.raises(ZeroDivisionError), one.write() as connection:
        connection.execute("INSERT INTO words VALUES ('half')")
        raise ZeroDivisionError
    one.close()
    other = SqliteFile(path, SCHEMA)
    assert words(other) == ["first"]
    other.close()


def test_only_a_durable_commit_waits_for_the_disk(path: Path) -> None:
    database = SqliteFile(path, SCHEMA)
    for durable, wanted in ((False, NORMAL), (True, FULL), (True, FULL), (False, NORMAL)):
        add(database, "word", durable=durable)
        with database.read() as connection:
            assert connection.execute("PRAGMA synchronous").fetchone()[0] == wanted
    database.close()


def test_a_file_in_use_by_another_process_is_opened_and_read_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugin_core.files.sqlite.BUSY_MS", 20)
    database = SqliteFile(path, SCHEMA)
    add(database, "first")
    database.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with closing(SqliteFile(path, SCHEMA)) as opened:
            assert words(opened) == ["first"]


def test_what_is_deleted_is_given_back_to_the_disk(path: Path) -> None:
    with closing(SqliteFile(path, SCHEMA)) as database:
        for _ in range(20):
            add(database, "x" * 100_000, durable=False)
        with database.write() as connection:
            connection.execute("DELETE FROM words")
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
        database.give_back()
        with database.read() as connection:
            assert connection.execute("PRAGMA page_count").fetchone()[0] < pages / 10


class Clock:
    """Stands for the module ``time``, and goes on only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.mark.parametrize("costs", [(1e-6, 1e-6), (1e-5, 1e-3), (1e-3, 1e-5)], ids=["fast", "slower", "quicker"])
def test_much_work_holds_the_file_for_a_moment_each_time(
    path: Path, monkeypatch: pytest.MonkeyPatch, costs: tuple[float, float]
) -> None:
    clock, held, left = Clock(), list[float](), 4000
    monkeypatch.setattr(module, "time", clock)

    def change(_connection: Connection, limit: int) -> int:
        nonlocal left
        some, cost = min(limit, left), costs[left <= 2000]
        left -= some
        held.append(some * cost)
        clock.now += some * cost
        return some

    with closing(SqliteFile(path, SCHEMA)) as database:
        assert database.work_off(change) == 4000
    # As much work as takes that long, once it has shown how long that is, and as long a gap for others.
    most = module._HELD_FOR
    assert sum(seconds > 2 * most for seconds in held[1:]) <= (costs[1] > costs[0])
    assert len(held) < 12 + sum(held) / (most / 2)
    assert clock.slept == pytest.approx([min(seconds, most) for seconds in held])


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_file_is_its_owner_s_alone(path: Path) -> None:
    before = os.umask(0)
    try:
        database = SqliteFile(path, SCHEMA)
        add(database, "secret")
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert {one.stat().st_mode & 0o777 for one in path.parent.iterdir()} == {0o600}
        database.close()
    finally:
        os.umask(before)


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
def test_opening_twice_keeps_the_locks_of_the_first(path: Path) -> None:
    """POSIX gives all locks of a process on a file back when any descriptor of it is closed."""
    first = SqliteFile(path, SCHEMA)
    add(first, "word")
    held = [sys.executable, "-c", LOCKS, str(path)]
    assert subprocess.run(held, capture_output=True, check=True).stdout == b"held\n"
    second = SqliteFile(path, SCHEMA)
    try:
        assert subprocess.run(held, capture_output=True, check=True).stdout == b"held\n"
    finally:
        second.close()
        first.close()


def test_locked_file_may_pass_and_damaged_or_newer_ones_may_not(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_core.files.sqlite.BUSY_MS", 20)
    database = SqliteFile(path, SCHEMA)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"book .*locked; another process") as locked:
            database.check_writable()
    database.check_writable()
    database.close()
    assert may_pass(locked.value)
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 7")
    with pytest.raises(StoreError, match="newer stembridge") as newer:
        SqliteFile(path, SCHEMA)
    assert not may_pass(newer.value)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="not a database; burn it") as damaged:
        SqliteFile(path, SCHEMA)
    assert not may_pass(damaged.value)


@pytest.mark.skipif(os.name == "nt", reason="Windows moves no file that is open")
@pytest.mark.parametrize("is_replaced", [False, True])
def test_nothing_is_recorded_in_a_file_that_was_moved_or_deleted_until_it_is_put_back(
    path: Path, is_replaced: bool
) -> None:
    database, away = SqliteFile(path, SCHEMA), path.with_name("away")
    path.rename(away)
    if is_replaced:
        path.write_bytes(away.read_bytes())
    with pytest.raises(StoreError, match="moved or deleted while it was in use") as caught:
        add(database, "lost")
    assert may_pass(caught.value)
    away.replace(path)
    add(database, "kept")
    assert words(database) == ["kept"]
    database.close()


def test_full_and_read_only_files_may_pass(path: Path) -> None:
    database = SqliteFile(path, SCHEMA)
    with database.read() as connection:
        connection.execute("PRAGMA query_only = 1")
    with pytest.raises(StoreError, match=r"readonly.*make the folder") as refused:
        add(database, "word")
    assert may_pass(refused.value)
    with database.read() as connection:
        connection.execute("PRAGMA query_only = 0")
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match="full; free some space") as full:
        add(database, "word" * 10_000)
    assert may_pass(full.value)
    assert words(database) == []
    database.close()


@pytest.mark.parametrize(("free", "told"), [(4096, "disk is full; free some space"), (1 << 30, "I/O error; make the")])
def test_input_errors_of_a_full_disk_are_told_as_that(
    path: Path, monkeypatch: pytest.MonkeyPatch, free: int, told: str
) -> None:
    database = SqliteFile(path, SCHEMA)
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
    monkeypatch.setattr(sqlite, "free_bytes", lambda _folder: free)
    with pytest.raises(StoreError, match=told) as caught, database.read():
        raise error
    assert may_pass(caught.value)
    database.close()


def test_folder_that_cannot_be_made_may_pass(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="point STEMBRIDGE_HOME elsewhere") as caught:
        SqliteFile(tmp_path / "file" / "book.sqlite3", SCHEMA)
    assert may_pass(caught.value)
