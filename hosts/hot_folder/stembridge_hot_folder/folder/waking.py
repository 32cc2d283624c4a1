"""What the system tells of changes: a reason to look at a path, never a fact; a rescan finds what it does not tell."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver

MOST_PATHS: Final = 4096
"""Paths remembered between two looks; beyond them everything is looked through."""

_TOLD: Final = frozenset({"created", "modified", "moved", "deleted", "closed", "attrib"})

# Its log would go to the terminal, where nobody set it up; what it tells of lost events a rescan finds.
logging.getLogger("watchdog").addHandler(logging.NullHandler())


class Waker:
    """Hears of changes below a folder.

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
