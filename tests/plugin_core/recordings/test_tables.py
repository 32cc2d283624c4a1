"""Slices: which recording was cut out of which, and under which ids it may have been bought."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_core.files.database import Connection, Schema, new_id
from plugin_core.files.sqlite import SqliteFile
from plugin_core.recordings import tables
from plugin_core.recordings.tables import Recording, Slice, known_as, slices_of

SCHEMA = Schema("store", (tables.RECORDINGS,))
RATE = 44100


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    database = SqliteFile(tmp_path / "store.sqlite3", SCHEMA)
    with database.write() as opened:
        yield opened
    database.close()


def add(connection: Connection, frames: int = 1000) -> str:
    recording = Recording(id=new_id(time.time), rate=RATE, channels=2, frames=frames, duration=frames / RATE)
    tables.new(connection, recording)
    return recording.id


@pytest.mark.parametrize(
    ("wanted", "slack", "is_covered"),
    [((10, 90), 0, True), ((20, 30), 0, True), ((9, 90), 0, False), ((20, 91), 0, False), ((8, 92), 2, True)],
)
def test_covers(wanted: tuple[int, int], slack: int, is_covered: bool) -> None:
    assert Slice(start=10, end=90).covers(Slice(start=wanted[0], end=wanted[1]), slack) is is_covered


def test_slices_of_a_recording_and_of_none_other_the_smallest_first(connection: Connection) -> None:
    song, other, one, two, three = (add(connection) for _ in range(5))
    tables.note_slice(connection, one, song, RATE, Slice(start=0, end=900))
    for _ in range(2):
        tables.note_slice(connection, two, song, RATE, Slice(start=100, end=300))
    tables.note_slice(connection, three, other, RATE, Slice(start=100, end=300))
    tables.note_slice(connection, three, song, 48000, Slice(start=100, end=300))
    assert slices_of(connection, song, RATE) == [Slice(start=100, end=300), Slice(start=0, end=900)]


def test_recordings_that_turn_out_to_be_one_share_their_slices(connection: Connection) -> None:
    song, twin, one, again = (add(connection) for _ in range(4))
    tables.note_slice(connection, one, song, RATE, Slice(start=0, end=500))
    tables.note_slice(connection, again, twin, RATE, Slice(start=0, end=500))
    tables.note_slice(connection, again, twin, RATE, Slice(start=0, end=700))
    kept = tables.merge(connection, song, twin)
    tables.merge(connection, one, again)
    assert slices_of(connection, twin, RATE) == [Slice(start=0, end=500), Slice(start=0, end=700)]
    rows = connection.execute("SELECT parent, recording FROM recording_slices").fetchall()
    assert {(row["parent"], row["recording"]) for row in rows} == {(kept, one)}


def test_the_same_slice_by_another_decoder_may_have_been_bought(connection: Connection) -> None:
    song, one, today, beside = (add(connection) for _ in range(4))
    tables.note_slice(connection, one, song, RATE, Slice(start=0, end=500))
    tables.note_slice(connection, today, song, RATE, Slice(start=0, end=500))
    tables.note_slice(connection, beside, song, RATE, Slice(start=1, end=500))
    assert known_as(connection, today) == [today, one]
    assert known_as(connection, beside) == [beside]
    assert known_as(connection, song) == [song]
