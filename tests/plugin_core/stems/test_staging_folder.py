from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from plugin_core.audio.formats import FLAC16, FLAC24, MP3, WAV32F
from plugin_core.errors import PlacementError, TransientError
from plugin_core.files.disk import free_bytes
from plugin_core.stems import staging_folder
from plugin_core.stems.staging_folder import (
    HEAD_ROOM,
    Amount,
    check_destination,
    check_space,
    choose_staging,
    estimate_bytes,
    find_stale,
    hidden_neighbour,
    make_staging,
    remove_staging,
)
from tests.plugin_core.jobs.fakes import make_job


def test_in_home_when_on_the_same_device(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert choose_staging(home, "id1", tmp_path) == home / "staging" / "id1"
    assert not home.exists()


def test_beside_the_destination_when_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging_folder, "device_of", lambda path: hash(path))
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


def test_destination_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    with pytest.raises(PlacementError, match="does not exist, or cannot be reached"):
        make_staging(tmp_path / "moved away/.stembridge-id1")
    assert list(tmp_path.iterdir()) == []


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


SOURCE = make_job().source


@pytest.mark.parametrize(
    ("amount", "frames", "expected"),
    [
        (Amount(3, FLAC16), 441, 3 * 441 * 2 * 2),
        (Amount(3, WAV32F), 441, 3 * 441 * 2 * 4),
        (Amount(3, MP3), 441, 3 * 480),
        (Amount(3, FLAC24, least_rate=4 * 44_100), 441, 3 * 441 * 4 * 3),
        (Amount(3, FLAC24, least_rate=44_100), 441, 3 * 441 * 2 * 3),
        (Amount(1, FLAC16), 0, 44_100 * 2 * 2),
    ],
    ids=["16 bits", "floats", "lossy", "service answers in more", "in less", "length from the duration"],
)
def test_estimate_counts_every_sample_in_its_format(amount: Amount, frames: int, expected: int) -> None:
    source = msgspec.structs.replace(SOURCE, frames=frames, duration=1.0)
    assert estimate_bytes([amount], source) == expected + HEAD_ROOM
    assert estimate_bytes([amount] * 2, source) == 2 * expected + HEAD_ROOM


def test_too_little_space_says_how_much_and_where(tmp_path: Path) -> None:
    with pytest.raises(PlacementError, match=r"has 1.0 MiB free and the stems may take 2.0 GiB.*--to FOLDER") as caught:
        check_space(tmp_path, 2 << 30, free=lambda folder: 1 << 20)
    assert str(tmp_path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_enough_space_passes(tmp_path: Path) -> None:
    check_space(tmp_path, 1)
    assert free_bytes(tmp_path) > 0


def test_missing_destination_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(PlacementError, match=r"does not exist.*--to FOLDER"):
        check_destination(tmp_path / "gone")
    (tmp_path / "file").touch()
    with pytest.raises(PlacementError, match="is not a folder"):
        check_destination(tmp_path / "file")


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions")
def test_read_only_destination_is_refused(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from plugin_core.stems.staging_folder import check_destination\n"
        "from plugin_core.errors import PlacementError\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: check_destination(Path(sys.argv[1]))\n"
        "except PlacementError as error: print(error)\n"
    )
    folder = tmp_path / "locked"
    folder.mkdir()
    for parent in folder.parents:
        if parent.name.startswith(("stembridge-tests-", "pytest-", "popen-", tmp_path.name)):
            parent.chmod(0o755)
    folder.chmod(0o555)
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert "nothing can be written in" in done.stdout
    assert "--to FOLDER" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions")
def test_unreachable_destination_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "file" / "below"
    (tmp_path / "file").touch()
    with pytest.raises(PlacementError, match="cannot be reached"):
        check_destination(folder)
