"""Moments that later processes must know as well: small files in a job's folder, which outlives a crash."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final

UNCLEAR: Final = "unclear-since"
"""Since when the service says of the job what nobody knows."""

LOOKED_FOR: Final = "looked-for-since"
"""Since when the job is looked for in the history."""

SENT_LINK: Final = "sent-link"
"""When the service was told a link: it lists such a job only once it has fetched it."""

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
