"""The folders of runs: one worker each, by a lock that the system gives back; old ones and slices are forgotten."""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plugin_core.files.locks import try_lock
from plugin_core.settings import Settings
from stembridge_reaper.settings import ReaperSettings


@contextmanager
def hold(path: Path) -> Iterator[bool]:
    """Hold a lock file while inside; False when another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield try_lock(descriptor)
    finally:
        os.close(descriptor)


RUNS = Path("reaper", "runs")
"""Where runs lie below the home folder."""

SLICES = Path("reaper", "slices")
"""Where slices lie below the home, or the folder that machines share."""

FINAL = ("done", "failed", "cancelled")
"""States of a run after which its worker says nothing more."""

ENDED = ("done", "failed", "unconfirmed", "cancelled")
"""States of a file to which nothing more is done."""

DISMISSED = "dismissed"
"""Name of the empty file that says that a run is not to be offered again."""

BEAT = 2.0
LOOK = 0.2
"""Seconds between two looks for the files ``cancel`` and ``go``."""

PATIENCE = 3600.0
"""Seconds that a question about the price waits for an answer; answered queries are forgotten after as long."""

log = logging.getLogger(__name__)


def forget_old_runs(settings: Settings, work: Path, *, keep: Path, now: float | None = None) -> int:
    """Remove runs and slices untouched for ``[reaper] keep_days``; return how many folders went.

    Args:
        settings: where the home folder is.
        work: where slices are put.
        keep: a run that stays whatever its age.
        now: seconds since the epoch; default the present.
    """
    moment = time.time() if now is None else now
    before = moment - settings.section("reaper", ReaperSettings).keep_days * 86400
    gone = 0
    for root in (settings.home / RUNS, work / SLICES):
        for folder in sorted(root.iterdir()) if root.is_dir() else ():
            limit = moment - PATIENCE if folder.name.startswith("query-") else before
            if folder != keep and folder.is_dir() and _touched(folder) < limit:
                shutil.rmtree(folder, onerror=lambda _call, path, _error: log.warning("%s stays for now", path))
                gone += not folder.exists()
    return gone


def _touched(folder: Path) -> float:
    try:
        return max(path.stat().st_mtime for path in [folder, *folder.iterdir()])
    except OSError:
        # Its worker is changing it, or another one is forgetting it.
        return math.inf
