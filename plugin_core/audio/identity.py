"""Telling by its status alone that a file is the one that was read before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from plugin_core.audio.source_file import explain_os_error, open_file
from plugin_core.errors import SourceError
from plugin_core.model import show_path

_TICK_NS: Final = 2_000_000_000
"""The coarsest clock of a file system (FAT): two writes within one tick look like one."""


class Identity(NamedTuple):
    """What changes with every write to a file, and with most moves; reading leaves it alone.

    ctime is the only witness of a write whose modification time was put back. Windows has none.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        """Take it from a file's status, which ``os.stat`` or ``os.fstat`` gave."""
        # On Windows ctime is when the file was made.
        ctime_ns = 0 if os.name == "nt" else status.st_ctime_ns
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, ctime_ns)

    def is_settled(self, now_ns: int) -> bool:
        """Tell whether any later write is seen by it, given when reading began (nanoseconds since the epoch).

        A file written within the last two seconds may be written once more in the same tick of its clock, and one
        dated ahead of our clock at any time. Some shares number no files.
        """
        return self.inode != 0 and max(self.mtime_ns, self.ctime_ns) + _TICK_NS < now_ns


def look_at(path: Path) -> Identity:
    """Return a file's identity without opening it.

    Raises:
        SourceError: it is not there, or may not be seen.
        TransientError: the disk or share does not answer.
    """
    try:
        return Identity.of(path.stat())
    except OSError as error:
        raise explain_os_error(path, error) from error


@contextmanager
def held_still(path: Path) -> Iterator[Identity]:
    """Give a file's identity, and make sure afterwards that what was read meanwhile was this one file, unchanged.

    Raises:
        SourceError: it cannot be read, or was changed or replaced meanwhile.
        TransientError: the disk or share does not answer.
    """
    with open_file(path) as descriptor:
        before = Identity.of(os.fstat(descriptor))
        yield before
        # Readers open the file by its name.
        if not before == Identity.of(os.fstat(descriptor)) == look_at(path):
            raise SourceError(f"{show_path(path)} is being written", remedy="try again when it is complete")
