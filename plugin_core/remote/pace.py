"""How often a job is looked at."""

from __future__ import annotations

from typing import Final

import msgspec

_DIVISOR: Final = 10


class Pace(msgspec.Struct, frozen=True):
    """Seconds between two looks, at a new job and at an old one."""

    first: float
    longest: float

    def wait(self, age: float) -> float:
        """Return the seconds to the next look at a job of that age: growing, and the same in every process."""
        return min(self.longest, max(self.first, age / _DIVISOR))
