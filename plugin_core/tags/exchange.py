"""Putting a changed copy in the place of a user's file: whole, with the same owner, mode and attributes, or not at all.

The copy lies in the same folder under a hidden name of its own, is flushed, and changes names with the file, or is
renamed over it where that is not to be had. Whoever looks sees the old file or the new one. What holds for the file
holds for its name: a symbolic link stays one.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from plugin_core.errors import PlacementError, SourceError, StembridgeError, TransientError
from plugin_core.files.disk import AWAY, explain_read_error
from plugin_core.files.names import HIDDEN_PREFIX
from plugin_core.files.placement import swap_names, sync_folder
from plugin_core.model import show_path
from plugin_core.tags.files import write_error
from plugin_core.tags.pieces import PieceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from plugin_core.files.hidden import HiddenNotes
    from plugin_core.wishes import HardLinks, MoodFrames


Identity = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class ReplaceOptions:
    """How a file is written and replaced: part of the section ``tags``."""

    hard_links: HardLinks = "break"
    """``break``: the other names keep the old file, which is said; ``refuse``: such a file is left alone."""
    keep_mtime: bool = False
    """Whether the file keeps its time of change; libraries look at it to see that there is something new."""
    separator: str = ""
    """Between values in ID3 before v2.4; empty for what the tag shows already, or a slash."""
    mood_frames: MoodFrames = "both"
    """Where ID3v2.4 says the mood."""


@dataclass
class Draft:
    """A private copy that may take a file's place."""

    file: Path
    copy: Path
    status: os.stat_result
    notes: list[str] = field(default_factory=list)


def real_file(path: Path) -> Path:
    """Follow links to the file itself.

    Raises:
        SourceError: there is none, or links lead in a circle.
    """
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "its links lead in a circle"
        raise SourceError(f"{show_path(path)} cannot be reached: {reason}") from error


def check_replaceable(file: Path, options: ReplaceOptions) -> os.stat_result:
    """Make sure that a file may be replaced, before anything is spent.

    Raises:
        SourceError: it is no plain file.
        TransientError: its disk is gone.
        PlacementError: it or its folder is read-only, or it has other names and these are not to be broken.
    """
    try:
        status = file.stat()
    except OSError as error:
        if error.errno in AWAY:
            raise explain_read_error(file, error) from error
        raise SourceError(f"{show_path(file)} cannot be reached: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(f"{show_path(file)} is no plain file")
    # A rename would not mind, and root minds nothing; who took the permission away did.
    is_closed = not status.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
    if is_closed or not os.access(file, os.W_OK):
        raise PlacementError(f"{show_path(file)} is read-only", remedy="make it writable, then try again")
    if not os.access(file.parent, os.W_OK | os.X_OK):
        raise PlacementError(f"nothing can be written in {show_path(file.parent)}", remedy="check its permissions")
    if status.st_nlink > 1 and options.hard_links == "refuse":
        raise PlacementError(
            f"{show_path(file)} has {status.st_nlink} names (hard links), and only one would get the tags",
            remedy='set [tags] hard_links = "break" to let the other names keep the old file',
        )
    return status


@contextmanager
def draft_of(file: Path, mark: str, notes: HiddenNotes | None = None) -> Iterator[Draft]:
    """Give a private and empty copy in the file's folder; whatever is left of it goes at the end.

    Args:
        file: the file itself, no link.
        mark: unique to this attempt.
        notes: know of the copy while it is there, in case this process is killed.

    Raises:
        TransientError: the disk is full or gone, or the file became shorter meanwhile.
        PlacementError: the copy cannot be made.
    """
    copy = file.with_name(f"{HIDDEN_PREFIX}{mark}{file.suffix}")
    with notes.noted(copy) if notes is not None else nullcontext(), _draft(file, copy) as draft:
        yield draft


@contextmanager
def _draft(file: Path, copy: Path) -> Iterator[Draft]:
    try:
        status = file.stat()
        _make(copy)
        yield Draft(file, copy, status)
    except OSError as error:
        raise write_error(file, error) from error
    except PieceError as error:
        raise _being_written(file) from error
    except StembridgeError as error:
        # Nobody has heard of the copy.
        error.message = error.message.replace(show_path(copy), show_path(file))
        raise
    finally:
        with suppress(OSError):
            copy.unlink(missing_ok=True)


def require_same(draft: Draft) -> None:
    """Make sure that the file is still the one that was copied.

    Raises:
        TransientError: it is being written.
    """
    if _identity(draft.file.stat()) != _identity(draft.status):
        raise _being_written(draft.file)


def _being_written(file: Path) -> TransientError:
    return TransientError(
        f"{show_path(file)} is being written by another program", remedy="try again when it is complete"
    )


def dress(draft: Draft, options: ReplaceOptions) -> None:
    """Give the copy the file's owner, mode, attributes and times; what cannot be kept becomes a note."""
    status = draft.status
    if status.st_nlink > 1:
        draft.notes.append(f"{status.st_nlink - 1} other name(s) of this file (hard links) keep the old tags")
    _keep_owner(draft)
    shutil.copystat(draft.file, draft.copy)
    if not options.keep_mtime:
        os.utime(draft.copy)


def flush(draft: Draft) -> None:
    """Bring the copy to the disk.

    Raises:
        OSError: it cannot be.
    """
    # A copy that is read-only by now can still be flushed.
    descriptor = os.open(draft.copy, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_with(draft: Draft, check: Callable[[], None] = lambda: None) -> None:
    """Put the copy in the file's place, in one step, if the file is still the one that was copied.

    Raises:
        TransientError: it is not; nothing was changed.
        OSError: the rename failed; nothing was changed.
    """
    check()
    require_same(draft)
    ours = draft.copy.stat().st_ino
    try:
        swap_names(draft.copy, draft.file)
    except FileNotFoundError as error:
        # Deleted or moved away just now: it is not to come back, and the next try says what became of it.
        raise _being_written(draft.file) from error
    except OSError:
        # Not to be had here: what comes in the very moment between look and rename would be replaced.
        draft.copy.replace(draft.file)
    else:
        _require_taken(draft, ours)
    sync_folder(draft.file.parent)


def _require_taken(draft: Draft, ours: int) -> None:
    """Put back what another program put in the file's place since the last look; the newest stays.

    Args:
        draft: whose copy is what was in that place.
        ours: the inode of what was the copy: whatever else comes out of that place is newer than what went in.

    Raises:
        TransientError: there was such a file.
    """
    # A rename may count as a change of the file, so that its time of change says nothing.
    taken = draft.copy.stat()
    if _identity(taken)[:-1] == _identity(draft.status)[:-1]:
        return
    seen = {ours}
    while taken.st_ino not in seen:
        seen.add(taken.st_ino)
        swap_names(draft.copy, draft.file)
        taken = draft.copy.stat()
    raise _being_written(draft.file)


def _make(copy: Path) -> None:
    """Create the copy for its owner alone: until it has the file's mode nobody else may read it."""
    os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _keep_owner(draft: Draft) -> None:
    if not hasattr(os, "chown"):
        return
    mine, wanted = draft.copy.stat(), draft.status
    if (mine.st_uid, mine.st_gid) == (wanted.st_uid, wanted.st_gid):
        return
    try:
        os.chown(draft.copy, wanted.st_uid, wanted.st_gid)
    except PermissionError:
        with suppress(PermissionError):
            os.chown(draft.copy, -1, wanted.st_gid)
        draft.notes.append("the file belongs to you now: only an administrator could keep its owner")


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
