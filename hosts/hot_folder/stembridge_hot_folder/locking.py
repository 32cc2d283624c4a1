"""One watcher a folder, on this machine and, for shares, on all of them."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Final

from plugin_core.errors import UsageError
from plugin_core.locks import take_lock

LOCK_NAME: Final = b".stembridge.lock"
SHARED_NAME: Final = b".stembridge.lock.d"
BEAT: Final = 10.0
STALE: Final = 60.0
"""A share's lock whose sign of life did not change for so long is left over from a crash."""


class FolderLock:
    """Holds a hot folder.

    A lock of the system's, which ends with its process; on a share a folder besides, since not every share passes
    locks on, whose time its holder renews.

    Args:
        folder: the hot folder.
        is_share: whether other machines may watch it.
        clock: monotonic seconds.
        sleep: waits for some seconds.
    """

    def __init__(
        self,
        folder: bytes,
        *,
        is_share: bool = False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = os.path.join(folder, LOCK_NAME)
        self._shared = os.path.join(folder, SHARED_NAME)
        self._is_share = is_share
        self._clock = clock
        self._sleep = sleep
        self._descriptor: int | None = None
        self._next_beat = 0.0
        self._holds_shared = False

    def acquire(self) -> bool:
        """Take the folder; False where it cannot be written, so that nothing can be locked.

        Raises:
            UsageError: another process has it.
        """
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError:
            # A folder that is read-only now may be writable later; the caller says so.
            return False
        if not _lock(self._descriptor):
            holder = self._read_holder()
            os.close(self._descriptor)
            self._descriptor = None
            raise UsageError(
                f"another stembridge ({holder}) watches {_folder_of(self._path)}", remedy="stop one of the two"
            )
        if self._is_share:
            self._take_shared()
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        os.write(self._descriptor, _me().encode())
        return True

    def beat(self) -> None:
        """Give a sign of life, when it is time."""
        if self._holds_shared and self._clock() >= self._next_beat:
            self._next_beat = self._clock() + BEAT
            # A share that is away comes back; its lock is then as old as it is.
            with contextlib.suppress(OSError):
                os.utime(self._shared)

    def release(self) -> None:
        """Give the folder back."""
        if self._holds_shared:
            self._holds_shared = False
            with contextlib.suppress(OSError):
                os.rmdir(self._shared)  # noqa: PTH106 - bytes
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _take_shared(self) -> None:
        try:
            os.mkdir(self._shared)  # noqa: PTH102 - bytes
        except FileExistsError:
            self._wait_until_stale()
            os.utime(self._shared)
        self._holds_shared = True
        self._next_beat = self._clock() + BEAT

    def _wait_until_stale(self) -> None:
        """Watch the other's sign of life by our own clock: the share's may be wrong."""
        before = os.stat(self._shared).st_mtime_ns  # noqa: PTH116 - bytes
        until = self._clock() + STALE
        while self._clock() < until:
            self._sleep(1.0)
            try:
                now = os.stat(self._shared).st_mtime_ns  # noqa: PTH116 - bytes
            except FileNotFoundError:
                os.mkdir(self._shared)  # noqa: PTH102 - bytes
                return
            if now != before:
                raise UsageError(
                    f"stembridge on another machine ({self._read_holder()}) watches {_folder_of(self._path)}",
                    remedy="stop one of the two",
                )

    def _read_holder(self) -> str:
        try:
            with open(self._path, encoding="utf-8", errors="replace") as opened:  # noqa: PTH123 - bytes
                return opened.readline().strip() or "just starting"
        except OSError:
            return "unknown"


def is_watched(folder: bytes) -> bool:
    """Tell whether a process of this machine holds a folder."""
    try:
        descriptor = os.open(os.path.join(folder, LOCK_NAME), os.O_RDWR)
    except OSError:
        return False
    try:
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        take_lock(descriptor)
    except BlockingIOError:
        return False
    except OSError as error:
        # Some shares know no locks; the lock folder is all there is then.
        return sys.platform != "win32" and error.errno is not None
    return True


def _me() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}\n"


def _folder_of(path: bytes) -> str:
    from pathlib import Path

    from plugin_core.model import show_path

    return show_path(Path(os.fsdecode(path)).parent)
