"""One connection to the job store's file, with its transactions and its errors in plain words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from plugin_core.errors import StoreError
from plugin_core.jobs.schema import migrate
from plugin_core.model import show_path

BUSY_MS: Final = 30_000


class Database:
    """A SQLite file in WAL mode, readable by its owner only; usable from several threads, one at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._is_durable = True
        with self._errors():
            _create_private(path)
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for statements that only read."""
        with self._lock, self._errors():
            yield self._connection

    @contextlib.contextmanager
    def write(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """Give the connection inside a transaction that holds the write lock from its start.

        Args:
            durable: whether the commit must survive a power cut; without, it survives only the process.
        """
        with self._lock, self._errors():
            self._synchronise(durable)
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _synchronise(self, durable: bool) -> None:
        """Choose what a commit waits for; nested in a transaction it is not called, where SQLite ignores it."""
        if durable == self._is_durable:
            return
        # An interrupt between the two lines must not leave a commit less durable than it is believed to be.
        self._is_durable = False
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        self._is_durable = durable

    def _prepare(self) -> None:
        connection = self._connection
        connection.row_factory = sqlite3.Row
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        _use_wal(connection, self.path)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA temp_store = MEMORY")
        migrate(connection, self.path)
        connection.execute("CREATE TEMP TABLE wanted (id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"job store {show_path(self.path)}: {error}", remedy=_remedy(error)) from error


def _create_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its -wal and -shm files the mode of the database.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


def _use_wal(connection: sqlite3.Connection, path: Path) -> None:
    deadline = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            # The switch needs the file alone and does not wait for busy_timeout.
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    if mode != "wal":
        raise StoreError(
            f"{show_path(path)}: this file system cannot hold a job store that processes share",
            remedy="point STEMBRIDGE_HOME to a folder on a local disk",
        )


def _remedy(error: Exception) -> str:
    text = str(error)
    if "not a database" in text or "malformed" in text:
        return "move the file away and start again"
    if "full" in text:
        return "free some space on that disk"
    if "locked" in text:
        return "another process holds the store for very long; end it and try again"
    return "make the folder and its files writable, or point STEMBRIDGE_HOME elsewhere"
