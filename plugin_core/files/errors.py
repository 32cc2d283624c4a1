"""Errors of the file system in words that people know: what passes and what does not, and which place is meant."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from plugin_core.errors import PlacementError, SourceError, StembridgeError, TransientError
from plugin_core.model import show_path


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
