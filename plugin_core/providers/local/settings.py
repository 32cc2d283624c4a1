"""Section ``[local]`` of the settings."""

from __future__ import annotations

import os
from typing import Annotated

import msgspec


def default_workers() -> int:
    """Return half the processors this process may use, at least one."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // 2)


class LocalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the embedded separator uses the machine."""

    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = msgspec.field(default_factory=default_workers)
    """Songs separated at the same time, each by one process on one processor; default half the processors."""
    block_seconds: Annotated[float, msgspec.Meta(ge=0.5, le=60)] = 5.0
    """Seconds of sound worked on at once; memory grows with it (125 MB at 5 s of stereo at 44.1 kHz), the
    stems are the same."""
    nice: Annotated[int, msgspec.Meta(ge=0, le=19)] = 10
    """How far workers step back behind other programs, as ``nice(1)`` counts; no effect on Windows."""
