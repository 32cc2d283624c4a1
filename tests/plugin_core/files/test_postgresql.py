"""A database on a server: what goes wrong in one line, and what happens when the server goes away."""

from __future__ import annotations

import builtins
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from plugin_core.errors import StoreError
from plugin_core.files.database import PassingError, Schema, UndoneError
from plugin_core.files.dialect import translate
from plugin_core.files.postgresql import PLACE, PostgresDatabase
from plugin_core.jobs.store import JobStore
from tests.postgresql import empty

SECRET = "hush-hush"
WORDS = Schema("job store", ("CREATE TABLE words (word TEXT NOT NULL PRIMARY KEY)",))


@pytest.fixture
def address(postgresql: str) -> Iterator[str]:
    """Return the address of a database that holds nothing."""
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {PLACE} CASCADE".encode())
    yield postgresql
    empty(postgresql)
    with psycopg.connect(postgresql, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {PLACE} CASCADE".encode())


@pytest.fixture
def words(address: str) -> Iterator[PostgresDatabase]:
    database = PostgresDatabase(address, WORDS, patience=60.0)
    yield database
    database.close()


def add(database: PostgresDatabase, word: str) -> None:
    with database.write() as connection:
        connection.execute("INSERT INTO words VALUES (?)", (word,))


def all_of(database: PostgresDatabase) -> list[str]:
    with database.read() as connection:
        return [row["word"] for row in connection.execute("SELECT word FROM words ORDER BY word")]


def cut(database: PostgresDatabase) -> None:
    """End the connection from the other side."""
    with psycopg.connect(database._address, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", (database._connection.info.backend_pid,))


@pytest.mark.parametrize(
    ("place", "said", "remedy"),
    [
        (
            f"a place, {SECRET}",
            "is no address of a PostgreSQL database",
            "write it as postgresql://",
        ),
        (f"postgresql://u:{SECRET}@127.0.0.1:port/x", "names port 'port', which is no number", "5432"),
        (f"postgresql://u:{SECRET}@127.0.0.1:1/x", "127.0.0.1:1/x: .*refused", "start PostgreSQL there"),
        (f"{{}}&password={SECRET}&user=nobody", "role .* does not exist", "correct user and password"),
        (f"{{}}&password={SECRET}&dbname=absent", "database .* does not exist", "createdb"),
        ("{}&options=-c%20default_transaction_read_only%3Don", "read-only", "the primary server"),
    ],
    ids=["no address", "no port", "away", "user", "database", "read-only"],
)
def test_what_cannot_be_opened_is_one_line_with_a_remedy_and_no_secret(
    address: str, place: str, said: str, remedy: str
) -> None:
    with pytest.raises(StoreError, match=said) as caught:
        PostgresDatabase(place.format(address), WORDS)
    assert remedy in caught.value.remedy
    assert "\n" not in str(caught.value) and SECRET not in f"{caught.value} {caught.value.remedy}"


def test_a_user_without_rights_is_told_to_get_some(address: str, words: PostgresDatabase) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(b"DROP ROLE IF EXISTS poor; CREATE ROLE poor LOGIN")
        try:
            with pytest.raises(StoreError, match='relation "store" does not exist;') as caught:
                PostgresDatabase(f"{address}&user=poor", WORDS)
        finally:
            connection.execute(b"DROP ROLE poor")
    assert "own the schema" in caught.value.remedy


def test_a_newer_schema_and_one_of_something_else_are_refused(address: str, words: PostgresDatabase) -> None:
    with words.write() as connection:
        connection.execute("UPDATE store SET version = 9")
    with pytest.raises(StoreError, match=r"newer stembridge \(store version 9, known here: 1\)"):
        PostgresDatabase(address, WORDS)
    with words.write() as connection:
        connection.execute("DROP TABLE store")
    others = ("SELECT 1", "CREATE TABLE store (version BIGINT)", "ALTER TABLE store RENAME COLUMN version TO sold")
    for statement in others:
        with words.write() as connection:
            connection.execute(statement)
        with pytest.raises(StoreError, match="of something else"):
            PostgresDatabase(address, WORDS)


def test_an_older_schema_is_brought_up_to_date_once(address: str, words: PostgresDatabase) -> None:
    add(words, "kept")
    newer = Schema("job store", (*WORDS.migrations, "ALTER TABLE words ADD COLUMN more INTEGER"))
    opened: list[PostgresDatabase] = []
    threads = [threading.Thread(target=lambda: opened.append(PostgresDatabase(address, newer))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [all_of(one) for one in opened] == [["kept"]] * 3
    for one in opened:
        one.close()


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "psycopg":
            raise ImportError(name)
        return real(name, *rest)

    for name in ("plugin_core.files.postgresql", "plugin_core.jobs.presence"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(StoreError, match="needs psycopg") as caught:
        JobStore("postgresql://host/name")
    assert caught.value.remedy.endswith("-m pip install 'stembridge[distributed]'")


def test_a_lost_connection_is_made_anew_and_said_once_where_it_takes_time(
    words: PostgresDatabase, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(words, "one")
    cut(words)
    assert all_of(words) == ["one"]
    cut(words)
    tries, connect = iter((True, True, False)), words._connect

    def fail_first() -> Any:
        if next(tries):
            raise psycopg.OperationalError(f"the database system is starting up {SECRET}")
        return connect()

    monkeypatch.setattr(words, "_connect", fail_first)
    words._password = SECRET
    with caplog.at_level(logging.WARNING):
        add(words, "two")
    assert [record.getMessage().split(";")[0].split(" postgres")[0] for record in caplog.records] == [
        "the job store",
        "the job store is back",
    ]
    assert SECRET not in caplog.text
    monkeypatch.undo()
    assert all_of(words) == ["one", "two"]


def test_a_server_that_is_about_to_answer_is_waited_for_from_the_start(
    address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lead = 'connection failed: connection to server at "::1", port 1 failed: FATAL:  the database system is'
    errors = [f"{lead} starting up", f"{lead} not yet accepting connections\nDETAIL:  Recovery goes on."]
    connect = PostgresDatabase._connect

    def connect_late(self: PostgresDatabase) -> Any:
        if errors:
            raise psycopg.OperationalError(errors.pop(0))
        return connect(self)

    monkeypatch.setattr(PostgresDatabase, "_connect", connect_late)
    database = PostgresDatabase(address, WORDS)
    add(database, "late")
    database.close()
    away, back = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    # In one line, without what libpq says of any address.
    assert away.endswith("is away; waiting for it: the database system is not yet accepting connections")
    assert back == "the job store is back"


def test_many_rows_that_are_cut_off_are_told_of_in_one_line(words: PostgresDatabase) -> None:
    def cut_in_between() -> Iterator[tuple[str]]:
        yield ("first",)
        cut(words)
        yield from ((f"word {number}",) for number in range(2000))

    with pytest.raises(UndoneError) as caught, words.write() as connection:
        connection.executemany("INSERT INTO words VALUES (?)", cut_in_between())
    assert "This probably means" not in str(caught.value)
    # What psycopg logs of it would go to the terminal where nobody takes it.
    assert logging.getLogger("psycopg").handlers


def test_nothing_is_kept_of_a_transaction_that_was_cut_and_it_is_begun_anew(words: PostgresDatabase) -> None:
    tries: list[int] = []

    def work() -> None:
        with words.write() as connection:
            connection.execute("INSERT INTO words VALUES ('once')")
            if not tries:
                tries.append(1)
                cut(words)
            connection.execute("INSERT INTO words VALUES ('twice')")

    with pytest.raises(UndoneError):
        work()
    assert all_of(words) == []
    tries.clear()
    words.begin_anew(work)
    assert all_of(words) == ["once", "twice"]


@pytest.mark.parametrize(("is_kept", "is_same_server"), [(True, True), (False, True), (True, False)])
def test_how_a_commit_ended_whose_answer_was_lost_is_asked_for(
    words: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, is_kept: bool, is_same_server: bool
) -> None:
    real = words._connection
    if not is_same_server:
        # What that one promised to keep may be lost, and the transaction's name be another's by now.
        words._server = "one that is no more"

    class Cut:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def execute(self, statement: Any, *rest: Any) -> Any:
            if statement == "COMMIT":
                if is_kept:
                    real.execute("COMMIT")
                real.close()
            return real.execute(statement, *rest)

    words._connection = Cut()  # type: ignore[assignment]
    if is_kept and is_same_server:
        add(words, "kept")
    else:
        with pytest.raises(UndoneError):
            add(words, "kept")
    assert all_of(words) == (["kept"] if is_kept else [])


def test_who_writes_alone_is_waited_for_to_the_end_of_patience(address: str, words: PostgresDatabase) -> None:
    other = PostgresDatabase(address, WORDS, patience=0.0)
    with words.write(), pytest.raises(PassingError, match="lock timeout"), other.write():
        pass
    with words.write(), other.write(alone=False) as connection:
        connection.execute("INSERT INTO words VALUES ('beside')")
    assert all_of(words) == ["beside"]
    other.close()


def test_a_statement_is_translated() -> None:
    given = "SELECT json_extract(j.body, '$.a.b') FROM jobs j INDEXED BY jobs_due WHERE x LIKE '%' AND y = ? AND z = :z"
    assert translate(given) == (
        "SELECT (j.body::json #>> '{a,b}') FROM jobs j WHERE x LIKE '%%' AND y = %s AND z = %(z)s"
    )
