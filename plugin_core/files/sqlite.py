"""A SQLite file that processes share: its transactions, what a commit waits for, and its errors."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

from plugin_core.errors import StoreError
from plugin_core.files.database import BUSY, Connection, Database, Migration, PassingError, Schema, Waiter, refuse_newer
from plugin_core.files.disk import FULL, free_bytes
from plugin_core.files.path_map import UNMAPPED, PathMap
from plugin_core.model import show_path

BUSY_MS: Final = int(BUSY * 1000)
"""How long a lock of another process is waited for, unless whoever opens the file is more patient."""
_SLICE_MS: Final = 1_000
"""How long SQLite itself waits: no signal is heard meanwhile."""

_ROOM: Final = 1 << 20
"""Bytes below which a disk is full for a file of ours."""

_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
# A quota that is used up is an input error to SQLite, a disk that was taken away one that cannot be opened.
_PASSING: Final = _BUSY | {
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN),
    sqlite3.SQLITE_PROTOCOL,
}


class SqliteFile(Database):
    """A SQLite file in WAL mode, readable by its owner only; usable from several threads, one at a time.

    Args:
        path: the file; made with its folder when it is missing.
        schema: what it holds.
        patience: seconds that a lock of another process is waited for; default as for every other file.
        paths: by which names paths are stored.

    Raises:
        StoreError: it cannot be opened, or is of a newer version; from any method, when it cannot be used.
    """

    def __init__(self, path: Path, schema: Schema, *, patience: float | None = None, paths: PathMap = UNMAPPED) -> None:
        self.path = path
        self.paths = paths
        self.shown = show_path(path)
        self._name = os.fspath(path)
        self._schema = schema
        self._patience = patience
        self._lock = threading.RLock()
        self._wanted: Collection[str] | None = None
        self._is_durable = True
        try:
            _create_private(path)
            self._file = path.stat()
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise
        except (sqlite3.Error, OSError) as error:
            raise self._explain(error) from error

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        with self._lock, self.paths.in_use():
            try:
                yield self._connection
            except (sqlite3.Error, OSError) as error:
                raise self._explain(error) from error

    @contextlib.contextmanager
    def write(self, *, durable: bool = True, alone: bool = True) -> Iterator[Connection]:  # noqa: ARG002 - always is
        """Give the connection inside a transaction that holds the write lock from its start."""
        with self.read() as connection:
            self._synchronise(durable)
            self._require_in_place()
            self._begin()
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _require_in_place(self) -> None:
        """Record nothing in a file that was moved or deleted: whoever looks for it next would know nothing of it."""
        try:
            if not os.path.samestat(os.stat(self._name), self._file):  # noqa: PTH116 - at each transaction
                raise FileNotFoundError
        except FileNotFoundError as error:
            raise StoreError(
                f"{self._schema.name} {show_path(self.path)} was moved or deleted while it was in use",
                remedy="put it back; or begin without it by a new start",
            ) from error

    def _begin(self) -> None:
        """Take the write lock; one that another process holds for long is waited for, and said once."""
        patience = BUSY_MS / 1000 if self._patience is None else self._patience
        wait = Waiter()
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                words = f"the {self._schema.name} is in use by another process; waiting for it"
                if _code(error) not in _BUSY or not wait.go_on(patience, words):
                    raise
            else:
                return

    def want(self, ids: Collection[str]) -> None:
        if ids is self._wanted:
            return
        with self.write(durable=False) as connection:
            connection.execute("DELETE FROM temp.wanted")
            connection.executemany("INSERT OR IGNORE INTO temp.wanted VALUES (?)", ((each,) for each in ids))
        # A collection that can change is copied in again each time.
        self._wanted = ids if isinstance(ids, frozenset) else None

    def changes(self) -> int:
        with self.read() as connection:
            return int(connection.execute("PRAGMA data_version").fetchone()[0])

    def now(self) -> float:
        return time.time()

    def has_table(self, name: str) -> bool:
        with self.read() as connection:
            found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,))
            return found.fetchone() is not None

    def check_writable(self) -> None:
        with self.write() as connection:
            connection.execute(f"PRAGMA user_version = {len(self._schema.migrations)}")

    def give_back(self) -> None:
        with self.read() as connection:
            shrinks = bool(connection.execute("PRAGMA auto_vacuum").fetchone()[0])
        if shrinks:
            self.work_off(_vacuum)

    def close(self) -> None:
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
        # A new file, or an older version's, is waited for as a whole.
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        if not connection.execute("PRAGMA page_count").fetchone()[0]:
            # What is deleted can then be given back to the disk piece by piece; later it would only want the lock.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _use_wal(connection, self.path)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA temp_store = MEMORY")
        migrate(connection, self.path, self._schema.migrations)
        if self._schema.setup:
            connection.execute(self._schema.setup)
        connection.execute(f"PRAGMA busy_timeout = {min(BUSY_MS, _SLICE_MS)}")

    def _explain(self, error: sqlite3.Error | OSError) -> StoreError:
        """Say what hinders the use of the file; what may pass is waited for by who asks."""
        may_pass = isinstance(error, OSError) or _code(error) in _PASSING
        kind = PassingError if may_pass else StoreError
        said = "its disk is full" if self._fails_for_room(error) else error
        return kind(f"{self._schema.name} {show_path(self.path)}: {said}", remedy=self._remedy(error))

    def _fails_for_room(self, error: sqlite3.Error | OSError) -> bool:
        """Tell whether a full disk is behind what SQLite calls an I/O error."""
        try:
            return _code(error) == sqlite3.SQLITE_IOERR and free_bytes(self.path.parent) < _ROOM
        except OSError:
            return False

    def _remedy(self, error: sqlite3.Error | OSError) -> str:
        code = _code(error)
        if code in _DAMAGED:
            return self._schema.if_damaged
        if code == sqlite3.SQLITE_FULL or getattr(error, "errno", 0) in FULL or self._fails_for_room(error):
            return "free some space on that disk"
        if code in _BUSY:
            return "another process holds it for very long; end that and try again"
        return "make the folder and its files writable, or point STEMBRIDGE_HOME elsewhere"


def _vacuum(connection: Connection, pages: int) -> int:
    """Give so many free pages back to the disk, and return how many there were."""
    free = int(connection.execute("PRAGMA freelist_count").fetchone()[0])
    for _ in range(min(pages, free)):
        # Python takes one step of a statement without columns, which is one page.
        connection.execute("PRAGMA incremental_vacuum(1)")
    return min(pages, free)


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Migration]) -> None:
    """Bring a file to the present version, in one transaction.

    Raises:
        StoreError: the file is of a newer version, or of something else.
    """
    if _version(connection) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have migrated while this one waited for the lock.
        version = _version(connection)
        _check(connection, path, version, len(migrations))
        for migration in migrations[version:]:
            if callable(migration):
                migration(connection)
                continue
            for statement in migration.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        # SQLite itself takes back what a full disk ended.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check(connection: sqlite3.Connection, path: Path, version: int, known: int) -> None:
    remedy = "upgrade stembridge, or point STEMBRIDGE_HOME to another folder"
    refuse_newer(show_path(path), version, known, remedy)
    if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StoreError(
            f"{show_path(path)} is a database of something else", remedy="point STEMBRIDGE_HOME to another folder"
        )


def _create_private(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        # SQLite gives its -wal and -shm files the mode of the database.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        # Not opened: closing it would give back the locks that other connections of this process have on it.
        with contextlib.suppress(OSError):
            if path.is_file() and path.stat().st_mode & 0o077:
                path.chmod(0o600)


def _use_wal(connection: sqlite3.Connection, path: Path) -> None:
    wait = Waiter()
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            # The switch needs the file alone and does not wait for busy_timeout.
            if _code(error) not in _BUSY or not wait.go_on(BUSY, pause=0.01):
                raise
    if mode != "wal":
        raise StoreError(
            f"{show_path(path)}: this file system cannot hold a store that processes share",
            remedy="point STEMBRIDGE_HOME to a folder on a local disk",
        )


def _code(error: sqlite3.Error | OSError) -> int:
    """Return SQLite's primary result code; 0 for an error that is not SQLite's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
