"""What actions do by section ``[reaper]``, and the folders of their runs: one worker each, old ones are forgotten."""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from plugin_core.files.disk import try_lock
from plugin_core.settings import Settings


class ReaperSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to the selected items, and in the project; read by the worker at every run."""

    used_part_only: bool | None = None
    """Cut the part that the items play out of a long file, and separate only that: fewer credits. None: where a
    service does it; what this machine does costs nothing, and whole files serve later edits."""
    handles: Annotated[float, msgspec.Meta(ge=0, le=600)] = 1.0
    """Seconds kept on both sides of a used part, for later edits and for the separator's context."""
    stems_in: Literal["source", "project"] = "source"
    """Whether stems stand beside their source, or in the project's media folder; there also where the folder of a
    source cannot be written."""
    stem_tracks: Literal["beside", "inside", "takes"] = "beside"
    """Whether the folder with the stems stands below the source track as a track of its own, or inside it, so that its
    effects, sends and envelopes act on the stems; or the stems become takes of the item, the one that is heard as
    before."""
    mute_source: bool = True
    """Mute a source item once its stems are inserted."""
    replace_source: bool = False
    """Delete it then, unless it has other takes."""
    show_in_items: bool = True
    """Show in the notes of the items how far the work is; the line goes when the stems come."""
    label_preset: str = ""
    """Preset whose taggings ``Label selected items' files`` does; empty does what ``[tags]`` says."""
    keep_days: Annotated[float, msgspec.Meta(ge=1, le=36_500)] = 30.0
    """Days after which finished runs are forgotten; their stems stay where they are."""


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
