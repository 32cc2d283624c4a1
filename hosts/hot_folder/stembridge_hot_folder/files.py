"""Files that anybody may have put there: how they are opened and read, and which version of them it is."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
import sys
from collections.abc import Callable, Sequence
from enum import Enum, auto
from pathlib import Path
from typing import Final, NamedTuple, Self

from plugin_core.errors import TransientError
from plugin_core.model import Job, Source, show_path

# Windows has neither; there a link needs the rights of an administrator.
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)
_BYTES: Final = getattr(os, "O_BINARY", 0)

_DATALESS: Final = 0x40000000
"""macOS' SF_DATALESS, of ``st_flags``."""
_RECALLED: Final = 0x1000 | 0x40000 | 0x400000
"""Windows' FILE_ATTRIBUTE_OFFLINE, RECALL_ON_OPEN and RECALL_ON_DATA_ACCESS, of ``st_file_attributes``."""


def path_of(name: bytes) -> Path:
    """Return a path that the core takes; names keep the bytes that they are."""
    return Path(os.fsdecode(name))


def shown(name: bytes) -> str:
    """Write a path for people."""
    return show_path(path_of(name))


def open_regular(path: bytes | Path, flags: int = os.O_RDONLY, *, follows_links: bool = False) -> int:
    """Open a regular file and return its descriptor.

    Args:
        path: the file.
        flags: as of ``os.open``.
        follows_links: whether a link at the path's end is followed.

    Raises:
        OSError: as the system says; ELOOP for a link, EINVAL for a pipe, socket or device.
    """
    link = 0 if follows_links else _NO_LINK
    descriptor = os.open(path, flags | link | _NO_WAIT | _BYTES, 0o644)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", os.fsdecode(path))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class FileIdentity(NamedTuple):
    """One version of a file; device, inode and time of change are 0 where the file system has none that last."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int = 0
    """When the system last saw it change, which no program can set back."""

    @classmethod
    def of(cls, status: os.stat_result, *, is_share: bool = False) -> Self:
        """Return what a status says; of a network share only what lasts."""
        if is_share:
            return cls(0, 0, status.st_size, status.st_mtime_ns)
        # On Windows it is the time the file was made.
        changed = 0 if sys.platform == "win32" else status.st_ctime_ns
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, changed)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return what ``str`` wrote; None for anything else."""
        parts = text.split(":")
        if len(parts) not in (4, 5) or not all(part.lstrip("-").isdigit() for part in parts):
            return None
        return cls(*map(int, parts))

    def __eq__(self, other: object) -> bool:
        """Compare what both know: a version that an earlier stembridge wrote down has no time of change."""
        if not isinstance(other, FileIdentity):
            return NotImplemented
        return self.is_touched(other) and (self.ctime_ns == other.ctime_ns or not (self.ctime_ns and other.ctime_ns))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def is_touched(self, other: FileIdentity) -> bool:
        """Tell whether nothing but the time of change may differ: permissions, another name, or as many new bytes."""
        return self[:4] == other[:4]

    def __str__(self) -> str:
        return ":".join(map(str, self))


def read_identity(path: bytes, *, is_share: bool = False) -> FileIdentity | None:
    """Return the identity of the regular file of a name; None where there is none, or a link, pipe or folder.

    Raises:
        OSError: the disk or share does not answer.
    """
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return FileIdentity.of(status, is_share=is_share) if stat.S_ISREG(status.st_mode) else None


def is_hollow(path: bytes, status: os.stat_result) -> bool:
    """Tell whether a file has its size and nothing else yet: the placeholder of a cloud, or room set aside for a copy.

    On Linux by the holes of the file; a file that is all holes reads as zeros, which are no song.
    """
    if getattr(status, "st_flags", 0) & _DATALESS or getattr(status, "st_file_attributes", 0) & _RECALLED:
        return True
    if not status.st_size or getattr(status, "st_blocks", True) or not hasattr(os, "SEEK_DATA"):
        return False
    # Some file systems say so of every file, and some of what is not written to the disk yet.
    try:
        descriptor = open_regular(path)
    except OSError:
        return False
    try:
        os.lseek(descriptor, 0, os.SEEK_DATA)
    except OSError as error:
        return error.errno == errno.ENXIO
    finally:
        os.close(descriptor)
    return False


IsSongOf = Callable[[Job, Path], bool]
"""Tell whether the song of a job lies at a path, whatever its tags are by now."""


class VersionChanged(Exception):  # noqa: N818 - no error: another version is there now, or none
    """What lies at the path is no longer what was taken."""


class Fate(Enum):
    """What became of a version."""

    SAME = auto()
    REPLACED = auto()
    GONE = auto()


class Version:
    """One version of one file.

    Args:
        path: the file.
        identity: as it was taken.
        is_song_of: knows songs by their sound.
        is_share: whether it lies where neither device nor inode last.
    """

    def __init__(self, path: bytes, identity: FileIdentity, is_song_of: IsSongOf, *, is_share: bool = False) -> None:
        self.path = path
        self.identity = identity
        self.content = ""
        """SHA-256 of what lies there, once it was read again; empty while nothing has changed."""
        self._is_share = is_share
        self._is_song_of = is_song_of

    def require_same(self) -> None:
        """Make sure, without reading, that nothing changed.

        Raises:
            Changed: it is gone or another one.
            TransientError: the disk or share does not answer.
        """
        if self._read() != self.identity:
            raise VersionChanged

    def is_at(self, path: bytes) -> bool:
        """Tell whether it lies at a path that it was renamed to; a rename may count as a change."""
        found = read_identity(path, is_share=self._is_share)
        return found is not None and found.is_touched(self.identity)

    def open(self) -> FileIdentity:
        """Return the identity of the file that is opened at the path, no link followed, for ``require_read``.

        Raises:
            Changed: it is gone or another one.
            TransientError: it cannot be opened now.
        """
        try:
            with os.fdopen(open_regular(self.path), "rb") as opened:
                found = FileIdentity.of(os.fstat(opened.fileno()), is_share=self._is_share)
        except OSError as error:
            self.require_same()
            raise TransientError(f"it cannot be opened: {error.strerror}") from error
        self.require_same()
        folder = os.path.dirname(self.path)
        is_behind_link = os.path.realpath(folder) != folder
        if is_behind_link or (found.size, found.mtime_ns) != (self.identity.size, self.identity.mtime_ns):
            raise VersionChanged
        return found

    def require_read(self, source: Source, opened: FileIdentity) -> None:
        """Make sure that what was read is what was opened: a link may have had the name only meanwhile.

        Raises:
            Changed: it was another file, or is one now.
            TransientError: the disk or share does not answer.
        """
        self.require_same()
        device, inode = (0, 0) if self._is_share else (source.device, source.inode)
        if FileIdentity(device, inode, source.size, source.mtime_ns) != opened:
            raise VersionChanged

    def find(self, jobs: Sequence[Job]) -> Fate:
        """Find out, by reading where needed, what became of it; a file only touched, or labelled by us, is the same.

        Args:
            jobs: made of this version; without them nothing is known of its content.

        Raises:
            TransientError: the disk or share does not answer.
        """
        now = self._read()
        if now is None:
            return Fate.GONE
        if now == self.identity:
            return Fate.SAME
        content = self._hash() if jobs else ""
        if not content or not self._is_song(content, jobs):
            return Fate.REPLACED
        if self._read() != now:
            # Changed while it was read; whatever it is now is looked at anew.
            return Fate.REPLACED
        self.identity, self.content = now, content
        return Fate.SAME

    def _read(self) -> FileIdentity | None:
        try:
            return read_identity(self.path, is_share=self._is_share)
        except OSError as error:
            raise TransientError(f"the disk or share does not answer: {error.strerror}") from error

    def _is_song(self, content: str, jobs: Sequence[Job]) -> bool:
        """Tell by the bytes, and only where these are others by the sound, which takes longer to find out."""
        if any(job.source.content == content for job in jobs):
            return True
        return any(self._is_song_of(job, path_of(self.path)) for job in jobs)

    def _hash(self) -> str:
        try:
            # What has the name by now may be a pipe, which would be waited for without end.
            with os.fdopen(open_regular(self.path), "rb") as opened:
                return hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError:
            # Gone or unreadable in this moment: then nothing shows that it is the same.
            return ""


DEATHS: Final = 3
"""Readers that a file may end before it is held to be the cause."""

command: tuple[str, ...] = (sys.executable, "-P", "-m", "stembridge_hot_folder.files")
"""What reads; the path comes after it. With -P, since the folder the watch was started in may be a shared one."""


async def read_apart(path: bytes) -> bool:
    """Tell whether a process that reads this file, and nothing else, comes to its end.

    A watch that is killed from outside says nothing of the files it was reading; a reader that dies by itself does.

    Raises:
        OSError: no process can be started.
    """
    reader = await asyncio.create_subprocess_exec(
        *command,
        os.fsdecode(path),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        # Any exit code of its own is an end: errors are told when the watch reads the file.
        return 0 <= await reader.wait() < 128
    finally:
        if reader.returncode is None:
            reader.kill()
            await reader.wait()


def main(path: Path) -> int:
    """Read all that a watch reads of a song before it makes a job."""
    from plugin_core import inspect, is_own_work
    from plugin_core.errors import StembridgeError

    try:
        is_own_work(path)
        inspect(path)
    except (StembridgeError, OSError):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
