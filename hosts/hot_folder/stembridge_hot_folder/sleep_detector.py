"""Whether the process ran all the time: one that was stopped, or whose machine slept, saw nothing meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

TICK: Final = 0.25
GAP: Final = 0.75
"""Seconds without a tick after which the process did not run; a busy loop is late by less."""

_MOST_IN_A_ROW: Final = 5
"""Gaps without a calm between them; then the machine is only slow, and nothing would ever settle."""
_CALM: Final = 10.0


class SleepDetector:
    """Counts the times the process did not run.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock()
        self._last_gap = float("-inf")
        self._in_a_row = 0
        self._gaps = 0

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            self.count()
            await asyncio.sleep(TICK)

    def count(self) -> int:
        """Return how many gaps there were so far."""
        now = self._clock()
        if now - self._last >= GAP:
            self._in_a_row = self._in_a_row + 1 if self._last - self._last_gap < _CALM else 1
            self._last_gap = now
            self._gaps += self._in_a_row <= _MOST_IN_A_ROW
        self._last = now
        return self._gaps
