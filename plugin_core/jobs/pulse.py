"""Signs of life of running steps: leases, progress and requests to cancel, a few times a second."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from plugin_core.errors import StoreError
from plugin_core.jobs.held import Held
from plugin_core.jobs.store import Heartbeat, JobStore
from plugin_core.model import Progress
from plugin_core.tasks import start_alone

_log = logging.getLogger(__name__)


class Pulse:
    """One task that beats for every step of this process while there is one.

    Args:
        store: the job store.
        sleep: waits for some seconds.
        every: seconds between two beats.
    """

    def __init__(self, store: JobStore, sleep: Callable[[float], Awaitable[None]], every: float) -> None:
        self._store = store
        self._sleep = sleep
        self._every = every
        self._steps: dict[Held, tuple[float, Progress | None]] = {}
        self._seen: tuple[int, int] | None = None
        self._task: asyncio.Task[None] | None = None

    def add(self, held: Held) -> None:
        """Begin to beat for a step."""
        self._steps[held] = (held.now(), None)
        if self._task is None or self._task.done():
            self._task = start_alone(self._run(), "the heartbeat")

    def remove(self, held: Held) -> None:
        """Stop beating for a step."""
        self._steps.pop(held, None)
        if not self._steps and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            await self._sleep(self._every)
            try:
                self.beat()
            except StoreError:
                # The next step that stores something says it to the user; a lease outlives a missed beat.
                _log.warning("a heartbeat could not be stored", exc_info=True)

    def beat(self) -> None:
        """Renew what is due, store new progress, and look for requests if anything changed."""
        token = self._store.changes_token()
        is_changed, self._seen = token != self._seen, token
        for held, (beaten, stored) in list(self._steps.items()):
            if held.progress is not None and held.progress != stored:
                self._store_progress(held)
            elif held.now() - beaten >= min(self._store.heartbeat_every, self._store.lease / 3):
                self._steps[held] = (held.now(), stored)
                self._heed(held, self._store.heartbeat(held.job.id, held.owner))
            elif is_changed:
                self._heed(held, self._store.check(held.job.id, held.owner))

    def _store_progress(self, held: Held) -> None:
        progress = held.progress
        self._steps[held] = (held.now(), progress)
        answer = self._store.heartbeat(held.job.id, held.owner, progress)
        if answer.alive:
            before = held.job
            held.job = msgspec.structs.replace(before, progress=progress)
            held.tell(held.job, before)
        self._heed(held, answer)

    def _heed(self, held: Held, answer: Heartbeat) -> None:
        if not answer.alive:
            held.is_lost = True
            # A paid call goes on: its late answer still belongs to the job.
            if held.effect is not None and not held.is_paying:
                held.effect.cancel()
        elif answer.cancel and not held.job.cancel:
            held.job = msgspec.structs.replace(held.job, cancel=True)
            if held.effect is not None and held.is_interruptible:
                held.effect.cancel()
