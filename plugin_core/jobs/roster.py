"""The jobs of a host that runs on: they come and go while the engine works."""

from __future__ import annotations

from collections.abc import Callable


class Roster:
    """Ids of jobs, which may change while a run works on them."""

    def __init__(self) -> None:
        self._ids: frozenset[str] = frozenset()
        self.on_change: Callable[[], None] = lambda: None
        """Called when an id was added; the run that works on the roster sets it."""

    @property
    def ids(self) -> frozenset[str]:
        """The ids as they are now; the same object for as long as nothing changes."""
        return self._ids

    def add(self, job_id: str) -> None:
        """Let the run work on a job."""
        if job_id not in self._ids:
            self._ids |= {job_id}
            self.on_change()

    def discard(self, job_id: str) -> None:
        """Let the run forget a job; a step that has begun goes on to its end."""
        if job_id in self._ids:
            self._ids -= {job_id}
