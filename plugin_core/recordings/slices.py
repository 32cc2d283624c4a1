"""Slices: recordings that were cut out of another one; all functions work inside the caller's transaction."""

from __future__ import annotations

import sqlite3
from typing import Final

import msgspec

from plugin_core.recordings.tables import ids_of

_OF_PARENT: Final = (
    "SELECT DISTINCT start, frames FROM recording_slices WHERE parent = ? AND rate = ? ORDER BY frames, start"
)
_BESIDE: Final = (
    "SELECT DISTINCT other.recording AS id FROM recording_slices AS one JOIN recording_slices AS other"
    " USING (parent, rate, start, frames) WHERE one.recording = ? ORDER BY id"
)


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """Frames ``start`` to ``end`` of a recording, at its sample rate."""

    start: int
    end: int

    def covers(self, other: Slice, slack: int = 0) -> bool:
        """Tell whether another slice lies within this one, but for so many frames on either side."""
        return self.start - slack <= other.start and other.end <= self.end + slack


def note(connection: sqlite3.Connection, recording: str, parent: str, rate: int, place: Slice) -> None:
    """Note that a recording was cut out of another one, and where; a sound that recurs has several places."""
    connection.execute(
        "INSERT OR IGNORE INTO recording_slices (parent, rate, start, frames, recording) VALUES (?, ?, ?, ?, ?)",
        (ids_of(connection, parent)[0], rate, place.start, place.end - place.start, ids_of(connection, recording)[0]),
    )


def slices_of(connection: sqlite3.Connection, parent: str, rate: int) -> list[Slice]:
    """Return what was ever cut out of a recording, the smallest first."""
    rows = connection.execute(_OF_PARENT, (ids_of(connection, parent)[0], rate))
    return [Slice(start=row["start"], end=row["start"] + row["frames"]) for row in rows]


def known_as(connection: sqlite3.Connection, recording: str) -> list[str]:
    """Return every id under which what a recording sounds like may have been bought, the present one first.

    Those it ever had, and those of the same slice of a lossy recording, whose samples differ with the decoder.
    """
    ids = ids_of(connection, recording)
    beside = [row["id"] for row in connection.execute(_BESIDE, (ids[0],))]
    return list(dict.fromkeys([*ids, *(one for each in beside for one in ids_of(connection, each))]))
