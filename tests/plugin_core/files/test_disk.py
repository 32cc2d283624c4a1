"""Telling network shares from local disks."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from plugin_core.audio import source_file
from plugin_core.errors import PlacementError, SourceError, StembridgeError, StoreError, TransientError
from plugin_core.files.disk import (
    AWAY,
    FULL,
    check_local,
    device_of,
    explain_read_error,
    explain_write_error,
    is_network,
    is_unc,
    kind_in,
    named,
    read_mounts,
    take_lock,
    try_lock,
)
from plugin_core.files.placement import explain_os_error
from plugin_core.jobs.store import JobStore
from plugin_core.tags.exchange import ReplaceOptions, check_replaceable
from plugin_core.tags.files import open_overlay, open_tagged, write_error

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


SONG = Path("song.flac")
NUMBERS = sorted(AWAY)
NAMES = [errno.errorcode[number] for number in NUMBERS]


def refusal(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_the_tables_hold_what_disks_and_shares_say() -> None:
    assert {errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN} <= AWAY
    assert {errno.ENOSPC, errno.EDQUOT} == FULL
    assert not AWAY & FULL
    assert not {errno.EACCES, errno.ENOENT, errno.EROFS} & (AWAY | FULL)


@pytest.mark.parametrize("number", NUMBERS, ids=NAMES)
@pytest.mark.parametrize(
    "explain",
    [
        explain_write_error,
        explain_read_error,
        lambda path, error: explain_os_error(error, path),
        source_file.explain_os_error,
        write_error,
    ],
    ids=["writing", "reading", "placing", "source", "tags"],
)
def test_a_disk_that_is_away_may_come_back(explain: Callable[[Path, OSError], StembridgeError], number: int) -> None:
    told = explain(SONG, refusal(number))
    assert isinstance(told, TransientError)
    assert "song.flac" in told.message


@pytest.mark.parametrize("open_song", [open_tagged, open_overlay])
def test_tags_of_a_disk_that_is_away(
    open_song: Callable[[Path], AbstractContextManager[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise refusal(errno.ENODEV)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(TransientError), open_song(SONG):
        pass


@pytest.mark.parametrize(("number", "kind"), [(errno.ENXIO, TransientError), (errno.ENOENT, SourceError)])
def test_a_replacement_on_a_disk_that_is_away(
    number: int, kind: type[StembridgeError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise refusal(number)

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(kind, match=r"song\.flac"):
        check_replaceable(SONG, ReplaceOptions())


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "on the disk"), (errno.EDQUOT, "on the disk (quota)")])
def test_a_full_disk_asks_for_room(number: int, words: str) -> None:
    told = explain_write_error(SONG, refusal(number))
    assert isinstance(told, TransientError)
    assert (told.message, told.remedy) == (f"song.flac cannot be written: no space left {words}", "make room")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EFBIG])
def test_what_does_not_pass_is_said_for_good(number: int) -> None:
    assert isinstance(explain_write_error(SONG, refusal(number)), PlacementError)
    assert isinstance(explain_read_error(SONG, refusal(number)), SourceError)


OURS = Path("/home/me/.stem (bridge)/purchases/1")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (f"{OURS}/part-000-ab.flac.try.part cannot be written: full", "Vocals of Song cannot be written: full"),
        (f"{OURS}: full", "Vocals of Song: full"),
        (f"a, {OURS}; b {OURS}/x", "a, Vocals of Song; b Vocals of Song"),
        ("/music/Song.flac is gone", "/music/Song.flac is gone"),
    ],
)
def test_our_own_places_are_told_by_what_people_know(said: str, told: str) -> None:
    with pytest.raises(TransientError) as caught, named({OURS: "Vocals of Song"}):
        raise TransientError(said, remedy="make room", retry_after=3.0)
    assert (caught.value.message, str(caught.value)) == (told, f"{told}; make room")
    assert caught.value.retry_after == 3.0


def test_a_path_stands_for_a_path_and_keeps_what_is_below(tmp_path: Path) -> None:
    places = {OURS: tmp_path, OURS / "ready-1-ab": tmp_path / r"a\1 music"}
    with pytest.raises(TransientError) as caught, named(places):
        raise TransientError(f"{OURS}/ready-1-ab/My Song.stems/My Song - Bass.flac and {OURS}/x")
    assert caught.value.message == rf"{tmp_path}/a\1 music/My Song.stems/My Song - Bass.flac and {tmp_path}/x"


def test_one_holder_at_a_time_until_the_file_is_closed(tmp_path: Path) -> None:
    first, second = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    try:
        assert try_lock(first)
        assert not try_lock(second)
        with pytest.raises(OSError, match=r"."):
            take_lock(second)
        os.close(first)
        assert try_lock(second)
    finally:
        os.close(second)
