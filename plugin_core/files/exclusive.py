"""Renaming without ever replacing what is there, on systems that can and on those that cannot."""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

_AT_FDCWD: Final = -100
_RENAME_NOREPLACE: Final = 1
_RENAME_EXCL: Final = 4

_UNABLE: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM})
"""What a file system says that has no exclusive rename, or no hard links."""


def rename_exclusive(old: Path, new: Path) -> None:
    """Rename a file or folder, in one step, to a name nothing has.

    Raises:
        FileExistsError: something has the name; nothing was changed.
        OSError: as ``os.rename``; EXDEV when they lie on different file systems.
    """
    try:
        _rename_noreplace()(os.fsencode(old), os.fsencode(new))
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        _rename_portably(old, new)


def _rename_portably(old: Path, new: Path) -> None:
    if old.is_dir() and not old.is_symlink():
        _rename_folder(old, new)
        return
    try:
        os.link(old, new)
    except FileExistsError:
        # Killed between the two steps, the file has both names.
        if not os.path.samestat(old.lstat(), new.lstat()):
            raise
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        _rename_claimed(old, new)
        return
    old.unlink()


def _rename_folder(old: Path, new: Path) -> None:
    """Rename a folder where nothing is: the system itself refuses to replace all but an empty folder.

    One that is made in the very moment between is replaced; nothing is lost with it.
    """
    if os.path.lexists(new):
        raise _exists(old, new)
    try:
        old.rename(new)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR) and os.path.lexists(new):
            raise _exists(old, new) from error
        raise


def _rename_claimed(old: Path, new: Path) -> None:
    """Claim the name with an empty file, which the rename then replaces.

    Only for file systems with neither exclusive renames nor hard links (FAT on some systems). Killed in the middle, it
    leaves the empty file; to look first and then rename could replace a file of the user's instead.
    """
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        old.replace(new)
    except OSError:
        new.unlink()
        raise


def _exists(old: Path, new: Path) -> FileExistsError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(old), None, os.fspath(new))


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; Windows does so by itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems cannot flush a folder; their rename is as durable as it gets.
        if error.errno not in _UNABLE:
            raise
    finally:
        os.close(descriptor)


Rename = Callable[[bytes, bytes], None]


@functools.cache
def _rename_noreplace() -> Rename:
    if sys.platform == "win32":
        return os.rename  # never replaces there
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        return _wrap(lambda old, new: library.renamex_np(old, new, _RENAME_EXCL))
    if hasattr(library, "renameat2"):
        return _wrap(lambda old, new: library.renameat2(_AT_FDCWD, old, _AT_FDCWD, new, _RENAME_NOREPLACE))
    return _refuse


def _wrap(call: Callable[[bytes, bytes], int]) -> Rename:
    def rename(old: bytes, new: bytes) -> None:
        if call(old, new) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), os.fsdecode(old), None, os.fsdecode(new))

    return rename


def _refuse(old: bytes, new: bytes) -> None:
    raise OSError(errno.ENOSYS, "no exclusive rename", os.fsdecode(old), None, os.fsdecode(new))
