"""Jobs that other processes work on, as a host follows them: what changes is told, and nothing is done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Final

from plugin_core.jobs.claim import Changed, tell
from plugin_core.jobs.store import JobStore
from plugin_core.model import Job
from plugin_core.tasks import start

_log = logging.getLogger(__name__)

_LOOK_EVERY: Final = 0.5
_AT_ONCE: Final = 200
"""Jobs that are asked for in one go, so that nobody waits for long."""
_SAID_AFTER: Final = 20.0
"""Seconds in which nobody touched any of the jobs that are due, which are worth a word."""


class Onlooker:
    """Follows jobs of a store.

    Args:
        store: where workers work on them.
        changed: hears of every change that is seen, with the job as it was seen before.
    """

    def __init__(self, store: JobStore, changed: Changed) -> None:
        self._store = store
        self._changed = changed
        self._seen: dict[str, Job] = {}
        self._marks: dict[str, tuple[object, ...]] = {}
        self._is_said = False

    async def run(self, wanted: Callable[[], Collection[str]], stop: asyncio.Event, *, is_endless: bool) -> None:
        """Follow jobs until ``stop`` is set, or unless it is endless until each has come to its end.

        Args:
            wanted: gives their ids, which may come and go.
            stop: ends it.
            is_endless: whether there may be more when all are settled.

        Raises:
            StoreError: the store cannot be read.
        """
        self._store.be_patient()
        watcher = start(self._hasten(stop))
        try:
            await self._follow(wanted, stop, is_endless=is_endless)
        finally:
            watcher.cancel()

    async def _hasten(self, stop: asyncio.Event) -> None:
        """Let nobody who ends the following wait for a server that is away."""
        await stop.wait()
        self._store.be_patient(0.0)

    async def _follow(self, wanted: Callable[[], Collection[str]], stop: asyncio.Event, *, is_endless: bool) -> None:
        token, quiet = None, 0.0
        while not stop.is_set():
            new = [job_id for job_id in wanted() if job_id not in self._seen]
            before, token = token, await asyncio.to_thread(self._store.changes_token)
            if new or token != before:
                is_moving = await self._look(set(wanted()))
                quiet = 0.0 if is_moving else quiet
            if not is_endless and all(self._seen[one].state.is_settled for one in wanted() if one in self._seen):
                return
            quiet += _LOOK_EVERY
            self._wonder(quiet)
            await _wait(stop)

    async def _look(self, ids: set[str]) -> bool:
        """Tell of what changed; return whether anything did."""
        self._seen = {job_id: job for job_id, job in self._seen.items() if job_id in ids}
        self._marks = {job_id: mark for job_id, mark in self._marks.items() if job_id in ids}
        open_ids = [one for one in sorted(ids) if one not in self._seen or not self._seen[one].state.is_settled]
        is_moving = False
        for first in range(0, len(open_ids), _AT_ONCE):
            for job in await asyncio.to_thread(self._find_changed, open_ids[first : first + _AT_ONCE]):
                known = self._seen.get(job.id)
                self._seen[job.id] = job
                is_moving |= known is not None and known != job
                # What came to its end before it was looked at first is told, too.
                if job.state.is_settled if known is None else known != job:
                    tell(self._changed, job, known)
        return is_moving

    def _find_changed(self, ids: list[str]) -> list[Job]:
        """Read those that have changed: at any time most of many wait."""
        marks = self._store.marks(ids)
        changed = [one for one, mark in marks.items() if self._marks.get(one) != mark]
        self._marks |= marks
        return self._store.find_all(changed) if changed else []

    def _wonder(self, quiet: float) -> None:
        if quiet >= _SAID_AFTER and not self._is_said and any(job.state.is_active for job in self._seen.values()):
            self._is_said = True
            _log.warning(
                "no worker has touched these jobs yet: `stembridge worker` runs one, where song and account are at hand"
            )


async def _wait(stop: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop.wait(), _LOOK_EVERY)
    except TimeoutError:
        return
