from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

import pytest

from plugin_core.errors import PlacementError, TransientError
from plugin_core.stems import staging
from plugin_core.stems.staging import choose_staging, find_stale, hidden_neighbour, make_staging, remove_staging


def test_in_home_when_on_the_same_device(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert choose_staging(home, "id1", tmp_path) == home / "staging" / "id1"
    assert not home.exists()


def test_beside_the_destination_when_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "_device", lambda path: hash(path))
    folder = choose_staging(tmp_path / "home", "id1", tmp_path)
    assert folder == tmp_path / ".stembridge-id1"
    assert hidden_neighbour(folder, tmp_path) == folder
    assert hidden_neighbour(tmp_path / "home/staging/id1", tmp_path) == folder


def test_choice_stays_once_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_staging(tmp_path / ".stembridge-id1")
    assert choose_staging(tmp_path / "home", "id1", tmp_path) == tmp_path / ".stembridge-id1"


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions")
def test_only_the_user_may_look_in(tmp_path: Path) -> None:
    folder = tmp_path / "home/staging/id1"
    make_staging(folder)
    make_staging(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_staging_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PlacementError, match=r"cannot be written.*--to FOLDER"):
        make_staging(tmp_path / "file/staging/id1")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=["full", "away"])
def test_full_disk_passes_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(self: Path, mode: int = 0, parents: bool = False, exist_ok: bool = False) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(TransientError):
        make_staging(tmp_path / "staging/id1")


def test_only_staging_folders_are_removed(tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    assert remove_staging(music)
    assert music.is_dir()
    assert remove_staging(tmp_path / ".stembridge-gone")
    link = tmp_path / ".stembridge-link"
    link.symlink_to(music)
    (music / "song").touch()
    remove_staging(link)
    assert (music / "song").exists()


def test_what_cannot_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_staging(tmp_path / ".stembridge-id1")
    monkeypatch.setattr(shutil, "rmtree", lambda folder, ignore_errors: None)
    assert not remove_staging(tmp_path / ".stembridge-id1")


def test_only_what_lay_unchanged_for_a_minute_is_stale(tmp_path: Path) -> None:
    for name, age in {"a": 60, "b": 60, "young": 59, "from the future": -5}.items():
        folder = tmp_path / "staging" / name
        make_staging(folder)
        (folder / "part").touch()
        os.utime(folder, (1000 - age, 1000 - age))
    (tmp_path / "staging/file").touch()
    assert [path.name for path in find_stale(tmp_path, now=1000)] == ["a", "b"]
    assert find_stale(tmp_path / "gone", now=1000) == []
