"""What files say of their own length: whole ones are whole, cut ones are not, and what does not say counts as whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from stembridge_hot_folder.complete.structure import is_whole

from tests.audio_files import encode, truncate, write_song

SHARES = (0.001, 0.05, 0.3, 0.5, 0.75, 0.9, 0.99)


def make(tmp_path: Path, kind: str) -> Path:
    if kind == "m4a":
        return encode(write_song(tmp_path / "s.wav", 2.0), tmp_path / "Song.m4a")
    if kind == "flac by ffmpeg":
        return encode(write_song(tmp_path / "s.wav", 2.0), tmp_path / "Song.flac")
    return write_song(tmp_path / f"Song.{kind}", 2.0)


@pytest.mark.parametrize("kind", ["wav", "aiff", "flac", "flac by ffmpeg", "m4a"])
def test_whole_is_whole_and_cut_is_not(tmp_path: Path, kind: str) -> None:
    song = make(tmp_path, kind)
    assert is_whole(os.fsencode(song))
    data = song.read_bytes()
    for share in SHARES:
        song.write_bytes(data)
        assert not is_whole(os.fsencode(truncate(song, share))), share


def test_preallocated_flac_is_not_whole(tmp_path: Path) -> None:
    song = write_song(tmp_path / "Song.flac", 2.0)
    size = song.stat().st_size
    truncate(song, 0.7)
    os.truncate(song, size)
    assert not is_whole(os.fsencode(song))


def test_flac_with_an_old_tag_at_its_end_is_whole(tmp_path: Path) -> None:
    song = write_song(tmp_path / "Song.flac", 2.0)
    song.write_bytes(song.read_bytes() + b"TAG" + bytes(125))
    assert is_whole(os.fsencode(song))


@pytest.mark.parametrize("kind", ["ogg", "mp3"])
def test_kinds_that_do_not_say_count_as_whole(tmp_path: Path, kind: str) -> None:
    assert is_whole(os.fsencode(truncate(write_song(tmp_path / f"Song.{kind}", 2.0), 0.5)))


def test_missing_file_is_somebody_elses_to_tell(tmp_path: Path) -> None:
    assert is_whole(os.fsencode(tmp_path / "none.wav"))
