"""One watcher a folder, and none around or below it: on this machine and, for shares, on all of them."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable, Iterator
from typing import Final

from plugin_core.errors import UsageError
from plugin_core.files.disk import FULL, take_lock
from stembridge_hot_folder.files import open_regular, shown

LOCK_NAME: Final = b".stembridge.lock"
SHARED_NAME: Final = b".stembridge.lock.d"
BEAT: Final = 10.0
STALE: Final = 60.0
"""A share's lock whose sign of life did not change for so long is left over from a crash."""

_TAKEN: Final = frozenset({errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK})
"""What systems say of a lock that another process has: POSIX the second, Windows the first."""
_UNKNOWN: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})
"""What file systems say that know no locks."""
_NOT_OURS: Final = frozenset({errno.ELOOP, errno.EISDIR, errno.EINVAL, errno.ENXIO})
"""What opening a link, folder, pipe or device says."""
_MARK: Final = b"process "
"""How the content of a lock file begins."""
_TRIES: Final = 4
_BETWEEN: Final = 0.05


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
        self._stamp = 0
        """Time of our last sign of life."""
        self.why_not = ""
        """Why the folder cannot be written."""

    @property
    def is_held(self) -> bool:
        return self._descriptor is not None

    @property
    def is_in_place(self) -> bool:
        """Whether the lock still is what others would try to take: its file may have been removed or replaced."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.lstat(self._path))
        except FileNotFoundError:
            return False
        except OSError:
            # The share is away: that is found out elsewhere.
            return True

    def acquire(self) -> bool:
        """Take the folder; False where it cannot be written, so that nothing can be locked.

        Raises:
            UsageError: another process has it, or something else has the lock's name.
            OSError: the disk or share does not answer.
        """
        try:
            self._descriptor = open_regular(self._path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            if error.errno in _NOT_OURS:
                raise UsageError(
                    f"{shown(self._path)} is none of stembridge's lock files", remedy="remove it"
                ) from error
            if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS} | FULL:
                raise
            # It may be writable later.
            self.why_not = error.strerror or str(error)
            return False
        try:
            self._take()
        except BaseException:
            os.close(self._descriptor)
            self._descriptor = None
            raise
        self._sign(self._descriptor)
        return True

    def _sign(self, descriptor: int) -> None:
        """Write who holds the lock, for people; never over what a lock does not hold, which a hard link may lead to."""
        # A full disk is no reason not to watch.
        with contextlib.suppress(OSError):
            if os.read(descriptor, len(_MARK)) in (b"", _MARK):
                os.ftruncate(descriptor, 0)
                os.lseek(descriptor, 0, os.SEEK_SET)
                os.write(descriptor, _me().encode())

    def _take(self) -> None:
        assert self._descriptor is not None
        # Somebody who only looks whether the folder is watched has the lock for a moment.
        if not any(self._try(number) for number in range(_TRIES)):
            raise UsageError(
                f"another stembridge ({self._read_holder()}) watches {_folder_of(self._path)}",
                remedy="stop one of the two",
            )
        if self._is_share:
            self._take_shared()

    def _try(self, number: int) -> bool:
        if number:
            self._sleep(_BETWEEN)
        return self._descriptor is not None and _lock(self._descriptor)

    def beat(self) -> None:
        """Give a sign of life, when it is time."""
        if self._holds_shared and self._clock() >= self._next_beat:
            self._next_beat = self._clock() + BEAT
            # A share that is away comes back; its lock is then as old as it is.
            with contextlib.suppress(OSError):
                self._stamp_shared()

    def release(self) -> None:
        """Give the folder back."""
        if self._holds_shared:
            self._holds_shared = False
            with contextlib.suppress(OSError):
                os.rmdir(self._shared)
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _take_shared(self) -> None:
        try:
            os.mkdir(self._shared)
        except FileExistsError:
            # Our own may be left from before the share went away.
            if os.stat(self._shared).st_mtime_ns != self._stamp:
                self._wait_until_stale()
        self._stamp_shared()
        self._holds_shared = True
        self._next_beat = self._clock() + BEAT

    def _stamp_shared(self) -> None:
        os.utime(self._shared)
        self._stamp = os.stat(self._shared).st_mtime_ns

    def _wait_until_stale(self) -> None:
        """Watch the other's sign of life by our own clock: the share's may be wrong."""
        before = os.stat(self._shared).st_mtime_ns
        until = self._clock() + STALE
        while self._clock() < until:
            self._sleep(1.0)
            try:
                now = os.stat(self._shared).st_mtime_ns
            except FileNotFoundError:
                os.mkdir(self._shared)
                return
            if now != before:
                raise UsageError(
                    f"stembridge on another machine ({self._read_holder()}) watches {_folder_of(self._path)}",
                    remedy="stop one of the two",
                )

    def _read_holder(self) -> str:
        try:
            with os.fdopen(open_regular(self._path), encoding="utf-8", errors="replace") as opened:
                return opened.readline().strip() or "just starting"
        except OSError:
            return "unknown"


def is_watched(folder: bytes) -> bool:
    """Tell whether a process of this machine holds a folder."""
    try:
        descriptor = _open(os.path.join(folder, LOCK_NAME))
    except OSError:
        return False
    try:
        return not _lock(descriptor)
    except OSError:
        # What cannot be asked is not known to be watched; whoever takes it is told.
        return False
    finally:
        os.close(descriptor)


def _open(path: bytes) -> int:
    try:
        return open_regular(path, os.O_RDWR)
    except PermissionError:
        # Another user's; a lock needs no more than reading on most systems.
        return open_regular(path)


def _lock(descriptor: int) -> bool:
    """Take a lock; tell whether it is ours, or nobody can have it.

    Raises:
        OSError: the disk or share does not answer.
    """
    try:
        take_lock(descriptor)
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        if error.errno in _UNKNOWN:
            # The lock folder is all there is on such a share.
            return True
        raise
    return True


def _me() -> str:
    return f"{_MARK.decode()}{os.getpid()} on {socket.gethostname()}\n"


def _folder_of(path: bytes) -> str:
    return shown(os.path.dirname(path))


def refuse_neighbours(folder: bytes) -> None:
    """Refuse a folder that lies in another watched one, or in which one lies; our own lock must be taken before.

    Of two that start together at least one sees the other.

    Raises:
        UsageError: another process watches such a folder.
    """
    for other in _parents(folder):
        if is_watched(other):
            _refuse(other, f"{shown(folder)} lies in {shown(other)}")
    for other in _locked_below(folder):
        if is_watched(other):
            _refuse(other, f"{shown(other)} lies in {shown(folder)}")


def _refuse(other: bytes, what: str) -> None:
    raise UsageError(f"{what}, and another stembridge watches {shown(other)}", remedy="watch only one of the two")


def _parents(folder: bytes) -> Iterator[bytes]:
    while (parent := os.path.dirname(folder)) != folder:
        yield parent
        folder = parent


def _locked_below(folder: bytes) -> Iterator[bytes]:
    """Yield the folders below that were ever watched; only folders are looked into, which is quick."""
    waiting = [folder]
    while waiting:
        parent = waiting.pop()
        try:
            with os.scandir(parent) as entries:
                for entry in entries:
                    if entry.name == LOCK_NAME and parent != folder:
                        yield parent
                    elif entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError:
            # What we cannot look into we cannot take songs from.
            continue
