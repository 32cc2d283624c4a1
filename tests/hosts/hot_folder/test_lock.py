"""Case 28 in detail: what systems say of locks, folders within folders, and a folder that cannot be written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from stembridge_hot_folder import lock
from stembridge_hot_folder.lock import LOCK_NAME, SHARED_NAME, FolderLock, is_watched, refuse_neighbours

from plugin_core.errors import UsageError
from tests.hosts.hot_folder.conftest import Desk, wait_for
from tests.hosts.hot_folder.processes import start

HOLDER = """
import os, sys, time
from stembridge_hot_folder.lock import FolderLock
lock = FolderLock(os.fsencode(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Have another process hold a folder."""
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield
        process.communicate()


def answer(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock, "take_lock", refuse)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EACCES], ids=["POSIX", "Windows"])
def test_lock_that_another_has_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    answer(monkeypatch, number)
    lock = FolderLock(os.fsencode(tmp_path), sleep=lambda seconds: None)
    with pytest.raises(UsageError, match="another stembridge"):
        lock.acquire()
    assert not lock.is_held


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL])
def test_file_system_without_locks_is_watched_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    answer(monkeypatch, number)
    lock = FolderLock(os.fsencode(tmp_path))
    assert lock.acquire()
    lock.release()


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EHOSTDOWN])
def test_share_that_does_not_answer_is_neither_ours_nor_another_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    answer(monkeypatch, number)
    lock = FolderLock(os.fsencode(tmp_path))
    with pytest.raises(OSError, match=os.strerror(number)):
        lock.acquire()
    assert not lock.is_held
    assert not is_watched(os.fsencode(tmp_path))


def test_somebody_who_only_looks_hinders_nobody(tmp_path: Path) -> None:
    lock = FolderLock(os.fsencode(tmp_path))
    is_over = threading.Event()

    def look() -> None:
        while not is_over.is_set():
            is_watched(os.fsencode(tmp_path))

    looker = threading.Thread(target=look)
    (tmp_path / os.fsdecode(LOCK_NAME)).touch()
    looker.start()
    try:
        for _ in range(50):
            assert lock.acquire()
            lock.release()
    finally:
        is_over.set()
        looker.join()


def test_own_lock_left_on_a_share_that_went_away_is_taken_at_once(tmp_path: Path) -> None:
    slept: list[float] = []
    lock = FolderLock(os.fsencode(tmp_path), is_share=True, sleep=slept.append)
    assert lock.acquire()
    shared = tmp_path / os.fsdecode(SHARED_NAME)
    stamp = shared.stat()
    lock.release()
    # As if it could not be removed, since the share was away.
    shared.mkdir()
    os.utime(shared, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert lock.acquire()
    assert slept == []
    lock.release()


@pytest.mark.parametrize("is_inner", [True, False], ids=["in a watched one", "around a watched one"])
def test_folder_within_a_folder_is_refused_between_processes(tmp_path: Path, is_inner: bool) -> None:
    outer, inner = tmp_path / "x", tmp_path / "x" / "deep" / "y"
    inner.mkdir(parents=True)
    mine, other = (inner, outer) if is_inner else (outer, inner)
    refuse_neighbours(os.fsencode(mine))
    with held(other), pytest.raises(UsageError, match="lies in"):
        refuse_neighbours(os.fsencode(mine))
    # What a watch left behind hinders nobody.
    assert (other / os.fsdecode(LOCK_NAME)).exists()
    refuse_neighbours(os.fsencode(mine))


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
def test_case_27_nested_folders_of_two_watches_are_refused(desk: Desk) -> None:
    inner = desk.root / "inner"
    inner.mkdir()
    process = start(desk, is_heard=False)
    try:
        wait_for(lambda: is_watched(os.fsencode(desk.root)))
        with pytest.raises(UsageError, match="watch only one of the two"):
            desk.once(inner)
    finally:
        process.kill()
        process.wait()
    assert not is_watched(os.fsencode(inner)), "given back when it was refused"


@pytest.fixture
def read_only(other_disk: Path, desk: Desk) -> Iterator[Path]:
    desk.root = other_disk / "in"
    desk.root.mkdir()
    mount = ["mount", "-o", "remount,ro", str(other_disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this system does not remount")
    yield other_disk
    subprocess.run(["mount", "-o", "remount,rw", str(other_disk)], check=False)


def test_case_21_read_only_folder_is_told_in_one_line_and_locked_once_it_can_be_written(
    desk: Desk, read_only: Path
) -> None:
    with desk.running() as watch:
        wait_for(lambda: watch.watch._intakes[0].has_scanned)
        [warning] = [one.text for one in watch.listener.told if one.word == "warning"]
        assert "cannot be written (Read-only file system)" in warning
        assert not is_watched(os.fsencode(desk.root))
        subprocess.run(["mount", "-o", "remount,rw", str(read_only)], check=True)
        desk.song()
        watch.wait_done("Song.wav")
        wait_for(lambda: is_watched(os.fsencode(desk.root)))
