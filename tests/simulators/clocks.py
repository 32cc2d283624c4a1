"""A clock that tests can set forward."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class SimulatorClock:
    """Unix time in seconds; ``advance`` sets it forward for good. ``start`` freezes it there."""

    def __init__(self, now: Callable[[], float] = time.time, *, start: float | None = None) -> None:
        self._now = now if start is None else lambda: start
        self._ahead = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        with self._lock:
            return self._now() + self._ahead

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._ahead += seconds
