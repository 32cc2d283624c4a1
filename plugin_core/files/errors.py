"""Why a file could not be written: libsndfile and ffmpeg say only that it failed."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from plugin_core.errors import PlacementError, StembridgeError, TransientError
from plugin_core.model import show_path

_FULL: Final = {
    errno.ENOSPC: "no space left on the disk",
    getattr(errno, "EDQUOT", errno.ENOSPC): "no space left on the disk (quota)",
}

_AWAY: Final = frozenset({errno.EIO, errno.ENODEV, errno.ENXIO, errno.ETIMEDOUT, getattr(errno, "ESTALE", errno.EIO)})
"""What a share or a disk answers that was unplugged or fell asleep."""

_SAMPLE: Final = bytes(1 << 16)


def explain_write_error(path: Path, error: OSError) -> StembridgeError:
    """Turn the system's refusal into words: a full disk and a lost share pass, anything else does not."""
    shown = show_path(path)
    if error.errno in _FULL:
        return TransientError(f"{shown} cannot be written: {_FULL[error.errno]}", remedy="make room")
    if error.errno in _AWAY:
        return TransientError(f"{shown} cannot be written now: {error.strerror}", remedy="check the disk or share")
    if error.errno == errno.EFBIG:
        return PlacementError(f"{shown} would be larger than its disk or the system's limit allows")
    return PlacementError(f"{shown} cannot be written: {error.strerror or error}", remedy="check the folder")


def find_write_error(path: Path, descriptor: int, said: str) -> StembridgeError:
    """Ask the system for the reason by writing a little more to a file that is given up anyway."""
    try:
        os.lseek(descriptor, 0, os.SEEK_END)
        os.write(descriptor, _SAMPLE)
        os.fsync(descriptor)
    except OSError as error:
        return explain_write_error(path, error)
    return PlacementError(f"{show_path(path)} cannot be written: {said}")
