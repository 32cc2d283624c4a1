"""Cases 11, 12, 21 to 24: shares, full, read-only and vanishing disks, lost events."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from stembridge_hot_folder import folders, intake, queue, root
from stembridge_hot_folder.ledger import SongState
from stembridge_hot_folder.status import show_status
from watchdog.events import FileSystemEvent

from plugin_core.errors import UsageError
from plugin_core.model import Part, Ticket
from plugin_core.protocols import Order, Report
from tests.hosts.hot_folder.conftest import Desk, Running, mount, wait_for
from tests.hosts.hot_folder.processes import finish, rows_in, start


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "FIRST_WAIT", 0.2)
    monkeypatch.setattr(queue, "LONGEST_WAIT", 0.4)
    monkeypatch.setattr(intake, "_RETRY_ROOT", 0.2)


def is_told(watch: Running, text: str) -> bool:
    return any(text in one.text for one in watch.listener.told)


@pytest.mark.parametrize(
    "kind",
    [
        *("nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "vboxsf", "drvfs", "fuse.mergerfs"),
        *("virtiofs", "fuse", "fuseblk", "prl_fs", "cvfs", "fakeowner", "afpfs"),
    ],
)
def test_case_11_shares_settle_longer_and_are_looked_through_more_often(desk: Desk, kind: str) -> None:
    from stembridge_hot_folder.folders import WatchSettings

    [share] = folders.open_folders([desk.root], WatchSettings(), kind_of=lambda _path: kind)
    [local] = folders.open_folders([desk.root], WatchSettings(), kind_of=lambda _path: "ext4")
    assert share.is_share
    assert not local.is_share
    assert share.patience.settle == 15.0
    assert share.rescan < local.rescan


def test_place_below_a_file_is_on_the_disk_of_that_file(desk: Desk) -> None:
    (desk.root / "file").write_bytes(b"the user's")
    [folder] = folders.open_folders([desk.root], folders.WatchSettings(done="file/done"))
    assert folder.disks == {os.fsencode(desk.root / "file" / "done"): desk.root.stat().st_dev}


def test_place_that_cannot_be_looked_at_is_told_as_the_setting_it_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(_path: Path) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(folders, "device_of", deny)
    with pytest.raises(UsageError, match=r"\[watch\] failed: .*/closed/bad may not be read: Permission denied"):
        folders.open_folders([desk.root], folders.WatchSettings(failed="closed/bad"))


def test_case_11_a_rescan_finds_what_no_event_tells(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root.ChangeListener, "_hear", lambda self, event: None)
    with desk.running() as watch:
        desk.song("a/Song.wav")
        watch.wait_done("Song.wav")


def test_case_11_mount_below_is_looked_through_as_often_as_a_share_and_told_once(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(root.ChangeListener, "_hear", lambda self, event: None)
    monkeypatch.setattr(folders, "_SLOW_KINDS", ("tmpfs",))
    monkeypatch.setattr(folders, "filesystem_kind", lambda _path: "ext4")
    desk.set(rescan_seconds=3600)
    for place in mount(desk.root / "Share", "size=400m"):
        with desk.running() as watch:
            wait_for(lambda: watch.watch._intakes[0].has_scanned)
            desk.song("Share/Song.wav")
            watch.wait_done("Song.wav")
        told = [one.text for one in watch.listener.told if f"{place}: a tmpfs mount" in one.text]
        assert told == [f"{place}: a tmpfs mount, looked through every 0.3 s"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE], ids=["watch limit", "instance limit"])
def test_case_12_limits_of_the_system_leave_rescans_and_one_warning(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    from watchdog.observers.api import BaseObserver

    def refuse(self: object, *arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(BaseObserver, "schedule", refuse)
    with desk.running() as watch:
        desk.song()
        watch.wait_done("Song.wav")
        desk.song("Other.wav", seed=2)
        watch.wait_done("Other.wav")
    assert len([one for one in watch.listener.told if "cannot tell of changes" in one.text]) == 1


def test_case_12_overflow_of_the_queue_of_events(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root, "MOST_PATHS", 5)
    desk.set(rescan_seconds=3600)
    with desk.running() as watch:
        wait_for(lambda: watch.watch._intakes[0].has_scanned)
        for number in range(40):
            desk.song(f"{number}.wav", seed=number, seconds=0.05)
        watch.wait_done(*(f"{number}.wav" for number in range(40)))
    assert len(desk.separator.paid) == 40


def test_case_21_song_that_may_not_be_read_waits_until_it_may(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    song = desk.song()
    song.chmod(0)
    if os.access(song, os.R_OK):
        # Root reads everything; the check itself is what is asked.
        access = os.access
        monkeypatch.setattr(
            os,
            "access",
            lambda path, mode: (
                bool(song.stat().st_mode & 0o400) and access(path, mode)
                if path == os.fsencode(song)
                else access(path, mode)
            ),
        )
    with desk.running() as watch:
        watch.wait("waits", "Song.wav")
        assert "may not be read" in (desk.root / "Song.wav.error.txt").read_text()
        song.chmod(0o600)
        watch.wait_done("Song.wav")
    assert not (desk.root / "Song.wav.error.txt").exists()


@pytest.fixture
def read_only(other_disk: Path, desk: Desk) -> Iterator[Path]:
    desk.root = other_disk / "in"
    desk.root.mkdir()
    desk.song()
    mount = ["mount", "-o", "remount,ro", str(other_disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this system does not remount")
    yield other_disk
    subprocess.run(["mount", "-o", "remount,rw", str(other_disk)], check=False)


def test_case_21_read_only_disk_is_waited_out(desk: Desk, read_only: Path) -> None:
    with desk.running() as watch:
        watch.wait("waits", "Song.wav")
        assert desk.separator.paid == []
        subprocess.run(["mount", "-o", "remount,rw", str(read_only)], check=True)
        watch.wait_done("Song.wav")
    assert desk.separator.paid == ["Song.wav"]
    assert len(desk.stems()) == 2


def test_case_22_full_disk_pauses_the_folder_and_goes_on_by_itself(desk: Desk, other_disk: Path) -> None:
    desk.root = other_disk / "in"
    desk.root.mkdir()
    filler = other_disk / "filler"
    free = shutil.disk_usage(other_disk).free
    for number in range(5):
        desk.song(f"{number}.wav", seed=number)
    with filler.open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, free - 20 * 2**20)
    with desk.running() as watch:
        wait_for(lambda: any("MiB free" in one.text for one in watch.listener.told))
        assert desk.separator.paid == []
        filler.unlink()
        watch.wait_done(*(f"{number}.wav" for number in range(5)))
    assert any("there is room again" in one.text for one in watch.listener.told)
    assert len([one for one in watch.listener.told if one.word == "warning" and "goes on by itself" in one.text]) == 1
    assert sorted(desk.separator.paid) == [f"{number}.wav" for number in range(5)]


def test_case_22_small_disk_is_waited_for_until_it_has_grown(desk: Desk, small_disk: Path) -> None:
    desk.root = small_disk
    with desk.running() as watch:
        desk.song()
        wait_for(lambda: any("MiB free" in one.text for one in watch.listener.told))
        assert desk.separator.paid == []
        subprocess.run(["mount", "-o", "remount,size=400m", str(small_disk)], check=True)
        watch.wait_done("Song.wav")
    assert len(desk.stems()) == 2


def test_case_22_disk_that_fills_up_in_the_middle_leaves_nothing_half(desk: Desk, other_disk: Path) -> None:
    desk.root = other_disk / "in"
    desk.root.mkdir()
    filler = other_disk / "filler"

    def fill() -> None:
        with filler.open("wb") as out:
            os.posix_fallocate(out.fileno(), 0, shutil.disk_usage(other_disk).free)

    desk.separator.fetched = fill
    with desk.running() as watch:
        desk.song(seconds=2.0)
        wait_for(lambda: "no space left" in desk.trouble("Song.wav"), lambda: desk.trouble("Song.wav"))
        assert desk.stems() == []
        desk.separator.fetched = lambda: None
        filler.unlink()
        watch.wait_done("Song.wav")
    assert desk.separator.paid == ["Song.wav"]
    assert desk.stems() == ["Song - Instrumental.wav", "Song - Vocals.wav"]
    assert [path.name for path in desk.root.iterdir() if path.name.startswith(".stembridge-")] == []


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EHOSTDOWN, errno.ENOTCONN])
def test_case_23_share_that_drops_is_unavailable_and_nothing_is_deleted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    desk.separator.hold = True
    broken = {"is": False}
    scandir = os.scandir

    def fail(path: bytes) -> object:
        if broken["is"] and path == os.fsencode(desk.root):
            raise OSError(number, os.strerror(number))
        return scandir(path)

    with desk.running() as watch:
        desk.song()
        wait_for(lambda: desk.separator.paid)
        monkeypatch.setattr(os, "scandir", fail)
        broken["is"] = True
        wait_for(lambda: is_told(watch, "cannot be reached"))
        broken["is"] = False
        wait_for(lambda: is_told(watch, "there again"))
        desk.separator.hold = False
        watch.wait_done("Song.wav")
    assert desk.separator.cancelled == []
    assert desk.separator.paid == ["Song.wav"]


def test_case_23_unmounted_folder_is_not_taken_for_an_empty_one(desk: Desk, other_disk: Path) -> None:
    """A job that came to its end meanwhile, without its song, and songs in line were told to be gone."""
    desk.root = other_disk
    desk.set(at_once=1)
    keep_songs(desk)
    desk.separator.hold = True
    with desk.running() as watch:
        songs = [desk.song(f"{number}.wav", seed=number) for number in (1, 2)]
        wait_for(lambda: desk.separator.paid and watch.watch.counts().queued == 1)
        with covered(other_disk):
            wait_for(lambda: is_told(watch, "cannot be reached"))
            assert desk.separator.cancelled == []
            desk.separator.hold = False
            wait_for(lambda: watch.watch.counts().waiting == 2)
        wait_for(lambda: is_told(watch, "there again"))
        for song in songs:
            watch.wait_done(song.name)
    assert [desk.state(song) for song in songs] == [SongState.DONE] * 2
    assert sorted(desk.separator.paid) == ["1.wav", "2.wav"]
    assert {one.word for one in watch.listener.told}.isdisjoint({"dropped", "gone"})


def keep_songs(desk: Desk) -> None:
    """Let the service have what it was sent, wherever the song is by then."""
    fetch, submit = desk.separator._fetch, desk.separator.submit

    def place(order: Order) -> Path:
        return desk.home.parent / f"sent-{order.key}"

    async def keep(order: Order, report: Report) -> Ticket:
        shutil.copy(order.source.path, place(order))
        return await submit(order, report)

    def fetch_kept(order: Order) -> list[Part]:
        source = msgspec.structs.replace(order.source, path=place(order))
        return fetch(msgspec.structs.replace(order, source=source))

    desk.separator.submit, desk.separator._fetch = keep, fetch_kept  # type: ignore[method-assign]


def test_case_24_folder_on_another_disk_is_not_made_anew_for_what_is_ready(desk: Desk, other_disk: Path) -> None:
    """Where parts are worked on was made with all folders above it, and the watch took that for its folder."""
    desk.root, away = other_disk / "Drop", other_disk / "Away"
    desk.root.mkdir()
    keep_songs(desk)
    desk.separator.hold = True
    with desk.running() as watch:
        desk.song()
        wait_for(lambda: desk.separator.paid)
        desk.root.rename(away)
        wait_for(lambda: is_told(watch, "cannot be reached"))
        desk.separator.hold = False
        wait_for(lambda: (away / "Song.stems").exists())
        assert not desk.root.exists()
        away.rename(desk.root)
        watch.wait_done("Song.wav")
    assert desk.separator.paid == ["Song.wav"]


@pytest.mark.parametrize("above", [False, True])
def test_case_24_link_in_place_of_the_folder_is_waited_out_in_one_line(desk: Desk, tmp_path: Path, above: bool) -> None:
    """Each song behind it was taken and dropped again, without end."""
    desk.root = tmp_path / "Music" / "Drop"
    desk.root.mkdir(parents=True)
    place, away = desk.root.parent if above else desk.root, tmp_path / "Away"
    with desk.running() as watch:
        desk.song()
        watch.wait_done("Song.wav")
        place.rename(away)
        place.symlink_to(away)
        desk.song("Other.wav", seed=2)
        wait_for(lambda: is_told(watch, "a link leads there now"))
        place.unlink()
        away.rename(place)
        watch.wait_done("Other.wav")
    assert [one.word for one in watch.listener.told].count("dropped") == 0
    assert desk.separator.paid == ["Song.wav", "Other.wav"]


def test_case_24_folder_renamed_and_made_again(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: set[str] = set()
    hear = root.ChangeListener._hear

    def overhear(self: root.ChangeListener, event: FileSystemEvent) -> None:
        heard.update(map(os.fsdecode, (event.src_path, event.dest_path)))
        hear(self, event)

    monkeypatch.setattr(root.ChangeListener, "_hear", overhear)
    with desk.running() as watch:
        desk.song()
        watch.wait_done("Song.wav")
        desk.root.rename(tmp_path / "away")
        wait_for(lambda: is_told(watch, "cannot be reached"))
        desk.root.mkdir()
        desk.song("Other.wav", seed=2)
        watch.wait_done("Other.wav")
        third = desk.song("Third.wav", seed=3)
        watch.wait_done("Third.wav")
        wait_for(lambda: str(third) in heard, "the new folder is not listened to")
    assert desk.separator.paid == ["Song.wav", "Other.wav", "Third.wav"]


def test_case_24_folder_deleted_and_made_again(desk: Desk) -> None:
    with desk.running() as watch:
        wait_for(lambda: watch.watch._intakes[0].has_scanned)
        shutil.rmtree(desk.root)
        wait_for(lambda: is_told(watch, "cannot be reached"))
        desk.root.mkdir()
        desk.song()
        watch.wait_done("Song.wav")


def test_case_22_full_disk_of_finished_songs_is_told_in_one_line_and_waited_out(
    desk: Desk, small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.set(done=small_disk / "done", at_once=2)
    filler, names = small_disk / "filler", [f"{number}.wav" for number in range(5)]
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free))
    for number, name in enumerate(names):
        desk.song(name, seed=number)
    told = tmp_path / "told"
    with told.open("wb") as output:
        process = start(desk, output=output, CHEAP_WAIT="0.2")
    try:
        wait_for(lambda: rows_in(desk, SongState.MOVING) == 5, told.read_text)
        full = f"{small_disk / 'done'} cannot be written: no space left on the disk"
        wait_for(lambda: status_of(desk, capsys) == {f"moving {desk.root / name}: {full}" for name in names})
        filler.unlink()
        wait_for(lambda: rows_in(desk) == 5, told.read_text)
    finally:
        process.terminate()
        finish(process)
    lines = [line for line in told.read_text("utf-8").splitlines() if not line.startswith(f"{desk.root}/")]
    assert lines[1:3] == [
        f"stembridge: {desk.root}: what is done waits to be moved, {full}; it goes on by itself",
        f"{desk.root}: what is done can be moved again, going on",
    ]
    assert not [line for line in told.read_text("utf-8").splitlines() if "waits" in line and line not in lines]
    assert len(list((small_disk / "done").iterdir())) == 10
    assert sorted(desk.separator.paid) == names
    assert not list(desk.root.glob("*.error.txt"))


def status_of(desk: Desk, capsys: pytest.CaptureFixture[str]) -> set[str]:
    """Return what ``watch status`` says of each song."""
    capsys.readouterr()
    show_status(desk.context(), [], as_json=False)
    return {" ".join(line.split()) for line in capsys.readouterr().out.splitlines()[1:] if str(desk.root) in line}


@contextmanager
def covered(place: Path) -> Iterator[None]:
    """Put another, empty file system over a folder, as an unmounted disk or share leaves its mount point."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_case_22_folder_of_finished_songs_is_not_made_anew_below_a_disk_that_is_away(
    desk: Desk, other_disk: Path
) -> None:
    (other_disk / "done").mkdir()
    desk.set(done=other_disk / "done")
    with desk.running() as watch:
        wait_for(lambda: watch.watch._intakes[0].has_scanned)
        with covered(other_disk):
            desk.song()
            watch.wait("waits", "Song.wav")
            assert list(other_disk.iterdir()) == []
        watch.wait_done("Song.wav")
    assert sorted(path.name for path in (other_disk / "done").iterdir()) == ["Song.stems", "Song.wav"]
    assert [one.text for one in watch.listener.told if one.word == "warning"] == [
        f"what is done waits to be moved, {other_disk / 'done'} is not there, nor is its disk; it goes on by itself"
    ]
