"""A hot folder itself: whether it is there, is the same and ours alone, and what the system tells of changes in it."""

from __future__ import annotations

import errno
import logging
import os
import threading
import warnings
from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from plugin_core.errors import UsageError
from stembridge_hot_folder.display import Reporter
from stembridge_hot_folder.folders import HotFolder
from stembridge_hot_folder.lock import LOCK_NAME, FolderLock, refuse_neighbours

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver


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
        self._reasons: set[str] = set()
        """Why it is away, as far as told: first it is moved, then a link takes its place."""

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
        self.is_away = True
        if why not in self._reasons:
            self._reasons.add(why)
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
        self._reasons.clear()
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
        status = os.stat(self._folder.path)
        if os.path.realpath(self._folder.path) != self._folder.path:
            # No song behind a link is taken: whoever set it would choose which.
            raise OSError(errno.ELOOP, "a link leads there now; to follow it, start the watch anew")
        return status.st_dev, status.st_ino


MOST_PATHS: Final = 4096
"""Paths remembered between two looks; beyond them everything is looked through."""

_TOLD: Final = frozenset({"created", "modified", "moved", "deleted", "closed", "attrib"})

# Its log would go to the terminal, where nobody set it up; what it tells of lost events a rescan finds.
logging.getLogger("watchdog").addHandler(logging.NullHandler())


class ChangeListener:
    """Hears of changes below a folder: reasons to look at a path, never facts; a rescan finds what is not told.

    Args:
        root: the folder.
        wake: called from another thread when there is something to look at.
        is_noise: tells paths that nobody needs to look at.
    """

    def __init__(self, root: bytes, wake: Callable[[], None], is_noise: Callable[[bytes], bool]) -> None:
        self._root = root
        self._wake = wake
        self._is_noise = is_noise
        self._lock = threading.Lock()
        self._paths: set[bytes] = set()
        self._is_lost = False
        self._observer: BaseObserver | None = None

    def start(self) -> str:
        """Begin to listen; return why that is not possible, empty when it is."""
        from watchdog.events import FileSystemEventHandler
        from watchdog.observers import Observer

        hear = self._hear

        class Handler(FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                hear(event)

        self.stop()
        # Told when a folder is renamed while its watch is being added; a rescan finds whatever it may cost.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"watchdog\.")
        try:
            observer: Any = Observer()
            observer.schedule(Handler(), os.fsdecode(self._root), recursive=True)
            observer.start()
        except (OSError, RuntimeError) as error:
            # ENOSPC: too many watches; EMFILE: too many watchers; threads may run out as well.
            return str(getattr(error, "strerror", None) or error)
        self._observer = observer
        return ""

    def stop(self) -> None:
        """Listen no more."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout=2.0)
            self._observer = None

    @property
    def is_alive(self) -> bool:
        """Whether changes are still told; a folder that was removed ends the telling without a word."""
        observer = self._observer
        return observer is not None and observer.is_alive() and all(one.is_alive() for one in observer.emitters)

    def take(self) -> tuple[list[bytes], bool]:
        """Return the paths to look at since the last call, and whether some were lost."""
        with self._lock:
            paths, lost = sorted(self._paths), self._is_lost
            self._paths.clear()
            self._is_lost = False
        return paths, lost

    def _hear(self, event: FileSystemEvent) -> None:
        if event.event_type not in _TOLD or (event.is_directory and event.event_type == "modified"):
            return
        told = {os.fsencode(path) for path in (event.src_path, getattr(event, "dest_path", "")) if path}
        told = {path for path in told if path != self._root and not self._is_noise(path)}
        if not told:
            return
        with self._lock:
            if len(self._paths) < MOST_PATHS:
                self._paths |= told
            else:
                self._is_lost = True
        self._wake()
