"""Recordings in the store: aliases that only grow."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from plugin_core.errors import SourceError
from plugin_core.files.checksum import hash_file
from plugin_core.files.database import Connection, Database, Schema, new_id
from plugin_core.files.sqlite import SqliteFile
from plugin_core.recordings import tables
from plugin_core.recordings.book import RecordingBook
from plugin_core.recordings.content import raw1
from plugin_core.recordings.tables import Recording
from tests.audio_files import make_noise, write_samples
from tests.plugin_core.recordings.songs import Songs, run

SCHEMA = Schema("store", ("CREATE TABLE jobs (id TEXT)", tables.RECORDINGS))
AN_HOUR = 3600.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = SqliteFile(tmp_path / "home" / "store.sqlite3", SCHEMA)
    yield made
    made.close()


@pytest.fixture
def book(database: Database) -> RecordingBook:
    """Give a book whose clock goes ahead, so that files of the test are old enough to be known by their status."""
    return RecordingBook(database, clock=lambda: time.time() + AN_HOUR)


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.write() as opened:
        yield opened


def add(connection: Connection, *digests: str, frames: int = 1000) -> str:
    recording = Recording(id=new_id(time.time), rate=44100, channels=2, frames=frames, duration=frames / 44100)
    tables.new(connection, recording)
    return tables.remember(connection, recording.id, digests)


def write(path: Path, seed: int = 1, frames: int = 3000) -> Path:
    return write_samples(path, make_noise(frames, seed=seed), subtype="PCM_16")


def convert(song: Path) -> Path:
    """Write the same samples as FLAC."""
    samples, rate = soundfile.read(song, dtype="int16")
    return write_samples(song.with_suffix(".flac"), samples, rate, "PCM_16")


# The tables


def test_many_digests_lead_to_one_recording(connection: Connection) -> None:
    one, other = add(connection, "raw1:a", "pkt1:a"), add(connection, "raw1:b")
    assert tables.remember(connection, one, ["raw1:c"]) == one
    assert [tables.find_by_digest(connection, f"raw1:{name}") for name in "abcd"] == [one, other, one, None]
    assert tables.digests_of(connection, one) == ["pkt1:a", "raw1:a", "raw1:c"]


def test_two_that_share_a_digest_are_one_and_all_that_pointed_at_either_finds_it(
    connection: Connection,
) -> None:
    first, second, third = add(connection, "raw1:a"), add(connection, "raw1:b"), add(connection, "raw1:c")
    tables.note_slice(connection, third, third, 44100, tables.Slice(start=0, end=9))
    assert tables.remember(connection, third, ["raw1:b"]) == second
    assert tables.remember(connection, third, ["raw1:a"]) == first
    assert [tables.find_by_digest(connection, f"raw1:{name}") for name in "abc"] == [first] * 3
    assert tables.slices_of(connection, first, 44100) == [tables.Slice(start=0, end=9)]
    assert all(tables.ids_of(connection, one) == [first, second, third] for one in (first, second, third))
    assert tables.shapes(connection, 44100, 1000) == [first]


def test_shapes_are_those_of_the_same_rate_and_length(connection: Connection) -> None:
    one = add(connection, "raw1:a", frames=5000)
    add(connection, "raw1:b", frames=0)
    assert tables.shapes(connection, 44100, 5000) == [one]
    assert tables.shapes(connection, 48000, 5000) == tables.shapes(connection, 44100, 5001) == []
    assert tables.shapes(connection, 44100, 0) == []


def test_it_takes_part_in_the_transaction_of_the_caller(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as connection:
        connection.execute("INSERT INTO jobs VALUES ('job')")
        add(connection, "raw1:a")
        raise ZeroDivisionError
    with database.read() as connection:
        assert tables.find_by_digest(connection, "raw1:a") is None


@pytest.mark.parametrize(
    "query",
    [
        "SELECT recording FROM recording_aliases WHERE digest = 'a'",
        "SELECT digest FROM recording_aliases WHERE recording = 'a'",
        "SELECT id FROM recordings WHERE frames = 1 AND frames > 0 AND rate = 1",
        "SELECT id FROM recordings WHERE merged = 'a'",
    ],
)
def test_look_ups_use_an_index(connection: Connection, query: str) -> None:
    plan = connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
    assert all(row["detail"].startswith("SEARCH") for row in plan)


# The book


def test_a_recording_is_found_in_a_file_with_other_tags_and_in_another_format(
    book: RecordingBook, songs: Songs, tmp_path: Path
) -> None:
    song = songs.copy("wav", tmp_path)
    assert book.find(song) is None
    entered = book.enter(song)
    assert entered == (book.enter(song).recording, hash_file(song).sha256)
    flac = tmp_path / "song.flac"
    run("flac", "-s", "-o", "{new}", "{song}", song=song, new=flac)
    found = book.find(flac)
    assert found == (entered.recording, hash_file(flac).sha256)
    run("metaflac", "--set-tag=TITLE=other", "{song}", song=flac)
    again = book.find(flac)
    assert again is not None
    assert again.recording == entered.recording
    assert again.sha256 != found.sha256


def test_what_was_known_by_its_bytes_alone_is_known_by_its_sound_once_it_is_met_again(
    book: RecordingBook, database: Database, tmp_path: Path
) -> None:
    song = write(tmp_path / "song.wav")
    flac = convert(song)
    with database.write() as connection:
        old = add(connection, raw1(hash_file(song).sha256), frames=2972)
    assert book.find(flac) is None
    assert book.enter(song).recording == old
    found = book.find(flac)
    assert found is not None
    assert found.recording == old


def test_two_that_turn_out_to_sound_the_same_become_one(
    book: RecordingBook, database: Database, tmp_path: Path
) -> None:
    song = write(tmp_path / "song.wav")
    with database.write() as connection:
        old = add(connection, raw1(hash_file(song).sha256), frames=3000)
    flac = book.enter(convert(song))
    assert flac.recording != old
    assert book.enter(song).recording == old
    assert book.enter(tmp_path / "song.flac").recording == old


def test_an_exact_song_of_a_length_never_met_is_not_read(
    book: RecordingBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book.enter(write(tmp_path / "song.wav"))
    monkeypatch.setattr("plugin_core.recordings.book.hash_content", lambda *_: pytest.fail("read"))
    assert book.find(write(tmp_path / "longer.wav", frames=3001)) is None


def test_a_song_of_the_same_length_is_heard(book: RecordingBook, tmp_path: Path) -> None:
    book.enter(write(tmp_path / "song.wav"))
    assert book.find(write(tmp_path / "other.wav", seed=2)) is None


@pytest.mark.usefixtures("ffmpeg")
def test_a_length_that_a_container_only_estimates_is_not_believed(
    book: RecordingBook, songs: Songs, tmp_path: Path
) -> None:
    entered = book.enter(songs.wav)
    run("ffmpeg", "-i", "{song}", "-c", "copy", "{new}", song=songs.wav, new=tmp_path / "song.mkv")
    run("ffmpeg", "-i", "{song}", "-c", "copy", "{new}", song=tmp_path / "song.mkv", new=tmp_path / "song.mov")
    found = book.find(tmp_path / "song.mov")
    assert found is not None
    assert found.recording == entered.recording


def test_what_is_no_audio_is_known_by_its_bytes(book: RecordingBook, tmp_path: Path) -> None:
    odd = tmp_path / "odd.mp3"
    odd.write_bytes(b"\xff\xfb\x00\x00" * 999)
    entered = book.enter(odd)
    assert book.find(Path(shutil.copy(odd, tmp_path / "copy.mp3"))) == entered


def test_moved_and_copied_files_are_known_by_their_bytes(
    book: RecordingBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    song = write(tmp_path / "song.wav")
    entered = book.enter(song)
    monkeypatch.setattr("plugin_core.recordings.book.digest_of", lambda *_, **__: pytest.fail("decoded"))
    moved = song.rename(tmp_path / "moved.wav")
    copied = Path(shutil.copy(moved, tmp_path / "copied.wav"))
    assert book.find(moved) == book.find(copied) == entered


def test_samples_count_whatever_held_them(book: RecordingBook, tmp_path: Path) -> None:
    samples = np.rint(make_noise(3000, 1) * 2**15) / 2**15
    one = book.enter(write_samples(tmp_path / "mono.wav", samples, subtype="PCM_16"))
    both = write_samples(tmp_path / "both.aiff", np.repeat(samples, 2, axis=1), subtype="PCM_24")
    assert book.enter(both).recording == one.recording


def test_a_missing_file_is_one_line(book: RecordingBook, tmp_path: Path) -> None:
    for ask in (book.find, book.enter):
        with pytest.raises(SourceError, match="does not exist"):
            ask(tmp_path / "gone.wav")
