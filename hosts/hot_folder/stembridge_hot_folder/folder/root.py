"""A hot folder itself: whether it is there, whether it still is the same, and whether it is ours alone."""

from __future__ import annotations

import os
from enum import Enum, auto

from plugin_core.errors import UsageError
from stembridge_hot_folder.display.reporting import Reporter
from stembridge_hot_folder.folder.folders import HotFolder
from stembridge_hot_folder.folder.locking import LOCK_NAME, FolderLock
from stembridge_hot_folder.folder.neighbours import refuse_neighbours


class Presence(Enum):
    """How a folder was found."""

    THERE = auto()
    AGAIN = auto()
    """After it was away, or another one of its name."""
    AWAY = auto()


class Root:
    """Holds a hot folder, and waits for it while it is away.

    Args:
        folder: what to hold.
        reporter: told when it goes and comes.
    """

    def __init__(self, folder: HotFolder, reporter: Reporter) -> None:
        self._folder = folder
        self._reporter = reporter
        self._lock = FolderLock(folder.path, is_share=folder.is_share)
        self._identity: tuple[int, int] | None = None
        self.is_away = False

    def open(self) -> None:
        """Take the folder.

        Raises:
            UsageError: another stembridge has it, a folder in it, or one it lies in.
        """
        self._take()
        try:
            refuse_neighbours(self._folder.path)
        except UsageError:
            self.close()
            raise
        try:
            self._identity = self._read()
        except OSError as error:
            self.lose(error.strerror or str(error))

    def close(self) -> None:
        """Give the folder back."""
        self._lock.release()

    def beat(self) -> None:
        """Give a sign of life, and take a folder that can be written by now."""
        self._lock.beat()
        if not self._lock.is_held and not self.is_away and os.access(self._folder.path, os.W_OK):
            try:
                self._lock.acquire()
            except UsageError as error:
                self.lose(str(error))
            except OSError as error:
                self.lose(error.strerror or str(error))

    def find(self) -> Presence:
        """Look whether the folder is there; one that was replaced is taken anew, another disk is waited out."""
        try:
            now = self._read()
        except OSError as error:
            self.lose(error.strerror or str(error))
            return Presence.AWAY
        if now == self._identity and not self.is_away:
            return self._keep_lock()
        if self._identity is not None and now[0] != self._identity[0] and not self._has_mark():
            self.lose("another disk, or none, is mounted there")
            return Presence.AWAY
        return self._find_again(now)

    def lose(self, why: str) -> None:
        """Wait for the folder."""
        if not self.is_away:
            self.is_away = True
            self._reporter.warn(self._folder.path, f"cannot be reached ({why}); it is waited for")

    def _keep_lock(self) -> Presence:
        """Take the lock anew when its file was tidied away: another watch would find the folder free."""
        if self._lock.is_held and not self._lock.is_in_place:
            self._lock.release()
            self.beat()
        return Presence.AWAY if self.is_away else Presence.THERE

    def _find_again(self, now: tuple[int, int]) -> Presence:
        self._identity = now
        self._lock.release()
        try:
            self._lock.acquire()
        except UsageError as error:
            self.lose(str(error))
            return Presence.AWAY
        except OSError as error:
            self.lose(error.strerror or str(error))
            return Presence.AWAY
        self.is_away = False
        self._reporter.say(f"{self._folder.shown}: there again, watching it anew")
        return Presence.AGAIN

    def _take(self) -> None:
        try:
            if not self._lock.acquire():
                what = "no stems can be placed beside its songs, and nothing shows that it is watched"
                self._reporter.warn(self._folder.path, f"cannot be written ({self._lock.why_not}): {what}")
        except OSError as error:
            self.lose(error.strerror or str(error))

    def _has_mark(self) -> bool:
        return os.path.lexists(os.path.join(self._folder.path, LOCK_NAME))

    def _read(self) -> tuple[int, int]:
        status = os.stat(self._folder.path)  # noqa: PTH116 - bytes
        return status.st_dev, status.st_ino
