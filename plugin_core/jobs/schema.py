"""The tables of the job store, and how an older file becomes a present one."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from plugin_core.errors import StoreError
from plugin_core.model import show_path

# ``active`` is a column of its own because a partial index is only used when the query repeats its condition.
# ``base`` is the dedupe key without the mark of a forced job. ``submitter`` is who may still send the paid call.
# ``written`` is the hash of the file a done tagging left, by which it is found again wherever that file has gone.
# ``litter`` says that the job is settled and its staging folder not yet removed (1), or kept for a retry (2).
_FIRST = """
CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    active INTEGER NOT NULL,
    account TEXT NOT NULL,
    base TEXT NOT NULL,
    dedupe TEXT NOT NULL,
    occupies INTEGER NOT NULL DEFAULT 1,
    cancel INTEGER NOT NULL DEFAULT 0,
    litter INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL,
    updated REAL NOT NULL,
    owner TEXT,
    lease REAL,
    submitter TEXT,
    ticket TEXT,
    progress TEXT,
    body TEXT NOT NULL
);
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE INDEX jobs_by_base ON jobs (base, state);
CREATE INDEX jobs_active ON jobs (account, state, due, id) WHERE active = 1;
CREATE INDEX jobs_started ON jobs (state, due) WHERE active = 1;
CREATE INDEX jobs_due ON jobs (due) WHERE active = 1;
CREATE INDEX jobs_cancelling ON jobs (id) WHERE active = 1 AND cancel = 1;
CREATE INDEX jobs_owned ON jobs (owner) WHERE owner IS NOT NULL;
CREATE INDEX jobs_litter ON jobs (id) WHERE litter = 1;
"""

_SECOND = """
ALTER TABLE jobs ADD COLUMN written TEXT;
CREATE INDEX jobs_written ON jobs (written, updated) WHERE written IS NOT NULL;
"""

MIGRATIONS: Final[tuple[str, ...]] = (_FIRST, _SECOND)
"""Script ``n`` turns version ``n`` into ``n + 1``; released scripts are never changed."""


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Bring the file to the present version, in one transaction.

    Raises:
        StoreError: the file is of a newer version, or no job store at all.
    """
    if _version(connection) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have migrated while this one waited for the lock.
        version = _version(connection)
        _check(connection, path, version, len(migrations))
        for script in migrations[version:]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check(connection: sqlite3.Connection, path: Path, version: int, known: int) -> None:
    if version > known:
        raise StoreError(
            f"{show_path(path)} was written by a newer stembridge (store version {version}, known here: {known})",
            remedy="upgrade stembridge, or point STEMBRIDGE_HOME to another folder",
        )
    if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise StoreError(
            f"{show_path(path)} is a database of something else", remedy="point STEMBRIDGE_HOME to another folder"
        )
