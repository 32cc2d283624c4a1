"""What was found in files, remembered by their status from one run to the next: what lies as it lay is not read again.

It tells that nothing is to do, and no more: before money is spent or a file is placed, bytes are read. It is kept in
the home of this machine, for no other has its inodes. Losing it costs a reading, so it may be lost at any time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from plugin_core._version import __version__
from plugin_core.audio.source_file import Identity
from plugin_core.errors import StembridgeError, StoreError
from plugin_core.files.checksum import Record, hash_file
from plugin_core.files.database import Schema, may_pass
from plugin_core.files.sqlite import SqliteFile
from plugin_core.model import Source, from_json, to_json
from plugin_core.operations.song import absolute, inspect
from plugin_core.operations.stem_tags import tell_provenance

NAME: Final = "files.sqlite3"
_MOST: Final = 200_000
"""Files that are remembered: a large collection with its stems, in some 100 MB."""
_PATIENCE: Final = 2.0

_SCHEMA: Final = Schema(
    name="memory of files",
    migrations=(
        "CREATE TABLE files (number INTEGER PRIMARY KEY, file TEXT NOT NULL UNIQUE, status TEXT NOT NULL,"
        " found TEXT NOT NULL, kept REAL NOT NULL)",
    ),
    if_damaged="delete it: files are read anew",
)
_PUT: Final = (
    "INSERT INTO files (file, status, found, kept) VALUES (?, ?, ?, ?) ON CONFLICT (file)"
    " DO UPDATE SET status = excluded.status, found = excluded.found, kept = excluded.kept"
)

_log = logging.getLogger(__name__)


class Found(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was found in a file, as far as it was looked for."""

    sha256: str = ""
    """Of its bytes."""
    is_own: bool | None = None
    """Whether it says of itself that we made it."""
    source: Source | None = None
    """What it is as a song, under the path it had."""


class FileMemory:
    """What is remembered of files, for all threads and processes of this machine.

    Args:
        home: where it is kept.
        may_make: tells whether it may be made there where there is none.
        clock: seconds since the epoch.
    """

    def __init__(self, home: Path, may_make: Callable[[], bool], clock: Callable[[], float] = time.time) -> None:
        self._path = home / NAME
        self._may_make = may_make
        self._clock = clock
        self._lock = threading.Lock()
        self._opened: SqliteFile | None = None
        self._is_lost = False

    def close(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None

    def look(self, path: Path, check: Callable[[], None] = lambda: None) -> Source:
        """Do what ``inspect`` does: the song is read, whatever is known of it."""
        began_ns, before = time.time_ns(), _look_at(path)
        source = inspect(path, check=check)
        known = self._recall(before)
        self._keep(path, before, began_ns, msgspec.structs.replace(known, sha256=source.content, source=source))
        return source

    def recall(self, path: Path) -> Source | None:
        """Return what ``look`` found in a song, if it lies as it lay."""
        found = self._recall(_look_at(path))
        return None if found.source is None else msgspec.structs.replace(found.source, path=absolute(path))

    def hash(self, path: Path, check: Callable[[], None] = lambda: None) -> Record:
        """Return what is to be known of a file's bytes; one that lies as it lay is not read.

        Raises:
            OSError: it cannot be read.
        """
        began_ns, before = time.time_ns(), Identity.of(path.stat())
        known = self._recall(before)
        if known.sha256:
            return Record(before.size, known.sha256)
        record = hash_file(path, check)
        self._keep(path, before, began_ns, msgspec.structs.replace(known, sha256=record.sha256))
        return record

    def is_own_work(self, path: Path) -> bool:
        """Tell whether a file says of itself that stembridge made it."""
        began_ns, before = time.time_ns(), _look_at(path)
        known = self._recall(before)
        if known.is_own is not None:
            return known.is_own
        try:
            is_own = bool(tell_provenance(path))
        except StembridgeError:
            # Whatever is wrong with the file is told when it is looked at as a song.
            return False
        self._keep(path, before, began_ns, msgspec.structs.replace(known, is_own=is_own))
        return is_own

    def forget(self, before: float) -> None:
        """Forget what was found before a time."""
        self._use(lambda file: _forget(file, before))

    def _recall(self, identity: Identity | None) -> Found:
        found = None if identity is None else self._use(lambda file: _find(file, identity))
        return found or Found()

    def _keep(self, path: Path, before: Identity | None, began_ns: int, found: Found) -> None:
        """Remember what was found, if a later write would be seen by the file's status; ``before`` is that it had."""
        if before is not None and before.is_settled(began_ns) and before == _look_at(path):
            self._use(lambda file: _put(file, before, found, self._clock()), is_new=True)

    def _use(self, work: Callable[[SqliteFile], Found | None], *, is_new: bool = False) -> Found | None:
        """Do something with the file, which is made only for what is new; without one, nothing is known."""
        try:
            file = self._open(is_new)
            return None if file is None else work(file)
        except (StoreError, OSError) as error:
            # The home may be read-only, or full; songs are read then.
            passes = isinstance(error, OSError) or may_pass(error)
            _log.log(logging.INFO if passes else logging.WARNING, "files are read anew: %s", error)
            self.close()
            self._is_lost = True
            return None

    def _open(self, is_new: bool) -> SqliteFile | None:
        with self._lock:
            if self._is_lost or self._opened is not None:
                return self._opened
            if self._path.exists() or (is_new and self._may_make()):
                self._opened = SqliteFile(self._path, _SCHEMA, patience=_PATIENCE)
            return self._opened


def _look_at(path: Path) -> Identity | None:
    try:
        return Identity.of(path.stat())
    except (OSError, ValueError):
        return None


def _name(identity: Identity) -> str:
    return f"{identity.device} {identity.inode}"


def _status(identity: Identity) -> str:
    # Another version may find something else.
    return f"{identity.size} {identity.mtime_ns} {identity.ctime_ns} {__version__}"


def _find(file: SqliteFile, identity: Identity) -> Found | None:
    with file.read() as connection:
        row = connection.execute("SELECT status, found FROM files WHERE file = ?", (_name(identity),)).fetchone()
    if row is None or row["status"] != _status(identity):
        return None
    try:
        return from_json(row["found"], Found)
    except msgspec.DecodeError:
        # Damaged; it is read, and written anew.
        return None


def _put(file: SqliteFile, identity: Identity, found: Found, now: float) -> None:
    values = (_name(identity), _status(identity), to_json(found).decode(), now)
    with file.write(durable=False) as connection:
        connection.execute(_PUT, values)
        connection.execute("DELETE FROM files WHERE number <= (SELECT max(number) FROM files) - ?", (_MOST,))


def _forget(file: SqliteFile, before: float) -> None:
    with file.write(durable=False) as connection:
        connection.execute("DELETE FROM files WHERE kept < ?", (before,))
    file.give_back()
