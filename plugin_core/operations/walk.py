"""The songs of a folder, for whoever takes all that lie in one."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from plugin_core.audio.formats import AUDIO_SUFFIXES
from plugin_core.model import show_path
from plugin_core.operations.stem_tags import is_own_work
from plugin_core.stems.layout import STEMS_SUFFIX

_log = logging.getLogger(__name__)


def find_songs(
    folder: Path,
    results: Path | None = None,
    tell: Callable[[str], None] = _log.warning,
    is_own: Callable[[Path], bool] = is_own_work,
) -> Iterator[Path]:
    """Yield the songs below a folder, by name; hidden entries, our results and linked folders are passed over.

    Args:
        folder: where to look.
        results: a folder that results go to, which is passed over where the walk comes upon it.
        tell: hears of each folder that cannot be read.
        is_own: tells whether stembridge made a file.
    """

    def tell_of(error: OSError) -> None:
        tell(f"{show_path(Path(str(error.filename)))} is passed over: {error.strerror}")

    for parent, folders, files in os.walk(folder, onerror=tell_of):
        folders[:] = sorted(name for name in folders if not _is_passed_over(Path(parent, name), results))
        songs = (Path(parent, name) for name in sorted(files) if not name.startswith("."))
        # A template need not keep stems in a folder of their own.
        yield from (path for path in songs if is_song(path) and not is_own(path))


def is_song(path: Path) -> bool:
    """Tell whether a walk takes a file: by its ending, and where that may also be a film's by what is in it."""
    suffix = path.suffix.lower()
    if suffix == ".mp4":
        # Imported when it is needed: what lists jobs reads no sound.
        from plugin_core.audio.movie import is_sound_alone

        return is_sound_alone(path)
    return suffix in AUDIO_SUFFIXES


def _is_passed_over(folder: Path, results: Path | None) -> bool:
    # Only a folder met on the way: songs that lie where the results go, or below, are songs all the same.
    return folder.name.startswith(".") or folder.name.endswith(STEMS_SUFFIX) or folder == results
