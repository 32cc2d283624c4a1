"""What became of which version of which file: a table beside the job store, one row a path.

Jobs know what was asked of a service; the ledger knows what a hot folder has seen and is done with. It is written
before and after the jobs, so that a crash between the two is found out by asking the job store.
"""

from __future__ import annotations

import builtins
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

import msgspec

from plugin_core.files.database import Schema
from plugin_core.files.sqlite import SqliteFile
from stembridge_hot_folder.files import FileIdentity

_COUNT: Final = "INSERT INTO history VALUES (?, ?, ?, 1) ON CONFLICT (day, root, state) DO UPDATE SET songs = songs + 1"
_PAUSE: Final = "INSERT INTO roots VALUES (?, ?) ON CONFLICT (root) DO UPDATE SET paused = excluded.paused"
_HISTORY: Final = (
    "SELECT * FROM history WHERE root = ? AND day IN"
    " (SELECT DISTINCT day FROM history WHERE root = ? ORDER BY day DESC LIMIT ?) ORDER BY day DESC, state"
)

LEDGER_NAME: Final = "hot_folder.sqlite3"
MOST_KNOWN: Final = 100_000
"""Finished versions that are remembered in memory; of others the file is asked."""


class SongState(StrEnum):
    """What the hot folder made of one version of a file."""

    WORKING = "working"
    """Its jobs are in the store."""
    WAITING = "waiting"
    """A job failed for a reason that passes, or none could be made yet: it goes on by itself."""
    MOVING = "moving"
    """Done, and on its way to the folder of finished songs: only the move is ever tried again."""
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    RETRY = "retry"
    """The user's word that it is to be done once more."""

    @property
    def is_open(self) -> bool:
        """Whether there is something left to do for this version."""
        return self in OPEN


OPEN: Final = frozenset({SongState.WORKING, SongState.WAITING, SongState.MOVING, SongState.RETRY})
TROUBLED: Final = frozenset({SongState.FAILED, SongState.UNCONFIRMED})
"""With an error file beside the song; forgotten once the song is gone."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One path of the ledger."""

    path: bytes
    root: bytes
    identity: FileIdentity
    state: SongState
    content: str = ""
    """SHA-256 of the file as it was taken, hexadecimal."""
    recipe: str = ""
    """What was to be done, as a hash of the operations."""
    reason: str = ""
    """Why it failed or was passed over, in words for people."""
    jobs: tuple[str, ...] = ()
    place: bytes = b""
    """Where the song went."""
    updated: float = 0.0
    force: bool = False
    """Of one to be done once more: whether it may be bought again for that."""


class InLine(msgspec.Struct, frozen=True, kw_only=True):
    """Where a song stands in a watch that runs: most of those in line have no row yet."""

    state: str
    """``settling``, ``queued``, ``held``, ``waiting`` or ``working``."""
    reason: str = ""
    turns: int = 0
    mtime: int = 0
    """By turns and time the songs are taken, the lowest first."""


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """What came to an end in a folder on a day of the local calendar."""

    day: str
    songs: dict[str, int]
    """How many, by state."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """A file whose reading was begun and is not known to have ended."""

    path: bytes
    root: bytes
    identity: FileIdentity
    deaths: int = 0
    """Processes that ended while they read this version and nothing else."""


class SongLedger:
    """The rows, in a SQLite file that several processes may open.

    Args:
        path: the file; made when it is missing.
        clock: seconds since the epoch, only for people to read.

    Raises:
        StoreError: it cannot be opened, or is of a newer version; any method, when it cannot be used any more.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._database = SqliteFile(path, SCHEMA)
        self._finished: dict[bytes, FileIdentity] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        self._database.close()

    def check_writable(self) -> None:
        """Make sure that rows can be written."""
        self._database.check_writable()

    # Songs

    def get(self, path: bytes) -> Row | None:
        found = self._read("SELECT * FROM songs WHERE path = ?", (path,))
        return _to_row(found[0]) if found else None

    def is_finished(self, path: bytes, identity: FileIdentity, *, or_touched: bool = False) -> bool:
        """Tell whether nothing is left to do for a version; what was told once costs no more than a look in memory.

        Args:
            path: the file.
            identity: its version.
            or_touched: whether one counts too of which the time of change alone is another.
        """
        if self._finished.get(path) == identity:
            return True
        row = self.get(path)
        if row is None or row.state.is_open:
            return False
        if row.identity != identity and not (or_touched and row.identity.is_touched(identity)):
            return False
        if len(self._finished) < MOST_KNOWN:
            self._finished[path] = identity
        return True

    def put(self, row: Row, *, is_end: bool = False) -> Row:
        """Write a row, in place of an earlier one of its path; durable when this returns.

        Args:
            row: what is known of it.
            is_end: whether it is to be counted as the end of a song.
        """
        row = msgspec.structs.replace(row, updated=self._clock())
        values = (
            *(row.path, row.root, str(row.identity), row.state.value, row.content, row.recipe, row.reason),
            *(" ".join(row.jobs), row.place, row.updated, row.force),
        )
        self._finished.pop(row.path, None)
        marks = ", ".join("?" * len(values))
        with self._database.write() as connection:
            connection.execute(f"INSERT OR REPLACE INTO songs VALUES ({marks})", values)  # noqa: S608 - marks
            if is_end:
                day = datetime.fromtimestamp(row.updated).astimezone().date().isoformat()
                connection.execute(_COUNT, (day, row.root, row.state.value))
        return row

    def forget(self, path: bytes) -> None:
        """Forget a path: whatever comes there next is new."""
        self._finished.pop(path, None)
        self._write("DELETE FROM songs WHERE path = ?", (path,))

    def with_content(self, content: str) -> builtins.list[Row]:
        """Return every row of a file with this SHA-256."""
        found = self._read("SELECT * FROM songs WHERE content = ? AND content != ''", (content,))
        return [_to_row(row) for row in found]

    def list(self, states: Iterable[SongState], *, root: bytes | None = None, limit: int = -1) -> Iterator[Row]:
        """Yield the rows in some states, newest first."""
        where, values = _where(states, root)
        for row in self._read(f"SELECT * FROM songs{where} ORDER BY updated DESC LIMIT ?", (*values, limit)):  # noqa: S608 - marks
            yield _to_row(row)

    def paths(self, states: Iterable[SongState], root: bytes) -> builtins.list[bytes]:
        """Return the paths of the rows in some states."""
        where, values = _where(states, root)
        return [bytes(row["path"]) for row in self._read(f"SELECT path FROM songs{where}", values)]  # noqa: S608 - marks

    def counts(self, root: bytes | None = None) -> dict[SongState, int]:
        """Return how many rows are in each state."""
        where, values = _where(SongState, root)
        rows = self._read(f"SELECT state, count(*) FROM songs{where} GROUP BY state", values)  # noqa: S608 - marks
        found = {row[0]: row[1] for row in rows}
        return {state: found.get(state.value, 0) for state in SongState}

    def roots(self) -> builtins.list[bytes]:
        """Return every folder that was ever watched."""
        found = self._read("SELECT root FROM songs UNION SELECT root FROM roots ORDER BY root")
        return [bytes(row["root"]) for row in found]

    def token(self) -> int:
        """Return a number that differs once another process wrote; cheap."""
        return int(self._read("PRAGMA data_version")[0][0])

    def refresh(self) -> None:
        """Forget what is remembered in memory: another process wrote."""
        self._finished.clear()

    # Folders

    def begin_line(self, root: bytes) -> None:
        """Tell other processes that a folder is watched from now on, and that nothing stands in line there."""
        with self._database.write(durable=False) as connection:
            connection.execute("INSERT OR IGNORE INTO roots (root) VALUES (?)", (root,))
            connection.execute("DELETE FROM line WHERE root = ?", (root,))

    def change_line(self, root: bytes, songs: Mapping[bytes, InLine], left: Iterable[bytes]) -> None:
        """Tell other processes where songs stand now, and which left the line."""
        rows = [(path, root, one.state, one.reason, one.turns, one.mtime) for path, one in songs.items()]
        with self._database.write(durable=False) as connection:
            connection.executemany("DELETE FROM line WHERE path = ?", ((path,) for path in left))
            connection.executemany("INSERT OR REPLACE INTO line VALUES (?, ?, ?, ?, ?, ?)", rows)

    def line(self, root: bytes) -> dict[bytes, InLine]:
        """Return where the songs of a folder stood when its watch told of them last, in the order they are taken."""
        found = self._read("SELECT * FROM line WHERE root = ? ORDER BY state, turns, mtime, path", (root,))
        return {
            bytes(row["path"]): InLine(state=row["state"], reason=row["reason"], turns=row["turns"], mtime=row["mtime"])
            for row in found
        }

    def history(self, root: bytes, days: int) -> builtins.list[Day]:
        """Return what came to an end in a folder on the latest days on which anything did, the latest first."""
        found = self._read(_HISTORY, (root, root, days))
        by_day: dict[str, dict[str, int]] = {}
        for row in found:
            by_day.setdefault(row["day"], {})[row["state"]] = row["songs"]
        return [Day(day=day, songs=songs) for day, songs in by_day.items()]

    def pause(self, root: bytes, *, is_paused: bool) -> None:
        """Let the watch of a folder, the one that runs and every later one, begin nothing new, or go on."""
        self._write(_PAUSE, (root, self._clock() if is_paused else 0.0))

    def paused(self) -> dict[bytes, float]:
        """Return the folders that are paused, and since when."""
        return {bytes(row["root"]): row["paused"] for row in self._read("SELECT * FROM roots WHERE paused > 0")}

    # Results

    def add_outputs(self, paths: Sequence[bytes]) -> None:
        """Remember files that stembridge made where a scan may come upon them."""
        if paths:
            with self._database.write() as connection:
                connection.executemany("INSERT OR IGNORE INTO outputs VALUES (?)", ((path,) for path in paths))

    def is_output(self, path: bytes) -> bool:
        """Tell whether stembridge made the file at a path."""
        return bool(self._read("SELECT 1 FROM outputs WHERE path = ?", (path,)))

    # Reading

    def begin_look(self, look: Look) -> None:
        """Remember that a file is being read, so that a crash in the middle leaves a trace."""
        values = (look.path, look.root, str(look.identity), look.deaths)
        # Lost in a power cut, it is the trace of a crash that the file did not cause.
        self._write("INSERT OR REPLACE INTO looks VALUES (?, ?, ?, ?)", values, durable=False)

    def end_look(self, path: bytes) -> None:
        """Forget that a file is being read: it came to an end."""
        self._write("DELETE FROM looks WHERE path = ?", (path,), durable=False)

    def looks(self, root: bytes) -> builtins.list[Look]:
        """Return the files of a folder whose reading did not come to an end."""
        found = self._read("SELECT * FROM looks WHERE root = ?", (root,))
        return [
            Look(path=bytes(row["path"]), root=root, identity=_identity(row["identity"]), deaths=row["deaths"])
            for row in found
        ]

    def _read(self, query: str, values: Sequence[object] = ()) -> builtins.list[sqlite3.Row]:
        with self._database.read() as connection:
            return connection.execute(query, values).fetchall()

    def _write(self, statement: str, values: Sequence[object], *, durable: bool = True) -> None:
        with self._database.write(durable=durable) as connection:
            connection.execute(statement, values)


def _where(states: Iterable[SongState], root: bytes | None) -> tuple[str, tuple[object, ...]]:
    values = tuple(state.value for state in states)
    where = f" WHERE state IN ({', '.join('?' * len(values))})"
    return (where, values) if root is None else (f"{where} AND root = ?", (*values, root))


def _identity(text: str) -> FileIdentity:
    return FileIdentity.parse(text) or FileIdentity(0, 0, -1, 0)


def _to_row(row: sqlite3.Row) -> Row:
    return Row(
        path=bytes(row["path"]),
        root=bytes(row["root"]),
        identity=_identity(row["identity"]),
        state=SongState(row["state"]),
        content=row["content"],
        recipe=row["recipe"],
        reason=row["reason"],
        jobs=tuple(row["jobs"].split()),
        place=bytes(row["place"] or b""),
        updated=row["updated"],
        force=bool(row["force"]),
    )


_FIRST = """
CREATE TABLE songs (
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
) WITHOUT ROWID;
CREATE INDEX songs_by_content ON songs (content) WHERE content != '';
CREATE INDEX songs_by_state ON songs (state, updated);
CREATE TABLE outputs (path BLOB NOT NULL PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE looks (
    path BLOB NOT NULL PRIMARY KEY,
    root BLOB NOT NULL,
    identity TEXT NOT NULL,
    deaths INTEGER NOT NULL
) WITHOUT ROWID
"""

_SECOND = """
CREATE TABLE folders (
    root BLOB NOT NULL PRIMARY KEY,
    settling INTEGER NOT NULL,
    queued INTEGER NOT NULL,
    waiting INTEGER NOT NULL
) WITHOUT ROWID
"""
_THIRD = "ALTER TABLE songs ADD COLUMN force INTEGER NOT NULL DEFAULT 0"
_FOURTH = """
CREATE TABLE roots (root BLOB NOT NULL PRIMARY KEY) WITHOUT ROWID;
INSERT INTO roots SELECT root FROM folders;
DROP TABLE folders;
CREATE TABLE line (
    path BLOB NOT NULL PRIMARY KEY,
    root BLOB NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    turns INTEGER NOT NULL,
    mtime INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX line_by_place ON line (root, state, turns, mtime, path);
CREATE TABLE history (
    day TEXT NOT NULL,
    root BLOB NOT NULL,
    state TEXT NOT NULL,
    songs INTEGER NOT NULL,
    PRIMARY KEY (day, root, state)
) WITHOUT ROWID
"""
_FIFTH = "ALTER TABLE roots ADD COLUMN paused REAL NOT NULL DEFAULT 0"

SCHEMA: Final = Schema(
    "hot folder's ledger",
    (_FIRST, _SECOND, _THIRD, _FOURTH, _FIFTH),
    if_damaged="move the file away; songs with their stems beside them are known to be done all the same",
)
