"""When to stop waiting: a service that is down must not hold a batch for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from plugin_core import Policy
from plugin_core.model import Job, JobState

_SEARCH: Final = Policy().search_for


class Trouble:
    """Watches which jobs move on.

    Args:
        tries: how often each job in trouble is tried before waiting is given up.
        clock: seconds since the epoch.
    """

    def __init__(self, tries: int, *, clock: Callable[[], float] = time.time) -> None:
        self._tries = tries
        self._clock = clock
        self._stuck: set[str] = set()
        self._moving: set[str] = set()

    def note(self, job: Job) -> None:
        """Hear how a job stands."""
        self._stuck.discard(job.id)
        self._moving.discard(job.id)
        if not job.state.is_active:
            return
        if job.problem is not None and job.attempts >= self._tries and not self._is_sought(job):
            self._stuck.add(job.id)
        elif job.state is not JobState.QUEUED or job.problem is not None:
            self._moving.add(job.id)

    @property
    def is_all(self) -> bool:
        """Whether every job that was begun is stuck; those that were not wait for the slots of these."""
        return bool(self._stuck) and not self._moving

    def _is_sought(self, job: Job) -> bool:
        """Tell whether the job's lost answer is looked for: that comes to an end by itself, however often it looks."""
        return job.state is JobState.SUBMITTING and self._clock() < job.updated + _SEARCH
