"""The tables of recordings, and of slices cut out of others.

All functions work inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from plugin_core.files.database import Connection
from plugin_core.recordings.content import shape_of

# ``merged`` names the recording that one turned out to be: rows elsewhere may still have the id it was first given.
# Of what was decoded the digest itself says the shape, headers may be a little off. ``start`` and ``frames`` of a slice
# count at ``rate``, that of the file it was cut out of.
RECORDINGS: Final = """
CREATE TABLE recordings (
    id TEXT NOT NULL PRIMARY KEY,
    rate INTEGER NOT NULL,
    channels INTEGER NOT NULL,
    frames INTEGER NOT NULL,
    duration REAL NOT NULL,
    merged TEXT
) WITHOUT ROWID;
CREATE INDEX recordings_by_shape ON recordings (frames, rate) WHERE frames > 0;
CREATE INDEX recordings_merged ON recordings (merged) WHERE merged IS NOT NULL;
CREATE TABLE recording_aliases (
    digest TEXT NOT NULL PRIMARY KEY,
    recording TEXT NOT NULL,
    rate INTEGER,
    frames INTEGER
) WITHOUT ROWID;
CREATE INDEX recording_aliases_by_shape ON recording_aliases (frames, rate) WHERE frames > 0;
CREATE INDEX recording_aliases_by_recording ON recording_aliases (recording);
CREATE TABLE recording_slices (
    parent TEXT NOT NULL,
    rate INTEGER NOT NULL,
    start INTEGER NOT NULL,
    frames INTEGER NOT NULL,
    recording TEXT NOT NULL,
    PRIMARY KEY (parent, rate, start, frames, recording)
) WITHOUT ROWID;
CREATE INDEX recording_slices_by_recording ON recording_slices (recording)
"""
"""One migration of a ``Schema``."""

_RENAME: Final = (
    "UPDATE recording_aliases SET recording = :kept WHERE recording = :gone",
    # The same slice under both ids is one.
    "DELETE FROM recording_slices WHERE recording = :gone AND EXISTS (SELECT 1 FROM recording_slices AS o"
    " WHERE o.recording = :kept AND o.parent = recording_slices.parent AND o.rate = recording_slices.rate"
    " AND o.start = recording_slices.start AND o.frames = recording_slices.frames)",
    "UPDATE recording_slices SET recording = :kept WHERE recording = :gone",
    "DELETE FROM recording_slices WHERE parent = :gone AND EXISTS (SELECT 1 FROM recording_slices AS o"
    " WHERE o.parent = :kept AND o.recording = recording_slices.recording AND o.rate = recording_slices.rate"
    " AND o.start = recording_slices.start AND o.frames = recording_slices.frames)",
    "UPDATE recording_slices SET parent = :kept WHERE parent = :gone",
)
"""What gives rows that name a recording the id that it has now."""

_OF_PARENT: Final = (
    "SELECT DISTINCT start, frames FROM recording_slices WHERE parent = ? AND rate = ? ORDER BY frames, start"
)
_BESIDE: Final = (
    "SELECT DISTINCT other.recording AS id FROM recording_slices AS one JOIN recording_slices AS other"
    " USING (parent, rate, start, frames) WHERE one.recording = ? ORDER BY id"
)


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What a song sounds like, whatever file it is in."""

    id: str
    rate: int
    channels: int
    frames: int
    """Samples in each channel; 0 where no header says."""
    duration: float
    """Seconds."""


def find_by_digest(connection: Connection, digest: str) -> str | None:
    """Return the recording a digest belongs to."""
    row = connection.execute("SELECT recording FROM recording_aliases WHERE digest = ?", (digest,)).fetchone()
    return None if row is None else str(row["recording"])


def shapes(connection: Connection, rate: int, frames: int) -> list[str]:
    """Return the recordings of a sample rate and length; of exact sources no others can be the same."""
    found = connection.execute(
        "SELECT coalesce(merged, id) AS id FROM recordings WHERE frames = :frames AND frames > 0 AND rate = :rate"
        " UNION SELECT recording FROM recording_aliases WHERE frames = :frames AND frames > 0 AND rate = :rate",
        {"frames": frames, "rate": rate},
    )
    return [row["id"] for row in found]


def digests_of(connection: Connection, recording: str) -> list[str]:
    found = connection.execute("SELECT digest FROM recording_aliases WHERE recording = ? ORDER BY digest", (recording,))
    return [row["digest"] for row in found]


def ids_of(connection: Connection, recording: str) -> list[str]:
    """Return all ids a recording ever had, the present one first; any of them may be asked for."""
    kept = _present_id(connection, recording)
    found = connection.execute("SELECT id FROM recordings WHERE merged = ? ORDER BY id", (kept,))
    return [kept, *(row["id"] for row in found)]


def new(connection: Connection, recording: Recording, digests: Iterable[str] = ()) -> None:
    """Put in a recording that nobody has met yet, and digests of its file of which that is true as well."""
    connection.execute(
        "INSERT INTO recordings (id, rate, channels, frames, duration)"
        " VALUES (:id, :rate, :channels, :frames, :duration)",
        msgspec.structs.asdict(recording),
    )
    for digest in dict.fromkeys(digests):
        _enter(connection, digest, recording.id)


def remember(connection: Connection, recording: str, digests: Iterable[str]) -> str:
    """Note the digests of one and the same file; return the recording's present id.

    One that has a digest in common is the same.
    """
    kept = _present_id(connection, recording)
    for digest in digests:
        known = find_by_digest(connection, digest)
        if known is None:
            _enter(connection, digest, kept)
        else:
            kept = merge(connection, kept, known)
    return kept


def _enter(connection: Connection, digest: str, recording: str) -> None:
    connection.execute(
        "INSERT INTO recording_aliases (digest, recording, rate, frames) VALUES (?, ?, ?, ?)",
        (digest, recording, *(shape_of(digest) or (None, None))),
    )


def merge(connection: Connection, one: str, other: str) -> str:
    """Make one recording of two that were found to be the same; return its id, the older of the two."""
    kept, gone = sorted((_present_id(connection, one), _present_id(connection, other)))
    if kept != gone:
        connection.execute("UPDATE recordings SET merged = ? WHERE id = ? OR merged = ?", (kept, gone, gone))
        for statement in _RENAME:
            connection.execute(statement, {"kept": kept, "gone": gone})
    return kept


def _present_id(connection: Connection, recording: str) -> str:
    row = connection.execute("SELECT merged FROM recordings WHERE id = ?", (recording,)).fetchone()
    return recording if row is None or row["merged"] is None else str(row["merged"])


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """Frames ``start`` to ``end`` of a recording, at its sample rate."""

    start: int
    end: int

    def covers(self, other: Slice, slack: int = 0) -> bool:
        """Tell whether another slice lies within this one, but for so many frames on either side."""
        return self.start - slack <= other.start and other.end <= self.end + slack


def note_slice(connection: Connection, recording: str, parent: str, rate: int, place: Slice) -> None:
    """Note that a recording was cut out of another one, and where; a sound that recurs has several places."""
    connection.execute(
        "INSERT INTO recording_slices (parent, rate, start, frames, recording) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        (ids_of(connection, parent)[0], rate, place.start, place.end - place.start, ids_of(connection, recording)[0]),
    )


def slices_of(connection: Connection, parent: str, rate: int) -> list[Slice]:
    """Return what was ever cut out of a recording, the smallest first."""
    rows = connection.execute(_OF_PARENT, (ids_of(connection, parent)[0], rate))
    return [Slice(start=row["start"], end=row["start"] + row["frames"]) for row in rows]


def known_as(connection: Connection, recording: str) -> list[str]:
    """Return every id under which what a recording sounds like may have been bought, the present one first.

    Those it ever had, and those of the same slice of a lossy recording, whose samples differ with the decoder.
    """
    ids = ids_of(connection, recording)
    beside = [row["id"] for row in connection.execute(_BESIDE, (ids[0],))]
    return list(dict.fromkeys([*ids, *(one for each in beside for one in ids_of(connection, each))]))
