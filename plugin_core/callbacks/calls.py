"""What a call says, and the jobs that it wakes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection
from typing import Final, Protocol

from plugin_core.errors import ServiceError


def read_json(body: bytes, what: str) -> object:
    """Return the value of a JSON text.

    Args:
        body: the text.
        what: whose it is, for the message.

    Raises:
        ServiceError: it is no JSON, nested too deeply, or holds a number without end.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ServiceError(f"{what}: no JSON") from error


PAUSE: Final = 1.0
"""Seconds in which one job is woken once: calls must not drive how often a service is asked."""


class Wakeable(Protocol):
    """What of the job store waking needs."""

    def wake(self, names: Collection[str], *, rested: Callable[[str], bool]) -> list[str]:
        """Make due the waiting jobs of these names that have rested; return their ids."""
        ...


class Waker:
    """Wakes jobs of a store; usable from several threads.

    Args:
        store: the job store.
        clock: seconds, growing.
    """

    def __init__(self, store: Wakeable, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._woken: dict[str, float] = {}
        self._lock = threading.Lock()

    def wake(self, names: Collection[str]) -> Collection[str]:
        """Wake the jobs with these remote ids or ids of ours, and return their ids.

        Raises:
            StoreError: the store cannot be used.
        """
        with self._lock:
            now = self._clock()
            self._woken = {job: moment for job, moment in self._woken.items() if now - moment < PAUSE}
            woken = self._store.wake(names, rested=lambda job: job not in self._woken)
            self._woken |= dict.fromkeys(woken, now)
            return woken
