"""Moments that later processes must know as well: small files in a job's folder, which outlives a crash."""

from __future__ import annotations

import logging
import os
from pathlib import Path

_log = logging.getLogger(__name__)


def remember(folder: Path, name: str, now: float) -> float:
    """Return the moment kept under a name, or keep this one; a clock that was set back makes nothing later."""
    path = folder / name
    try:
        return min(now, float(path.read_text("ascii")))
    except (OSError, ValueError):
        pass
    scratch = path.with_name(f"{name}.{os.getpid()}")
    try:
        scratch.write_text(repr(now), "ascii")
        scratch.replace(path)
    except OSError as error:
        _log.warning("%s cannot be kept in the job's folder: %s", name, error.strerror)
    return now


def is_remembered(folder: Path, name: str) -> bool:
    """Tell whether a moment is kept."""
    return os.path.lexists(folder / name)


def forget(folder: Path, name: str) -> None:
    """Drop a moment; absent is fine."""
    if is_remembered(folder, name):
        (folder / name).unlink(missing_ok=True)
