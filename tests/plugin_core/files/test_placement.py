from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from plugin_core.errors import PlacementError, TransientError
from plugin_core.files import placement
from plugin_core.files.names import MAX_BYTES, NUMBER_BYTES
from plugin_core.files.placement import (
    copy_file,
    copy_tree,
    explain_os_error,
    rename_exclusive,
    rename_numbered,
    sync_folder,
)
from plugin_core.tasks import StoppedError, Stopper


def refuse(old: bytes, new: bytes) -> None:
    raise OSError(errno.EINVAL, "not supported")


@pytest.fixture(params=["system", "portable"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "portable":
        monkeypatch.setattr(placement, "_rename_by", lambda _way: refuse)
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
    monkeypatch.setattr(placement, "_rename_by", lambda _way: refuse)


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


@pytest.mark.parametrize("in_kernel", [True, False])
@pytest.mark.parametrize("size", [0, 5_000_000])
def test_copy_is_equal_and_apart(tmp_path: Path, size: int, in_kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not in_kernel:
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    (tmp_path / "a").write_bytes(os.urandom(size))
    copy_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()
    assert (tmp_path / "a").stat().st_ino != (tmp_path / "b").stat().st_ino


def test_copy_can_be_stopped(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    stopper = Stopper()
    stopper.request()
    with pytest.raises(StoppedError):
        copy_file(tmp_path / "a", tmp_path / "b", stopper.check)


def test_full_disk_passes_by_itself_and_a_locked_one_does_not() -> None:
    assert isinstance(explain_os_error(OSError(errno.ENOSPC, "No space"), Path("x")), TransientError)
    locked = explain_os_error(OSError(errno.EROFS, "Read-only file system"), Path("x"))
    assert isinstance(locked, PlacementError)
    assert "--to FOLDER" in str(locked)


def test_a_tree_is_copied_whole(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "stem.flac").write_bytes(os.urandom(1_000_000))
    (tmp_path / "a" / "link").symlink_to("b/stem.flac")
    copy_tree(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "c" / "b" / "stem.flac").read_bytes() == (tmp_path / "a" / "b" / "stem.flac").read_bytes()
    assert (tmp_path / "c" / "link").readlink() == Path("b/stem.flac")


@pytest.mark.parametrize("depth", [1, 3])
def test_a_disk_that_fills_under_a_tree_is_one_error_and_no_list_of_shutil(tmp_path: Path, depth: int) -> None:
    folder = tmp_path.joinpath("old", *["below"] * (depth - 1))
    folder.mkdir(parents=True)
    for number in range(3):
        (folder / f"{number}.flac").write_bytes(b"stem")

    def fill(_old: str, new: str) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), new)

    with pytest.raises(OSError, match="No space left") as caught:
        copy_tree(tmp_path / "old", tmp_path / "new", fill)
    assert not isinstance(caught.value, shutil.Error)
    assert caught.value.errno == errno.ENOSPC
    assert str(caught.value.filename).endswith(".flac")
    assert isinstance(explain_os_error(caught.value, tmp_path / "new"), TransientError)


def test_a_name_that_is_taken_is_numbered_unless_what_has_it_will_do(tmp_path: Path) -> None:
    for number, name in enumerate(("Song.flac", "Song (2).flac", "Song (3).flac")):
        draft = tmp_path / "draft"
        draft.write_bytes(bytes([number]))
        assert rename_numbered(draft, tmp_path, "Song", ".flac") == tmp_path / name
    draft.write_bytes(b"again")
    second = tmp_path / "Song (2).flac"
    assert rename_numbered(draft, tmp_path, "Song", ".flac", will_do=lambda path: path == second) == second
    assert (draft.read_bytes(), second.read_bytes()) == (b"again", b"\1")
    placed = rename_numbered(draft, tmp_path, "é" * 200, ".flac")
    assert len(os.fsencode(placed.name)) <= MAX_BYTES - NUMBER_BYTES and placed.read_bytes() == b"again"
