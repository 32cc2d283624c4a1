"""Locks of the operating system on open files: given back by themselves when their holder dies."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


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
