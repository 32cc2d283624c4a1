"""The tables of the ledger."""

from __future__ import annotations

from typing import Final

from plugin_core.files.database import Schema

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

SCHEMA: Final = Schema(
    "hot folder's ledger",
    (_FIRST, _SECOND, _THIRD),
    if_damaged="move the file away; songs with their stems beside them are known to be done all the same",
)
