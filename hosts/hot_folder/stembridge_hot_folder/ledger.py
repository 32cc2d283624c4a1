"""What became of which version of which file: a table beside the job store, one row a path.

Jobs know what was asked of a service; the ledger knows what a hot folder has seen and is done with. It is written
before and after the jobs, so that a crash between the two is found out by asking the job store.
"""

from __future__ import annotations

import builtins
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from plugin_core.errors import StoreError
from plugin_core.model import show_path
from stembridge_hot_folder.identity import Identity

LEDGER_NAME: Final = "hot_folder.sqlite3"
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
        tries INTEGER NOT NULL DEFAULT 0,
        place BLOB,
        updated REAL NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX songs_by_content ON songs (content) WHERE content != ''",
    "CREATE INDEX songs_by_state ON songs (state, updated)",
    "CREATE TABLE outputs (path BLOB NOT NULL PRIMARY KEY) WITHOUT ROWID",
)


class SongState(StrEnum):
    """What the hot folder made of one version of a file."""

    LOOKING = "looking"
    """Being read; a crash in the middle is counted."""
    WORKING = "working"
    """Its jobs are in the store."""
    MOVING = "moving"
    """Done, and on its way to the folder of finished songs: only the move is ever tried again."""
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    RETRY = "retry"
    """The user's word that it is to be done anew."""

    @property
    def is_open(self) -> bool:
        """Whether there is something left to do for this version."""
        return self in (SongState.LOOKING, SongState.WORKING, SongState.MOVING, SongState.RETRY)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One path of the ledger."""

    path: bytes
    root: bytes
    identity: Identity
    state: SongState
    content: str = ""
    """SHA-256 of the file as it was taken, hexadecimal."""
    recipe: str = ""
    """What was to be done, as a hash of the operations."""
    reason: str = ""
    """Why it failed or was passed over, in words for people."""
    jobs: tuple[str, ...] = ()
    tries: int = 0
    """Looks at this version that never came to an end."""
    place: bytes = b""
    """Where the song went."""
    updated: float = 0.0


class Ledger:
    """The rows, in a SQLite file that several processes may open.

    Args:
        path: the file; made when it is missing.
        clock: seconds since the epoch, only for people to read.

    Raises:
        StoreError: it cannot be opened, or is of a newer version.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = sqlite3.connect(path, timeout=30.0, isolation_level=None, check_same_thread=False)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._prepare(path)
        except sqlite3.Error as error:
            where = show_path(path)
            raise StoreError(f"{where} cannot be used: {error}", remedy="check the disk and its permissions") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def get(self, path: bytes) -> Row | None:
        """Return what is known of a path."""
        row = self._connection.execute("SELECT * FROM songs WHERE path = ?", (path,)).fetchone()
        return None if row is None else _read(row)

    def put(self, row: Row) -> Row:
        """Write a row, in place of an earlier one of its path."""
        row = msgspec.structs.replace(row, updated=self._clock())
        values = (
            *(row.path, row.root, str(row.identity), row.state.value, row.content, row.recipe, row.reason),
            *(" ".join(row.jobs), row.tries, row.place, row.updated),
        )
        self._connection.execute(f"INSERT OR REPLACE INTO songs VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608 - marks
        return row

    def forget(self, path: bytes) -> None:
        """Forget a path: whatever comes there next is new."""
        self._connection.execute("DELETE FROM songs WHERE path = ?", (path,))

    def with_content(self, content: str) -> builtins.list[Row]:
        """Return every row of a file with this SHA-256."""
        found = self._connection.execute("SELECT * FROM songs WHERE content = ? AND content != ''", (content,))
        return [_read(row) for row in found]

    def list(self, states: Iterable[SongState], *, root: bytes | None = None, limit: int = -1) -> Iterator[Row]:
        """Yield the rows in some states, newest first."""
        wanted = [state.value for state in states]
        query = f"SELECT * FROM songs WHERE state IN ({', '.join('?' * len(wanted))})"  # noqa: S608 - marks
        values: builtins.list[object] = [*wanted]
        if root is not None:
            query += " AND root = ?"
            values.append(root)
        for row in self._connection.execute(f"{query} ORDER BY updated DESC LIMIT ?", (*values, limit)).fetchall():
            yield _read(row)

    def counts(self, root: bytes | None = None) -> dict[SongState, int]:
        """Return how many rows are in each state."""
        where, values = ("", ()) if root is None else (" WHERE root = ?", (root,))
        found = dict(
            self._connection.execute(f"SELECT state, count(*) FROM songs{where} GROUP BY state", values).fetchall()  # noqa: S608 - constants
        )
        return {state: found.get(state.value, 0) for state in SongState}

    def roots(self) -> builtins.list[bytes]:
        """Return every folder that was ever watched."""
        return [bytes(row[0]) for row in self._connection.execute("SELECT DISTINCT root FROM songs ORDER BY root")]

    def token(self) -> int:
        """Return a number that differs once another process wrote; cheap."""
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def add_outputs(self, paths: Iterable[bytes]) -> None:
        """Remember files that stembridge made where a scan may come upon them."""
        self._connection.executemany("INSERT OR IGNORE INTO outputs VALUES (?)", [(path,) for path in paths])

    def is_output(self, path: bytes) -> bool:
        """Tell whether stembridge made the file at a path."""
        return self._connection.execute("SELECT 1 FROM outputs WHERE path = ?", (path,)).fetchone() is not None

    def _prepare(self, path: Path) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise StoreError(f"{show_path(path)} was written by a newer stembridge", remedy="upgrade stembridge")
        if version == _VERSION:
            return
        self._connection.execute("BEGIN IMMEDIATE")
        if self._connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in _SCHEMA:
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {_VERSION}")
        self._connection.execute("COMMIT")


def _read(row: sqlite3.Row) -> Row:
    return Row(
        path=bytes(row["path"]),
        root=bytes(row["root"]),
        identity=Identity.parse(row["identity"]) or Identity(0, 0, -1, 0),
        state=SongState(row["state"]),
        content=row["content"],
        recipe=row["recipe"],
        reason=row["reason"],
        jobs=tuple(row["jobs"].split()),
        tries=row["tries"],
        place=bytes(row["place"] or b""),
        updated=row["updated"],
    )
