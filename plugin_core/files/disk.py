"""The disk that a folder is on: room, whether it is a network share, locks, what it refuses in words people know."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from plugin_core.errors import PlacementError, SourceError, StembridgeError, StoreError, TransientError
from plugin_core.model import show_path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_NETWORK: Final = re.compile(
    r"(fuse\.)?(nfs\d?|cifs|smb\w*|9p|drvfs|afs\w*|ceph\w*|lustre|gluster\w*|beegfs\w*|gpfs|panfs|ncpfs|coda|orangefs|pvfs2"
    r"|sshfs|davfs\d?|webdav|rclone|s3fs|goofys|mountpoint-s3|gcsfuse|blobfuse\d?|curlftpfs|vboxsf|vmhgfs\S*)"
)
_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")
_DRIVE_REMOTE: Final = 4
_ABSENT: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)

Mounts = Iterable[tuple[bytes, str]]
"""Mount point and file system type, in the order they were mounted."""

Free = Callable[[Path], int]
"""Bytes that are free where a folder is."""


def check_local(folder: Path, kind_of: Callable[[Path], str] | None = None) -> None:
    """Check that the folder of the job store is on this machine.

    Raises:
        StoreError: the folder is on a network share.
    """
    kind = (kind_of or filesystem_kind)(folder)
    if is_network(kind):
        raise StoreError(
            f"the job store cannot be in {show_path(folder)}, a network share ({kind})",
            remedy="point STEMBRIDGE_HOME to a folder on a local disk",
        )


def is_network(kind: str) -> bool:
    """Tell whether a file system type lives on another machine."""
    return kind == "unc" or bool(_NETWORK.fullmatch(kind.lower()))


def filesystem_kind(folder: Path) -> str:
    """Return the type of the file system that holds the folder; empty where the system does not say."""
    if sys.platform == "win32":
        return _windows_kind(folder)
    return kind_in(_list_mounts(), folder.resolve())


def mounts_below(folder: bytes) -> list[tuple[bytes, str]]:
    """Return what is mounted below a folder, with the type of its file system; nothing where the system does not say.

    Args:
        folder: absolute, links resolved.
    """
    above = folder.rstrip(b"/") + b"/"
    return [(point, kind) for point, kind in _list_mounts() if point.startswith(above)]


def _list_mounts() -> list[tuple[bytes, str]]:
    try:
        return read_mounts(Path("/proc/self/mountinfo").read_bytes().splitlines())
    except OSError:
        # Only Linux has this file.
        return []


def read_mounts(lines: Iterable[bytes]) -> list[tuple[bytes, str]]:
    """Parse ``/proc/self/mountinfo`` (proc(5)): fields, optional fields, ``-``, type, source, options."""
    mounts = []
    for line in lines:
        before, dash, after = line.partition(b" - ")
        fields = before.split()
        if dash and len(fields) > 4 and after:
            point = _ESCAPE.sub(lambda found: bytes([int(found.group(1), 8)]), fields[4])
            mounts.append((point, after.split()[0].decode("ascii", "replace")))
    return mounts


def kind_in(mounts: Mounts, folder: Path) -> str:
    """Return the type at the longest mount point above the folder; of equals the last covers the others."""
    target = os.fsencode(folder) + b"/"
    best, kind = b"", ""
    for point, found in mounts:
        if target.startswith(point.rstrip(b"/") + b"/") and len(point) >= len(best):
            best, kind = point, found
    return kind


def is_unc(text: str) -> bool:
    r"""Tell whether a Windows path names another machine: ``\\server\share`` or ``\\?\UNC\server\share``."""
    plain = text.replace("/", "\\")
    return plain.upper().startswith("\\\\?\\UNC\\") or (plain.startswith("\\\\") and plain[2:3] not in ("?", "."))


def _windows_kind(folder: Path) -> str:
    resolved = folder.resolve()
    if is_unc(str(folder)) or is_unc(str(resolved)):
        return "unc"
    import ctypes

    drive_type = ctypes.windll.kernel32.GetDriveTypeW  # type: ignore[attr-defined,unused-ignore]
    return "unc" if drive_type(resolved.anchor) == _DRIVE_REMOTE else ""


def device_of(path: Path) -> int:
    """Return the device that something is on, or would be made on.

    Raises:
        OSError: a folder above it may not be entered, or its disk does not answer.
    """
    while True:
        try:
            return path.stat().st_dev
        except OSError as error:
            if error.errno not in _ABSENT or path == path.parent:
                raise
            path = path.parent


def free_bytes(folder: Path) -> int:
    """Return the bytes an ordinary user can still write under an existing folder."""
    import shutil  # all archive formats come with it

    return shutil.disk_usage(folder).free


def _numbers(*names: str) -> frozenset[int]:
    """Return the numbers of errors, of those that this system knows."""
    return frozenset(getattr(errno, name) for name in names if hasattr(errno, name))


FULL: Final = _numbers("ENOSPC", "EDQUOT")
"""What a disk answers that is full, or whose quota is used up."""

AWAY: Final = _numbers(
    *("EIO", "ENODEV", "ENXIO", "ENOMEDIUM", "ESTALE", "ENOTCONN", "ETIMEDOUT", "EREMOTEIO"),
    *("EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ECONNABORTED", "ECONNRESET"),
)
"""What a share or a disk answers that was unplugged or fell asleep."""

_SAMPLE: Final = bytes(1 << 16)


def explain_write_error(path: Path, error: OSError) -> StembridgeError:
    """Turn the system's refusal into words: a full disk and a lost share pass, anything else does not."""
    shown = show_path(path)
    if error.errno in FULL:
        quota = "" if error.errno == errno.ENOSPC else " (quota)"
        return TransientError(f"{shown} cannot be written: no space left on the disk{quota}", remedy="make room")
    if error.errno in AWAY:
        return TransientError(f"{shown} cannot be written now: {error.strerror}", remedy="check the disk or share")
    if error.errno == errno.EFBIG:
        return PlacementError(f"{shown} would be larger than its disk or the system's limit allows")
    return PlacementError(f"{shown} cannot be written: {error.strerror or error}", remedy="check the folder")


def explain_read_error(path: Path, error: OSError) -> StembridgeError:
    """Turn the system's refusal to read into words: a lost disk or share passes, anything else does not."""
    if error.errno in AWAY:
        return TransientError(f"{show_path(path)} cannot be read now: {error.strerror}", remedy="check the disk")
    return SourceError(f"{show_path(path)} cannot be read: {error.strerror or error}")


def find_write_error(path: Path, descriptor: int, said: str) -> StembridgeError:
    """Ask the system for the reason by writing a little more to a file that is given up anyway.

    libsndfile and ffmpeg say only that they failed.
    """
    try:
        os.lseek(descriptor, 0, os.SEEK_END)
        os.write(descriptor, _SAMPLE)
        os.fsync(descriptor)
    except OSError as error:
        return explain_write_error(path, error)
    return PlacementError(f"{show_path(path)} cannot be written: {said}")


@contextmanager
def named(places: Mapping[Path, str | Path]) -> Iterator[None]:
    """Let errors that are raised inside name what people know.

    Args:
        places: by folder or file of our own, what it is called, with all that is below it or begins like it; or the
            path that it stands for, to which what is below it keeps its own.
    """
    try:
        yield
    except StembridgeError as error:
        error.message = _rename(error.message, places)
        error.args = (error.message,)
        raise


def _rename(text: str, places: Mapping[Path, str | Path]) -> str:
    for place, known in sorted(places.items(), key=lambda item: len(str(item[0])), reverse=True):
        ours, theirs = re.escape(show_path(place)), show_path(known) if isinstance(known, Path) else known
        # Below our own places no name of ours has a blank in it.
        pattern = ours if isinstance(known, Path) else rf"{ours}[^\s:;]*"
        # Split and joined: a backslash in what is put in means nothing.
        text = theirs.join(re.split(pattern, text))
    return text


def take_lock(descriptor: int) -> None:
    """Lock an open file for this process alone, without waiting; closing the file gives the lock back.

    Raises:
        OSError: another process holds it (``BlockingIOError``, but for Windows), or the file system knows no locks.
    """
    if sys.platform == "win32":
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def try_lock(descriptor: int) -> bool:
    """Tell whether ``take_lock`` got the lock."""
    try:
        take_lock(descriptor)
    except OSError:
        return False
    return True
