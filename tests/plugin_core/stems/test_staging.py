from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from plugin_core.errors import PlacementError
from plugin_core.stems import staging
from plugin_core.stems.staging import choose_staging, hidden_neighbour, make_staging, remove_staging, sweep


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
    with pytest.raises(PlacementError, match="nothing can be written"):
        make_staging(tmp_path / "file/staging/id1")


def test_only_staging_folders_are_removed(tmp_path: Path) -> None:
    music = tmp_path / "music"
    music.mkdir()
    remove_staging(music)
    assert music.is_dir()
    remove_staging(tmp_path / ".stembridge-gone")
    link = tmp_path / ".stembridge-link"
    link.symlink_to(music)
    (music / "song").touch()
    remove_staging(link)
    assert (music / "song").exists()


def test_sweep_spares_living_jobs_and_others_folders(tmp_path: Path) -> None:
    home, music = tmp_path / "home", tmp_path / "music"
    for folder in (home / "staging/a", home / "staging/b", music / ".stembridge-c", music / ".stembridge-d"):
        make_staging(folder)
        (folder / "part").touch()
    (music / "Song.stems").mkdir()
    assert sweep(home, {"b", "d"}, [music, tmp_path / "gone"]) == [home / "staging/a", music / ".stembridge-c"]
    assert sorted(path.name for path in music.iterdir()) == [".stembridge-d", "Song.stems"]
    assert [path.name for path in (home / "staging").iterdir()] == ["b"]
