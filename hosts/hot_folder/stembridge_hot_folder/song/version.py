"""The version of a file that was taken: whether it is still what lies at its path."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from enum import Enum, auto
from pathlib import Path

from plugin_core.errors import TransientError
from plugin_core.model import Job, Source
from stembridge_hot_folder.opening import open_regular
from stembridge_hot_folder.queueing import Waiting
from stembridge_hot_folder.settling.identity import Identity, read_identity

IsSongOf = Callable[[Job, Path], bool]
"""Tell whether the song of a job lies at a path, whatever its tags are by now."""


class Changed(Exception):  # noqa: N818 - no error: another version is there now, or none
    """What lies at the path is no longer what was taken."""


class Fate(Enum):
    """What became of a version."""

    SAME = auto()
    REPLACED = auto()
    GONE = auto()


class Version:
    """One version of one file.

    Args:
        song: as it was taken.
        is_song_of: knows songs by their sound.
    """

    def __init__(self, song: Waiting, is_song_of: IsSongOf) -> None:
        self.path = song.path
        self.identity = song.identity
        self.content = ""
        """SHA-256 of what lies there, once it was read again; empty while nothing has changed."""
        self._is_share = song.folder.rules().is_share
        self._is_song_of = is_song_of

    def require_same(self) -> None:
        """Make sure, without reading, that nothing changed.

        Raises:
            Changed: it is gone or another one.
            TransientError: the disk or share does not answer.
        """
        if self._read() != self.identity:
            raise Changed

    def open(self) -> Identity:
        """Return the identity of the file that is opened at the path, no link followed, for ``require_read``.

        Raises:
            Changed: it is gone or another one.
            TransientError: it cannot be opened now.
        """
        try:
            with os.fdopen(open_regular(self.path), "rb") as opened:
                found = Identity.of(os.fstat(opened.fileno()), is_share=self._is_share)
        except OSError as error:
            self.require_same()
            raise TransientError(f"it cannot be opened: {error.strerror}") from error
        self.require_same()
        folder = os.path.dirname(self.path)  # noqa: PTH120 - bytes
        is_behind_link = os.path.realpath(folder) != folder
        if is_behind_link or (found.size, found.mtime_ns) != (self.identity.size, self.identity.mtime_ns):
            raise Changed
        return found

    def require_read(self, source: Source, opened: Identity) -> None:
        """Make sure that what was read is what was opened: a link may have had the name only meanwhile.

        Raises:
            Changed: it was another file, or is one now.
            TransientError: the disk or share does not answer.
        """
        self.require_same()
        device, inode = (0, 0) if self._is_share else (source.device, source.inode)
        if Identity(device, inode, source.size, source.mtime_ns) != opened:
            raise Changed

    def find(self, jobs: Sequence[Job]) -> Fate:
        """Find out, by reading where needed, what became of it; a file only touched, or labelled by us, is the same.

        Args:
            jobs: made of this version; without them nothing is known of its content.

        Raises:
            TransientError: the disk or share does not answer.
        """
        now = self._read()
        if now is None:
            return Fate.GONE
        if now == self.identity:
            return Fate.SAME
        content = self._hash() if jobs else ""
        if not content or not self._is_song(content, jobs):
            return Fate.REPLACED
        if self._read() != now:
            # Changed while it was read; whatever it is now is looked at anew.
            return Fate.REPLACED
        self.identity, self.content = now, content
        return Fate.SAME

    def _read(self) -> Identity | None:
        try:
            return read_identity(self.path, is_share=self._is_share)
        except OSError as error:
            raise TransientError(f"the disk or share does not answer: {error.strerror}") from error

    def _is_song(self, content: str, jobs: Sequence[Job]) -> bool:
        """Tell by the bytes, and only where these are others by the sound, which takes longer to find out."""
        if any(job.source.content == content for job in jobs):
            return True
        return any(self._is_song_of(job, Path(os.fsdecode(self.path))) for job in jobs)

    def _hash(self) -> str:
        try:
            # What has the name by now may be a pipe, which would be waited for without end.
            with os.fdopen(open_regular(self.path), "rb") as opened:
                return hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError:
            # Gone or unreadable in this moment: then nothing shows that it is the same.
            return ""
