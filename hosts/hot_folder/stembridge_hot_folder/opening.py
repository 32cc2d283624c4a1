"""Opening what anybody may have put into a shared folder: no pipe is waited for, no link followed unless wanted."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

# Windows has neither; there a link needs the rights of an administrator.
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)
_BYTES: Final = getattr(os, "O_BINARY", 0)


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
