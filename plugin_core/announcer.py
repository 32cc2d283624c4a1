"""Who hears of jobs: whoever runs them, and the plugins."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from plugin_core.model import Job, JobState, Tagging
from plugin_core.plugins import Plugins

OnChange = Callable[[Job, Job | None], None]
"""Hears of a job as it is and as it was before."""


class Announcer:
    """Tells of every change that this process makes.

    Args:
        plugins: hear of it.
        on_change: hears of it first.
    """

    def __init__(self, plugins: Plugins, on_change: OnChange | None = None) -> None:
        self._plugins = plugins
        self._on_change = on_change

    def tell(self, job: Job, previous: Job | None) -> None:
        """Tell of one change."""
        if self._on_change is not None:
            self._on_change(job, previous)
        self._plugins.notify("job_changed", job=job, previous=previous)
        if job.state is JobState.DONE and (previous is None or previous.state is not JobState.DONE):
            if not isinstance(job.operation, Tagging):
                self._plugins.notify("stems_placed", job=job)
            elif job.operation.write:
                self._plugins.notify("tags_written", job=job)


class Ends:
    """Lets a host hear of the end of each job of a run once, whoever brought it about.

    Args:
        on_change: the host's ear.
    """

    def __init__(self, on_change: OnChange | None) -> None:
        self._on_change = on_change
        self._told: dict[str, JobState] = {}

    def hear(self, job: Job, previous: Job | None) -> None:
        """Pass a change on."""
        self._told[job.id] = job.state
        if self._on_change is not None:
            self._on_change(job, previous)

    def tell_rest(self, jobs: Iterable[Job]) -> None:
        """Tell of the ends that other processes brought about; their plugins have heard of them."""
        from plugin_core.jobs.claim import tell

        for job in jobs:
            if job.state.is_settled and self._told.get(job.id) is not job.state:
                tell(self.hear, job, None)
