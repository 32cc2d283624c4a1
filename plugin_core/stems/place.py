"""Putting finished stems where they belong: all at once, never over anything of the user's, and again after a crash.

The target is chosen and recorded first (``choose_target``), then the stems are renamed to it (``publish``). A folder of
the source's own is renamed as a whole; stems in a shared folder one by one, under one common number. Where something
stands in the way the next number is taken, unless it is the untouched result of the same operation, which is swapped.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from plugin_core.errors import PlacementError, StembridgeError
from plugin_core.files.hashing import is_unmodified
from plugin_core.files.names import fold, fold_all
from plugin_core.files.placement import explain_os_error
from plugin_core.model import Stem, show_path
from plugin_core.stems.fingerprint import holds_only, record_of, relative_records
from plugin_core.stems.layout import LAST_NUMBER, Layout
from plugin_core.stems.publication import Publication, restore_aside

_log = logging.getLogger(__name__)


def choose_target(
    layout: Layout, destination: Path, earlier: Sequence[Stem] = (), *, stems: Sequence[Stem] = ()
) -> Path:
    """Choose where staged stems go; nothing is created.

    Args:
        layout: the staged stems.
        destination: folder to place them under.
        earlier: what earlier jobs of the same operation on this source placed, which may be swapped.
        stems: the staged stems, if some may stand in their place since an earlier try.

    Raises:
        PlacementError: ten thousand neighbours are there already.
    """
    begun = layout.find_begun(destination, stems) if stems else None
    if begun is not None:
        return layout.unit_at(destination, begun)
    for number in range(1, LAST_NUMBER + 1):
        places = layout.files_at(destination, number)
        unit = layout.unit_at(destination, number)
        if layout.depth:
            if not is_taken(unit) or holds_only(unit, relative_records(earlier, unit)):
                return unit
        elif all(not is_taken(place) or _is_earlier(place, earlier) for place in places):
            return unit
    raise PlacementError(f"{show_path(destination)} is full of results of this name", remedy="tidy it up")


def publish(
    layout: Layout, stems: Sequence[Stem], target: Path, staging: Path, earlier: Sequence[Stem] = ()
) -> tuple[Stem, ...]:
    """Rename staged stems to their target; done already counts as done.

    When somebody took the target since it was chosen, the next free number is used.

    Args:
        layout: as it was when the target was chosen.
        stems: the staged stems, with what was recorded of them.
        target: from ``choose_target``.
        staging: the job's private folder.
        earlier: as given to ``choose_target``.

    Whatever fails, an earlier result that was set aside is put back.

    Raises:
        PlacementError: the target cannot be written.
        ResultError: the stems are neither in staging nor in place.
        TransientError: the disk is full or away.
    """
    destination, number = layout.locate(target)
    publication = Publication(layout, tuple(stems), destination, staging, tuple(earlier))
    try:
        return publication.run(number)
    except OSError as error:
        _restore(staging, destination)
        raise explain_os_error(error, target) from error
    except StembridgeError:
        _restore(staging, destination)
        raise


def _restore(staging: Path, destination: Path) -> None:
    try:
        restore_aside(staging, destination)
    except OSError as error:
        # Still whole in staging: put back with the next try, or when the job is given up.
        _log.warning("an earlier result stays in %s for now: %s", show_path(staging), error)


def is_taken(path: Path) -> bool:
    """Tell whether a name is in use, also by one that differs in case or normal form alone."""
    if os.path.lexists(path):
        return True
    try:
        with os.scandir(path.parent) as entries:
            return fold(path.name) in fold_all([entry.name for entry in entries])
    except OSError:
        return False


def _is_earlier(place: Path, earlier: Sequence[Stem]) -> bool:
    return any(stem.path == place and is_unmodified(place, record_of(stem)) for stem in earlier)
