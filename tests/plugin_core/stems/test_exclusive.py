from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from plugin_core.stems import exclusive
from plugin_core.stems.exclusive import rename_exclusive, sync_folder


def refuse(old: bytes, new: bytes) -> None:
    raise OSError(errno.EINVAL, "not supported")


@pytest.fixture(params=["system", "portable"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "portable":
        monkeypatch.setattr(exclusive, "_rename_noreplace", lambda: refuse)
    return str(request.param)


def test_renames_files_and_folders(tmp_path: Path, way: str) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "d").mkdir()
    (tmp_path / "d/x").write_text("x")
    rename_exclusive(tmp_path / "a", tmp_path / os.fsdecode(b"b\xff"))
    rename_exclusive(tmp_path / "d", tmp_path / "e")
    assert sorted(os.fsencode(path.name) for path in tmp_path.iterdir()) == [b"b\xff", b"e"]
    assert (tmp_path / "e/x").read_text() == "x"


@pytest.mark.parametrize("kind", ["file", "empty folder", "broken link"])
@pytest.mark.parametrize("is_folder", [True, False], ids=["folder", "file"])
def test_never_replaces(tmp_path: Path, way: str, kind: str, is_folder: bool) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    if is_folder:
        old.mkdir()
        (old / "x").touch()
    else:
        old.touch()
    if kind == "file":
        new.write_text("user")
    elif kind == "empty folder":
        new.mkdir()
    else:
        new.symlink_to(tmp_path / "nowhere")
    before = new.lstat()
    with pytest.raises(FileExistsError):
        rename_exclusive(old, new)
    assert new.lstat() == before
    assert old.exists()


def test_portable_way_leaves_nothing_when_it_fails(tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def crossing(self: Path, target: Path) -> Path:
        raise OSError(errno.EXDEV, "cross-device")

    (tmp_path / "old").mkdir()
    monkeypatch.setattr(Path, "replace", crossing)
    if way == "portable":
        with pytest.raises(OSError, match="cross-device"):
            rename_exclusive(tmp_path / "old", tmp_path / "new")
        assert not (tmp_path / "new").exists()


def test_missing_file_is_said(tmp_path: Path, way: str) -> None:
    with pytest.raises(FileNotFoundError):
        rename_exclusive(tmp_path / "gone", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_sync_folder(tmp_path: Path) -> None:
    sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "gone")
