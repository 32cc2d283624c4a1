"""A job's song, through all that people do to its file."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from plugin_core.errors import SourceError
from plugin_core.operations.song import Song, inspect
from tests.audio_files import write_song


def test_source_is_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_song(tmp_path / os.fsdecode(b"caf\xe9.wav"), 0.5, 48000, 1, "PCM_24")
    monkeypatch.chdir(tmp_path)
    source = inspect(Path(path.name))
    assert source.path == path
    assert source.content == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (source.frames, source.sample_rate, source.channels, source.encoding) == (24000, 48000, 1, "pcm_24")
    assert (source.size, source.inode) == (path.stat().st_size, path.stat().st_ino)


def test_link_stays_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    song = write_song(tmp_path / "deep/song.wav", 0.1)
    link = tmp_path / "link.wav"
    link.symlink_to(song)
    assert inspect(link).path == link
    (tmp_path / "to").symlink_to(tmp_path / "deep")
    assert inspect(tmp_path / "to/../link.wav").path == link


def test_file_that_is_being_written_is_refused(tmp_path: Path) -> None:
    path = write_song(tmp_path / "song.wav", 0.1)

    def grow() -> None:
        with path.open("ab") as opened:
            opened.write(b"more")

    with pytest.raises(SourceError, match="is being written"):
        inspect(path, check=grow)


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "empty"])
def test_what_is_no_audio_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_text("words" if kind == "text" else "")
    with pytest.raises(SourceError, match="x"):
        inspect(path)


def test_changed_touched_moved_and_vanished(tmp_path: Path) -> None:
    path = write_song(tmp_path / "song.wav", 0.1)
    song = Song(inspect(path))
    song.require()
    os.utime(path, ns=(1, 1))
    song.require()
    data = path.read_bytes()
    path.unlink()
    with pytest.raises(SourceError, match="does not exist"):
        song.require()
    song.require_no_other()
    path.write_bytes(data)
    song.require()
    path.write_bytes(data[:-1] + b"x")
    with pytest.raises(SourceError, match="changed since it was queued"):
        song.require()
    with pytest.raises(SourceError, match="another song"):
        song.require_no_other()


def test_other_bytes_of_the_same_recording_are_the_same_song(tmp_path: Path) -> None:
    path = write_song(tmp_path / "song.wav", 0.1)
    source = inspect(path)
    path.write_bytes(path.read_bytes() + b"tags")
    Song(source, "recording", lambda found, _check: frozenset({"recording"} if found == path else ())).require()
    with pytest.raises(SourceError, match="changed since"):
        Song(source, "recording", lambda _path, _check: frozenset({"other"})).require()


def rename(song: Path) -> Path:
    return song.rename(song.with_name("Renamed.wav"))


def rename_album(song: Path) -> Path:
    return song.parent.rename(song.parent.with_name("Album (2026)")) / song.name


@pytest.mark.parametrize("act", [rename, rename_album])
def test_a_song_renamed_nearby_is_located(tmp_path: Path, act: object) -> None:
    (tmp_path / "Music/Album").mkdir(parents=True)
    (tmp_path / "Music/Other").mkdir()
    path = write_song(tmp_path / "Music/Album/song.wav", 0.1)
    shutil.copy(path, tmp_path / "Music/Other/song.wav")
    song = Song(inspect(path))
    assert song.locate() is None
    assert callable(act)
    there = act(path)
    found = song.locate()
    assert found is not None and found.path == there


def test_another_song_with_the_number_of_the_old_one_is_not_taken_for_it(tmp_path: Path) -> None:
    path = write_song(tmp_path / "song.wav", 0.1)
    song = Song(inspect(path))
    other = path.rename(tmp_path / "other.wav")
    other.write_bytes(write_song(tmp_path / "b.wav", 0.2).read_bytes())
    assert song.locate() is None
