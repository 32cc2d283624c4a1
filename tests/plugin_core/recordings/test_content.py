"""A file is hashed once for all who ask for it in a run, and again as soon as it may be another."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from plugin_core.audio.source_file import Identity
from plugin_core.errors import SourceError
from plugin_core.recordings import content
from plugin_core.recordings.content import hash_content


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """One entry for each MiB that is read; files of this very moment count as settled."""
    monkeypatch.setattr(Identity, "is_settled", lambda *_: True)
    return []


def hash_of(path: Path, reads: list[None]) -> str:
    return hash_content(path, lambda: reads.append(None))


def test_second_time_nothing_is_read(tmp_path: Path, reads: list[None]) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(b"one")

    assert hash_of(song, reads) == hash_of(song, reads) == hashlib.sha256(b"one").hexdigest()
    assert len(reads) == 1


def test_songs_of_a_large_run_are_read_once_each(tmp_path: Path, reads: list[None]) -> None:
    songs = [tmp_path / f"{number}.wav" for number in range(600)]
    for song in songs:
        song.write_bytes(song.name.encode())

    # A run looks at all, and then stores a job for one after the other.
    assert [hash_of(song, reads) for song in songs] == [hash_of(song, reads) for song in songs]
    assert len(reads) == len(songs)


def test_file_that_was_written_to_or_replaced_is_read_again(tmp_path: Path, reads: list[None]) -> None:
    song, other = tmp_path / "song.wav", tmp_path / "other.wav"
    song.write_bytes(b"one")
    hash_of(song, reads)
    other.write_bytes(b"two")
    other.replace(song)

    assert hash_of(song, reads) == hashlib.sha256(b"two").hexdigest()
    assert len(reads) == 2


def test_file_of_this_moment_is_not_remembered(tmp_path: Path) -> None:
    song, reads = tmp_path / "song.wav", list[None]()
    song.write_bytes(b"one")

    hash_of(song, reads)
    hash_of(song, reads)

    assert len(reads) == 2


def test_after_some_minutes_it_is_read_again(
    tmp_path: Path, reads: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(b"one")
    hash_of(song, reads)
    monkeypatch.setattr(content, "_FRESH_SECONDS", 0.0)

    hash_of(song, reads)

    assert len(reads) == 2


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        hash_content(tmp_path / "gone.wav", lambda: None)
