"""How often progress is worth a line."""

from __future__ import annotations

import time
from collections.abc import Callable

from plugin_core.model import Job


class Throttle:
    """Lets a job's progress through when it moved far enough or long enough ago.

    Args:
        fraction: how far (of 1) is far enough.
        seconds: how long is long enough.
        together: whether both must hold; else one of them does.
        clock: monotonic seconds.
    """

    def __init__(
        self, fraction: float, seconds: float, *, together: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fraction = fraction
        self._seconds = seconds
        self._combine = all if together else any
        self._clock = clock
        self._last: dict[str, tuple[float, float]] = {}

    def start(self, job: Job) -> None:
        """Count from here: the job was just shown."""
        self._last[job.id] = (_fraction_of(job), self._clock())

    def stop(self, job: Job) -> None:
        """Forget a job that is settled."""
        self._last.pop(job.id, None)

    def is_due(self, job: Job) -> bool:
        """Tell whether the job's progress should be shown now, and if so count from here."""
        fraction, shown = self._last.get(job.id, (0.0, float("-inf")))
        moved = abs(_fraction_of(job) - fraction) >= self._fraction
        waited = self._clock() - shown >= self._seconds
        if not self._combine((moved, waited)):
            return False
        self.start(job)
        return True


class Troubles:
    """Lets each trouble of a job that waits through once, however often it is met again."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def is_new(self, job: Job) -> bool:
        """Tell whether the job waits for something not told yet, and if so count it as told."""
        if job.problem is None or not job.state.is_active:
            return False
        key = (job.id, job.problem.message)
        is_new = key not in self._told
        self._told.add(key)
        return is_new


def _fraction_of(job: Job) -> float:
    return (job.progress.fraction or 0.0) if job.progress else 0.0
