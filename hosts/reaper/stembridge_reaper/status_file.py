"""The worker's side of ``status.json``: replaced in one step, and often enough to show that the worker lives."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from plugin_core.errors import PlacementError
from plugin_core.model import show_path, to_json
from stembridge_reaper.protocol import Status

INTERVAL = 0.25
"""Seconds between two writings of mere progress."""

_TRIES = 20

log = logging.getLogger(__name__)


class StatusFile:
    """One run's status, written for whoever reads it at any moment.

    Args:
        path: the document.
        status: what it says; change it, then call ``write`` or ``touch``.
        clock: seconds since the epoch.
        sleep: waits for some seconds.
    """

    def __init__(
        self,
        path: Path,
        status: Status,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.status = status
        self._path = path
        self._clock = clock
        self._sleep = sleep

    def touch(self) -> None:
        """Write progress, unless something was written just now."""
        if self._clock() - self.status.heartbeat >= INTERVAL:
            self.write()

    def write(self) -> bool:
        """Write at once and return whether that could be done; on a full disk the work goes on without words."""
        before = self.status.heartbeat
        self.status.heartbeat = self._clock()
        staged = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        try:
            staged.write_bytes(to_json(self.status))
            self._replace(staged)
        except OSError as error:
            log.warning("%s cannot be written: %s", show_path(self._path), error.strerror or error)
            self.status.heartbeat = before
            with suppress(OSError):
                staged.unlink(missing_ok=True)
            return False
        return True

    def close(self) -> None:
        """Write the last word.

        Raises:
            PlacementError: it cannot be written, so a new worker must say it.
        """
        if not self.write():
            raise PlacementError(
                f"{show_path(self._path)} cannot be written", remedy="make room there and insert the stems then"
            )

    def _replace(self, staged: Path) -> None:
        for _ in range(_TRIES):
            try:
                staged.replace(self._path)
            except PermissionError:
                # Windows refuses while a reader has the document open, which is a matter of microseconds.
                self._sleep(0.01)
            else:
                return
        staged.replace(self._path)
