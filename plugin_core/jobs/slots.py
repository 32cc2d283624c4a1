"""How many jobs each account may have alive, asked rarely and never waited for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping

from plugin_core.jobs.policy import Policy
from plugin_core.jobs.work import Work
from plugin_core.model import Job
from plugin_core.tasks import start

_log = logging.getLogger(__name__)

_ASK_AGAIN_AFTER = 10.0


class Slots:
    """The limits of accounts; one whose answer is still out is missing.

    Args:
        work_for: gives the effects of a job.
        clock: seconds since the epoch.
        policy: how long an answer is believed.
        wake: called when an answer came.
    """

    def __init__(
        self,
        work_for: Callable[[Job], Work],
        clock: Callable[[], float],
        policy: Policy,
        wake: Callable[[], None],
    ) -> None:
        self._work_for = work_for
        self._clock = clock
        self._policy = policy
        self._wake = wake
        self._known: dict[str, int] = {}
        self._until: dict[str, float] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    def current(self, jobs: Iterable[Job]) -> Mapping[str, int]:
        """Return the limits known for the accounts of these jobs, and ask for those missing or old."""
        accounts = {job.account: job for job in jobs}
        for account, job in accounts.items():
            if account not in self._asking and self._clock() >= self._until.get(account, 0.0):
                self._asking[account] = start(self.ask(job))
        return {account: self._known[account] for account in accounts if account in self._known}

    async def ask(self, job: Job) -> None:
        """Ask for the limit of a job's account; one slot where it cannot be told: the job itself will say why."""
        account = job.account
        try:
            self._known[account] = max(1, await self._work_for(job).slots(job))
            self._until[account] = self._clock() + self._policy.slots_for
        except Exception as error:  # noqa: BLE001 - plugins may raise anything; the step that follows reports it
            _log.info("slots of %s unknown: %s", account, error)
            self._known.setdefault(account, 1)
            self._until[account] = self._clock() + _ASK_AGAIN_AFTER
        finally:
            self._asking.pop(account, None)
        self._wake()

    async def of(self, job: Job) -> Mapping[str, int]:
        """Return the limit of one job's account, and wait for it."""
        if self._clock() >= self._until.get(job.account, 0.0):
            await self.ask(job)
        return {job.account: self._known[job.account]}

    def close(self) -> None:
        """Give up every question still out."""
        for task in list(self._asking.values()):
            task.cancel()
