"""What tells one version of a file from the next."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple, Self


class Identity(NamedTuple):
    """One version of a file; device and inode are 0 where the file system has none that last."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result, *, is_share: bool = False) -> Self:
        """Return what a status says; of a network share only what lasts."""
        device, inode = (0, 0) if is_share else (status.st_dev, status.st_ino)
        return cls(device, inode, status.st_size, status.st_mtime_ns)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return what ``str`` wrote; None for anything else."""
        parts = text.split(":")
        if len(parts) != 4 or not all(part.lstrip("-").isdigit() for part in parts):
            return None
        return cls(*map(int, parts))

    def __str__(self) -> str:
        return ":".join(map(str, self))


def read_identity(path: bytes, *, is_share: bool = False) -> Identity | None:
    """Return the identity of the regular file of a name; None where there is none, or a link, pipe or folder.

    Raises:
        OSError: the disk or share does not answer.
    """
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Identity.of(status, is_share=is_share) if stat.S_ISREG(status.st_mode) else None
