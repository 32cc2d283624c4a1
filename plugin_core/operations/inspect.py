"""Looking at a file before a job is made of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from plugin_core.audio.probe import identify
from plugin_core.audio.source_file import open_file
from plugin_core.errors import SourceError
from plugin_core.model import Source, show_path
from plugin_core.recordings.content import hash_content


def inspect(path: Path, *, check: Callable[[], None] = lambda: None) -> Source:
    """Return what a job keeps of its source: identity, content and shape.

    Args:
        path: the file, absolute or from the working folder; a link stays a link, stems go beside it.
        check: called for each MiB read; raise there to stop.

    Raises:
        SourceError: it is missing, no plain file, not audio, or changes while it is read.
        TransientError: the disk or share does not answer.
    """
    path = _absolute(path)
    before = stat_source(path)
    info = identify(path)
    content = hash_content(path, check, limit=before.st_size)
    if stat_key(stat_source(path)) != stat_key(before):
        raise SourceError(f"{show_path(path)} is being written", remedy="try again when it is complete")
    return Source(
        path=path,
        device=before.st_dev,
        inode=before.st_ino,
        size=before.st_size,
        mtime_ns=before.st_mtime_ns,
        content=content,
        duration=info.duration,
        frames=info.frames,
        channels=info.channels,
        sample_rate=info.sample_rate,
        encoding=info.encoding,
    )


def is_untouched(source: Source) -> bool:
    """Tell whether the file at a source's path is, by its status, the one that was looked at."""
    try:
        found = source.path.stat()
    except OSError:
        return False
    return stat_key(found) == source_key(source)


def stat_source(path: Path) -> os.stat_result:
    """Return the status of a plain file that can be read, links followed.

    Raises:
        SourceError: it vanished, cannot be read, is empty or no plain file.
        TransientError: the disk or share does not answer.
    """
    with open_file(path) as descriptor:
        return os.fstat(descriptor)


def _absolute(path: Path) -> Path:
    path = path.absolute()
    # "link/../song" depends on where the link leads; only the system can tell.
    return path.parent.resolve() / path.name if ".." in path.parts else path


def stat_key(found: os.stat_result) -> tuple[int, int, int, int]:
    """Return what of a file's status changes when it is replaced or written to, as a ``Source`` holds it."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def source_key(source: Source) -> tuple[int, int, int, int]:
    """Return the ``stat_key`` of the file that a source was made of."""
    return source.device, source.inode, source.size, source.mtime_ns
