"""Ids of jobs and recordings: UUIDv7 text, so that sorting by id is sorting by age."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable

_COUNTER_BITS = 12
_RANDOM_BITS = 62


class _Sequence:
    """The last millisecond and counter handed out: ids of one process grow even within a millisecond."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self, milliseconds: int) -> int:
        """Return time and counter as one number, above every number before."""
        with self._lock:
            self._last = max(self._last + 1, milliseconds << _COUNTER_BITS)
            return self._last


_sequence = _Sequence()


def new_id(clock: Callable[[], float]) -> str:
    """Return a new UUIDv7 (RFC 9562) as text; later calls in one process sort later."""
    milliseconds, counter = divmod(_sequence.next(int(clock() * 1000)), 1 << _COUNTER_BITS)
    chance = int.from_bytes(os.urandom(8)) >> (64 - _RANDOM_BITS)
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | counter << 64 | 2 << 62 | chance))
