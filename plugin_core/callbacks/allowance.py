"""How many calls are taken: a burst, then so many a second."""

from __future__ import annotations

import time
from collections.abc import Callable


class Allowance:
    """A bucket of calls that fills again by itself.

    Args:
        burst: calls that may come at once.
        rate: calls a second after that.
        clock: seconds, growing.
    """

    def __init__(self, burst: int, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst = float(burst)
        self._rate = rate
        self._clock = clock
        self._left = float(burst)
        self._seen = clock()

    def take(self) -> bool:
        """Take one call; False when there is none left."""
        now = self._clock()
        self._left = min(self._burst, self._left + max(now - self._seen, 0.0) * self._rate)
        self._seen = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    @property
    def seconds(self) -> float:
        """Seconds until there is one again."""
        return max(0.0, (1.0 - self._left) / self._rate)
