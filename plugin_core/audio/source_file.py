"""Opening the user's file: a regular, readable, non-empty one, or one clear line saying why not."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from plugin_core.errors import SourceError, StembridgeError, TransientError
from plugin_core.model import show_path

_KINDS: Final = (
    (stat.S_ISDIR, "is a folder, not an audio file"),
    (stat.S_ISFIFO, "is a pipe, not a file"),
    (stat.S_ISSOCK, "is a socket, not a file"),
    (stat.S_ISCHR, "is a device, not a file"),
    (stat.S_ISBLK, "is a device, not a file"),
)

_REASONS: Final = {
    errno.ENOENT: ("does not exist", ""),
    errno.ENOTDIR: ("does not exist", ""),
    errno.EACCES: ("may not be read", "check its permissions"),
    errno.EPERM: ("may not be read", "check its permissions"),
    errno.ELOOP: ("is a link that leads back to itself", ""),
    errno.ENAMETOOLONG: ("has a name too long for this system", ""),
    errno.EISDIR: ("is a folder, not an audio file", ""),
}


_WINDOW: Final = 1 << 18


@contextmanager
def open_file(path: Path) -> Iterator[int]:
    """Give a descriptor of a regular, non-empty file, closed afterwards.

    Raises:
        SourceError: missing, not a regular file, not readable, or empty.
        TransientError: the share or disk it lies on does not answer.
    """
    # Without O_NONBLOCK opening a pipe nobody writes to would wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        # Devices can act when opened (a tape rewinds), so the kind is asked before, and again of what was opened.
        _refuse_kind(path, path.stat())
        descriptor = os.open(path, flags)
    except OSError as error:
        raise explain_os_error(path, error) from error
    except ValueError as error:
        raise SourceError(f"{path!r} is not a file name: {error}") from error
    try:
        status = os.fstat(descriptor)
        _refuse_kind(path, status)
        if status.st_size == 0:
            raise SourceError(f"{show_path(path)} is empty (0 bytes)")
        yield descriptor
    finally:
        os.close(descriptor)


def explain_os_error(path: Path, error: OSError) -> StembridgeError:
    """Turn the system's refusal into words: a file that is wrong, or a share that may come back."""
    if error.errno in _REASONS:
        reason, remedy = _REASONS[error.errno]
        return SourceError(f"{show_path(path)} {reason}", remedy=remedy)
    return TransientError(f"{show_path(path)} cannot be read now: {error.strerror}")


def read_at(path: Path, descriptor: int, offset: int, size: int) -> bytes:
    """Read up to ``size`` bytes at ``offset`` without disturbing anyone's position for good.

    Raises:
        TransientError: the share or disk does not answer.
    """
    try:
        before = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, offset, os.SEEK_SET)
        data = os.read(descriptor, size)
        os.lseek(descriptor, before, os.SEEK_SET)
    except OSError as error:
        raise explain_os_error(path, error) from error
    return data


class Window:
    """A file's bytes, read in large pieces as one goes through it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._start = 0
        self._data = b""

    def take(self, offset: int, size: int) -> bytes:
        """Return up to ``size`` bytes at ``offset``; fewer only at the end.

        Raises:
            TransientError: the share or disk does not answer.
        """
        if offset >= self._size:
            # Headers may name places that the system refuses to go to.
            return b""
        at = offset - self._start
        if at < 0 or at + size > len(self._data):
            self._start, at = offset, 0
            self._data = read_at(self._path, self._descriptor, offset, max(size, _WINDOW))
        return self._data[at : at + size]

    def find(self, wanted: bytes, start: int, end: int) -> int:
        """Return where ``wanted`` next stands from ``start`` on; ``end`` where it does not stand before that."""
        while start < end:
            data = self.take(start, min(_WINDOW, end - start))
            if (found := data.find(wanted)) >= 0:
                return start + found
            if len(data) < len(wanted):
                break
            start += len(data) - len(wanted) + 1
        return end


def _refuse_kind(path: Path, status: os.stat_result) -> None:
    for is_kind, words in _KINDS:
        if is_kind(status.st_mode):
            raise SourceError(f"{show_path(path)} {words}")
