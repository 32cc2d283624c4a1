from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from plugin_core.errors import SourceError
from plugin_core.operations.inspect import inspect
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
