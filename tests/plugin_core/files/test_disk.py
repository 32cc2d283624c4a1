"""Telling network shares from local disks."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from plugin_core.errors import StoreError
from plugin_core.files.disk import check_local, device_of, is_network, is_unc, kind_in, read_mounts
from plugin_core.jobs.store import JobStore

MOUNTINFO = rb"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /mnt/nas rw shared:7 master:2 - nfs4 nas:/music rw,vers=4.2
31 22 0:41 / /mnt/my\040share rw - cifs //nas/share rw
32 22 0:42 / /mnt/caf\351 rw - fuse.sshfs host: rw
33 22 0:43 / /mnt/nas/local rw - xfs /dev/sdb1 rw
34 22 0:44 / /data rw - ext4 /dev/sdc1 rw
35 22 0:45 / /data rw - 9p share rw
damaged line
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        (b"/home/me", "ext4"),
        (b"/mnt/nas/stembridge", "nfs4"),
        (b"/mnt/nasty", "ext4"),
        (b"/mnt/nas/local/deep", "xfs"),
        (b"/mnt/my share/x", "cifs"),
        (b"/mnt/caf\xe9/x", "fuse.sshfs"),
        (b"/data", "9p"),
    ],
)
def test_longest_and_last_mount_wins(folder: bytes, kind: str) -> None:
    assert kind_in(read_mounts(MOUNTINFO.splitlines()), Path(os.fsdecode(folder))) == kind


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "afs", "ceph", "lustre", "unc"])
def test_network_file_systems_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(StoreError, match="network share") as caught:
        JobStore(tmp_path / "home" / "jobs.sqlite3", kind_of=lambda folder: kind)
    assert "STEMBRIDGE_HOME" in caught.value.remedy
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "xfs", "overlay", "tmpfs", "apfs", "ntfs3", "fuseblk", ""])
def test_local_file_systems_are_fine(tmp_path: Path, kind: str) -> None:
    check_local(tmp_path, lambda folder: kind)
    assert not is_network(kind)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (r"\\server\share\x", True),
        ("//server/share", True),
        (r"\\?\UNC\server\share", True),
        (r"\\?\C:\Users", False),
        (r"\\.\C:", False),
        (r"C:\Users\me", False),
    ],
)
def test_windows_paths_to_other_machines(path: str, expected: bool) -> None:
    assert is_unc(path) is expected


@pytest.mark.parametrize("below", [(), ("missing",), ("missing", "deeper"), ("file",), ("file", "below", "deeper")])
def test_what_is_not_there_is_on_the_device_it_would_be_made_on(tmp_path: Path, below: tuple[str, ...]) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert device_of(tmp_path.joinpath(*below)) == tmp_path.stat().st_dev


def test_a_folder_that_may_not_be_entered_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(_path: Path) -> os.stat_result:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "stat", deny)
    with pytest.raises(PermissionError):
        device_of(tmp_path / "in")
