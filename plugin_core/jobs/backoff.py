"""How long to wait before trying again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

LONGEST: Final = 3600.0
"""Seconds that a job waits at most, whoever asked for more: what is due later was written by a clock that was ahead."""


@dataclass(frozen=True)
class Backoff:
    """A growing delay with jitter, so that many jobs that failed together do not return together.

    Args:
        first: seconds before the second try.
        most: the longest delay, in seconds.
        jitter: share of the delay that chance may add.
        rng: returns a number from 0 to 1.
    """

    first: float = 1.0
    most: float = 300.0
    jitter: float = 0.25
    rng: Callable[[], float] = random.random

    def delay(self, attempts: int, retry_after: float | None = None) -> float:
        """Return seconds to wait after so many failed tries; never less than the other side asked for."""
        # 2**64 seconds is past any cap; beyond it a float power would overflow.
        grown = min(self.most, self.first * 2.0 ** min(max(attempts - 1, 0), 64))
        wished = max(grown, retry_after or 0.0)
        return wished + wished * self.jitter * self.rng()
