from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from plugin_core.errors import PlacementError, TransientError
from plugin_core.files.copying import copy_file, explain_os_error
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
