"""The song of a job: the same recording, whatever happens to its file while the job is under way."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from plugin_core.errors import SourceError, StembridgeError
from plugin_core.model import Source, show_path
from plugin_core.operations.inspect import inspect, source_key, stat_key, stat_source
from plugin_core.recordings.content import hash_content

Check = Callable[[], None]
Hear = Callable[[Path, Check], frozenset[str]]
"""Return every id of the recording that a file holds."""

_LOOKED_AT: Final = 10_000
"""Names that are looked at, at most, for a song that is gone from its place."""


def hear_nothing(_path: Path, _check: Check) -> frozenset[str]:
    """Know no recordings: songs are told by their bytes."""
    return frozenset()


class Song:
    """What a job was made for.

    Args:
        source: the file, as it was when it was handed in.
        recording: what it sounds like; "" where that is not known.
        hear: tells what files sound like.
    """

    def __init__(self, source: Source, recording: str = "", hear: Hear = hear_nothing) -> None:
        self._source = source
        self._recording = recording
        self._hear = hear

    def require(self, check: Check = lambda: None) -> None:
        """Make sure that the song is at its path: tags may have changed, the sound may not.

        Args:
            check: called now and then while a file is read; raise there to stop.

        Raises:
            SourceError: it is gone, or another recording lies there.
            TransientError: the disk or share does not answer.
        """
        path = self._source.path
        found = stat_source(path)
        if stat_key(found) != source_key(self._source) and not self._is_heard(path, found.st_size, check):
            raise SourceError(f"{show_path(path)} changed since it was queued", remedy="queue it again")

    def is_at(self, path: Path, check: Check = lambda: None) -> bool:
        """Tell whether the song lies at a path, whatever its tags are.

        Raises:
            TransientError: the disk or share does not answer.
        """
        try:
            return self._is_heard(path, stat_source(path).st_size, check)
        except SourceError:
            return False

    def require_no_other(self, check: Check = lambda: None) -> None:
        """Make sure that no other song lies where this one lay; one that is gone is in nobody's way.

        Raises:
            SourceError: another one does.
            TransientError: the disk or share does not answer.
        """
        try:
            self.require(check)
        except SourceError as error:
            if os.path.lexists(self._source.path):
                raise SourceError(
                    f"{show_path(self._source.path)} is another song than the one that was separated",
                    remedy="put that one back to have its stems placed",
                ) from error

    def locate(self, check: Check = lambda: None) -> Source | None:
        """Look for the song near its path, where people rename: in its folder, and in folders beside that.

        Returns:
            The song as it lies now; None where it is at its path, or nowhere near.
        """
        path = self._source.path
        if os.path.lexists(path):
            return None
        for near in islice(_near(path), _LOOKED_AT):
            try:
                found = near.stat()
                if self._has_inode(found) and self._is_heard(near, found.st_size, check):
                    return inspect(near, check=check)
            except (OSError, StembridgeError):
                # It goes on being moved; whoever moves it may hand it in again.
                continue
        return None

    def _has_inode(self, found: os.stat_result) -> bool:
        return found.st_ino != 0 and (found.st_dev, found.st_ino) == (self._source.device, self._source.inode)

    def _is_heard(self, path: Path, size: int, check: Check) -> bool:
        if hash_content(path, check, limit=size) == self._source.content:
            return True
        return bool(self._recording) and self._recording in self._hear(path, check)


def _near(path: Path) -> Iterator[Path]:
    """Yield what lies beside a path; when its folder is gone, what has its name in the folders beside that."""
    folder = path.parent
    if folder.is_dir():
        yield from _entries(folder)
        return
    for beside in _entries(folder.parent):
        yield beside / path.name


def _entries(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            yield from (Path(entry.path) for entry in entries)
    except OSError:
        return
