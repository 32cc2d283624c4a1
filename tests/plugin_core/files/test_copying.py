from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from plugin_core.errors import PlacementError, TransientError
from plugin_core.files.copying import copy_file, copy_tree, explain_os_error
from plugin_core.threads import StoppedError, Stopper


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
