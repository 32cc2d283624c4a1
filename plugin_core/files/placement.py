"""Putting files in place: renamed without replacing what is there, copied, flushed to the disk."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from plugin_core.errors import PlacementError, StembridgeError, TransientError
from plugin_core.files.disk import FULL, explain_write_error
from plugin_core.files.names import MAX_BYTES, NUMBER_BYTES, count_bytes, shorten

_AT_FDCWD: Final = -100
_NO_REPLACE: Final = 1, 4
_SWAP: Final = 2, 2
"""Ways to rename: flags of Linux' ``renameat2`` and of macOS' ``renamex_np``."""
_CHUNK: Final = 1 << 26

_UNABLE: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM})
"""What a file system says that has no exclusive rename, or no hard links."""

Rename = Callable[[bytes, bytes], None]


def rename_exclusive(old: Path, new: Path) -> None:
    """Rename a file or folder, in one step, to a name nothing has.

    Raises:
        FileExistsError: something has the name; nothing was changed.
        OSError: as ``os.rename``; EXDEV when they lie on different file systems.
    """
    try:
        # The rename of Windows never replaces.
        rename = os.rename if sys.platform == "win32" else _rename_by(_NO_REPLACE)
        rename(os.fsencode(old), os.fsencode(new))
    except OSError as error:
        if error.errno not in _UNABLE:
            raise
        _rename_portably(old, new)


def swap_names(one: Path, other: Path) -> None:
    """Let two entries change names, in one step: what another program put there in this very moment is not lost.

    Raises:
        FileNotFoundError: one of them is gone; nothing was changed.
        OSError: this system, or file system, cannot; nothing was changed.
    """
    _rename_by(_SWAP)(os.fsencode(one), os.fsencode(other))


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


def rename_numbered(
    old: Path, folder: Path, stem: str, suffix: str, *, will_do: Callable[[Path], bool] = lambda _: False
) -> Path:
    """Give a file a name in a folder, or the next one with a number that is free, and return where it is.

    Args:
        old: the file, on the file system of the folder.
        folder: where it goes.
        stem: its name without the suffix, cut where it is too long.
        suffix: with the dot.
        will_do: tells whether what has a name serves as well: then the file stays, and that is returned.

    Raises:
        OSError: as ``os.rename``.
    """
    short, number = shorten(stem, MAX_BYTES - NUMBER_BYTES - count_bytes(suffix)), 1
    while True:
        path = folder / f"{short}{f' ({number})' if number > 1 else ''}{suffix}"
        try:
            rename_exclusive(old, path)
        except FileExistsError:
            if will_do(path):
                return path
            number += 1
        else:
            sync_folder(folder)
            return path


def adopt_group(entry: Path, folder: Path) -> None:
    """Give what is about to be renamed into a folder the group that it would have had if it were made there.

    Only a folder with setgid asks for that (inode(7)). What the user may not change stays.
    """
    status = folder.stat()
    if os.name == "nt" or not status.st_mode & stat.S_ISGID:
        return
    with contextlib.suppress(PermissionError):
        for path in [entry, *entry.rglob("*")] if entry.is_dir() else [entry]:
            os.chown(path, -1, status.st_gid, follow_symlinks=False)
            if path.is_dir() and not path.is_symlink():
                path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_ISGID)


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


@functools.cache
def _rename_by(way: tuple[int, int]) -> Rename:
    if sys.platform == "win32":
        return _refuse
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        return _wrap(lambda old, new: library.renamex_np(old, new, way[1]))
    if hasattr(library, "renameat2"):
        return _wrap(lambda old, new: library.renameat2(_AT_FDCWD, old, _AT_FDCWD, new, way[0]))
    return _refuse


def _wrap(call: Callable[[bytes, bytes], int]) -> Rename:
    def rename(old: bytes, new: bytes) -> None:
        if call(old, new) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), os.fsdecode(old), None, os.fsdecode(new))

    return rename


def _refuse(old: bytes, new: bytes) -> None:
    raise OSError(errno.ENOSYS, "no such rename", os.fsdecode(old), None, os.fsdecode(new))


def write_durably(path: Path, data: bytes) -> None:
    """Put a small file in place, whole, and flush it; what was there is replaced."""
    draft = path.with_name(path.name + ".new")
    with draft.open("wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def replace_file(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Put a file in place at once, behind the link that stands for it, in a folder that is made where there is none.

    Args:
        path: the file.
        data: all that it holds from now on.
        mode: its rights; None keeps those of the file that is replaced, or leaves a new one to the user's mask.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    real = Path(os.path.realpath(path))
    real.parent.mkdir(parents=True, exist_ok=True)
    fresh = real.with_name(f".{real.name}.{secrets.token_hex(4)}")
    if mode is None and real.exists():
        mode = real.stat().st_mode & 0o7777
    # Never open to more people than the whole file is, not even while it is written.
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode & 0o700)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            fresh.chmod(mode)
        fresh.replace(real)
    finally:
        fresh.unlink(missing_ok=True)


def copy_file(old: Path, new: Path, check: Callable[[], None] = lambda: None, *, flush: bool = True) -> None:
    """Copy the bytes of a file, replacing what is there, and flush them to the disk unless more is to be written.

    A copy, and no hard link: whoever edits one of the two must not find the other changed.
    ``check`` is called now and then and may raise.
    """
    with old.open("rb") as source, new.open("wb") as target:
        if not _copy_in_kernel(source.fileno(), target.fileno(), check):
            check()
            shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        if flush:
            os.fsync(target.fileno())


def copy_tree(old: Path, new: Path, copy: Callable[[str, str], object] = shutil.copy2) -> None:
    """Copy a folder and all below it; links stay links.

    Raises:
        OSError: the first thing that went wrong, as the system says it; the copy is not whole.
    """
    try:
        shutil.copytree(old, new, symlinks=True, copy_function=copy)
    except shutil.Error as error:
        raise _first_of(error) from error


def _first_of(error: shutil.Error) -> OSError:
    """Return the first error of a copied tree, of which shutil keeps the words alone, in a list."""
    _, target, said = error.args[0][0]
    found = re.match(r"\[Errno (\d+)\]", str(said))
    number = int(found[1]) if found else errno.EIO
    return OSError(number, os.strerror(number) if found else str(said), os.fspath(target))


def explain_os_error(error: OSError, path: Path) -> StembridgeError:
    """Turn what the system said of a place into one line for people: a full disk and a lost share pass by."""
    told = explain_write_error(path, error)
    if isinstance(told, TransientError):
        return told
    return PlacementError(told.message, remedy="choose another place with --to FOLDER")


def _copy_in_kernel(source: int, target: int, check: Callable[[], None]) -> bool:
    """Copy everything, or say that nothing could be copied this way."""
    if not hasattr(os, "copy_file_range"):
        return False
    is_begun = False
    try:
        while os.copy_file_range(source, target, _CHUNK):
            is_begun = True
            check()
    except OSError as error:
        if is_begun or error.errno in FULL:
            raise
        return False
    return is_begun
