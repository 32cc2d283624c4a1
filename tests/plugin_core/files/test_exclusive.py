from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from plugin_core.files import exclusive
from plugin_core.files.exclusive import rename_exclusive, sync_folder


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


class Killed(BaseException):
    """The process dies here."""


@pytest.fixture
def portable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exclusive, "_rename_noreplace", lambda: refuse)


@pytest.mark.usefixtures("portable")
@pytest.mark.parametrize("step", ["link", "unlink", "rename"])
def test_kill_leaves_nothing_half_made_and_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def die(*arguments: object, **options: object) -> None:
        raise Killed

    old, new = tmp_path / "old", tmp_path / "new"
    if step == "rename":
        (old / "x").mkdir(parents=True)
    else:
        old.write_text("whole")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(os if step == "link" else Path, step, die)
        rename_exclusive(old, new)
    assert old.exists()
    assert not new.exists() or new.read_text() == "whole"
    rename_exclusive(old, new)
    assert not old.exists() and new.exists()


@pytest.mark.usefixtures("portable")
def test_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(old: Path, new: Path) -> None:
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(os, "link", unable)
    (tmp_path / "old").write_text("whole")
    (tmp_path / "taken").write_text("user")
    with pytest.raises(FileExistsError):
        rename_exclusive(tmp_path / "old", tmp_path / "taken")
    rename_exclusive(tmp_path / "old", tmp_path / "new")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"taken": "user", "new": "whole"}


@pytest.mark.usefixtures("portable")
@pytest.mark.parametrize("kind", ["folder", "file", "unlinkable file"])
def test_portable_way_leaves_nothing_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    def crossing(*arguments: object) -> None:
        raise OSError(errno.EXDEV, "cross-device")

    old = tmp_path / "old"
    old.mkdir() if kind == "folder" else old.touch()
    for name in ("rename", "replace"):
        monkeypatch.setattr(Path, name, crossing)
    monkeypatch.setattr(os, "link", (lambda old, new: refuse(b"", b"")) if kind == "unlinkable file" else crossing)
    with pytest.raises(OSError, match="cross-device"):
        rename_exclusive(old, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("portable")
def test_folder_taken_at_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    (tmp_path / "new/mine").touch()
    answers = iter([False, True])
    monkeypatch.setattr(os.path, "lexists", lambda path: next(answers))
    with pytest.raises(FileExistsError):
        rename_exclusive(tmp_path / "old", tmp_path / "new")
    assert (tmp_path / "new/mine").exists() and (tmp_path / "old").exists()


def test_missing_file_is_said(tmp_path: Path, way: str) -> None:
    with pytest.raises(FileNotFoundError):
        rename_exclusive(tmp_path / "gone", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_sync_folder(tmp_path: Path) -> None:
    sync_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_folder(tmp_path / "gone")
