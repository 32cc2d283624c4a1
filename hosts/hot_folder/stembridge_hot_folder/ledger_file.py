"""The SQLite file of the ledger: its tables, what a commit waits for, and its errors in plain words."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from plugin_core.errors import StoreError
from plugin_core.model import show_path

_VERSION: Final = 1
_SCHEMA: Final = (
    """CREATE TABLE songs (
        path BLOB NOT NULL PRIMARY KEY,
        root BLOB NOT NULL,
        identity TEXT NOT NULL,
        state TEXT NOT NULL,
        content TEXT NOT NULL DEFAULT '',
        recipe TEXT NOT NULL DEFAULT '',
        reason TEXT NOT NULL DEFAULT '',
        jobs TEXT NOT NULL DEFAULT '',
        place BLOB,
        updated REAL NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX songs_by_content ON songs (content) WHERE content != ''",
    "CREATE INDEX songs_by_state ON songs (state, updated)",
    "CREATE TABLE outputs (path BLOB NOT NULL PRIMARY KEY) WITHOUT ROWID",
    """CREATE TABLE looks (
        path BLOB NOT NULL PRIMARY KEY,
        root BLOB NOT NULL,
        identity TEXT NOT NULL,
        deaths INTEGER NOT NULL
    ) WITHOUT ROWID""",
)
_BUSY_SECONDS: Final = 30.0
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_MOVE_AWAY: Final = "move it away; songs with their stems beside them are known to be done all the same"


class LedgerFile:
    """One connection, usable from several threads, one at a time.

    Args:
        path: the file; made when it is missing.

    Raises:
        StoreError: it cannot be opened or is of a newer version; from any method, when it cannot be used any more.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._is_durable = False
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._connection.row_factory = sqlite3.Row
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = NORMAL")
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def read(self, query: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Return all that a query finds."""
        with self._errors():
            return self._connection.execute(query, values).fetchall()

    def write(self, statement: str, values: Sequence[object], *, is_durable: bool = True) -> None:
        """Execute a statement in a transaction of its own.

        Args:
            statement: SQL that changes rows.
            values: for its marks.
            is_durable: whether it must survive a power cut; without, it survives only the process.
        """
        with self._errors():
            self._synchronise(is_durable)
            self._connection.execute(statement, values)

    def _synchronise(self, is_durable: bool) -> None:
        """Choose what a commit waits for: in the write-ahead log only FULL flushes each one."""
        if is_durable != self._is_durable:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")
            self._is_durable = is_durable

    def _prepare(self) -> None:
        version = self._version()
        if version > _VERSION:
            raise StoreError(f"{show_path(self._path)} was written by a newer stembridge", remedy="upgrade stembridge")
        if version == _VERSION:
            return
        self._connection.execute("BEGIN IMMEDIATE")
        if self._version() == 0:
            for statement in _SCHEMA:
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {_VERSION}")
        self._connection.execute("COMMIT")

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except (sqlite3.Error, OSError) as error:
                is_damaged = getattr(error, "sqlite_errorcode", 0) in _DAMAGED
                remedy = _MOVE_AWAY if is_damaged else "check the disk and its permissions"
                raise StoreError(f"{show_path(self._path)} cannot be used: {error}", remedy=remedy) from error
