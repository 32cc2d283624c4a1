"""A claimed job from its claim until it waits, settles or is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from plugin_core.errors import PluginError, StembridgeError, TransientError
from plugin_core.jobs.advance import advance, follow
from plugin_core.jobs.held import Changed, Held, LostError, problem_of, tell
from plugin_core.jobs.policy import Policy
from plugin_core.jobs.pulse import Pulse
from plugin_core.jobs.store import JobStore
from plugin_core.jobs.work import Work
from plugin_core.model import Job, JobState
from plugin_core.purchases.spending import Guard, spend_freely
from plugin_core.tasks import start

_log = logging.getLogger(__name__)


class Step:
    """What one task of the engine does with one claimed job.

    Args:
        job: as claimed.
        owner: the name of the claim.
        work_for: gives the effects of the job.
        store: where it was claimed.
        changed: hears of every stored change.
        policy: how patient the engine is.
        pulse: keeps the claim alive.
        guard: refuses what would be spent beyond a limit.
    """

    def __init__(
        self,
        job: Job,
        owner: str,
        work_for: Callable[[Job], Work],
        store: JobStore,
        changed: Changed,
        policy: Policy,
        pulse: Pulse,
        guard: Guard = spend_freely,
    ) -> None:
        self._claimed = job
        self._owner = owner
        self._work_for = work_for
        self._store = store
        self._changed = changed
        self._policy = policy
        self._pulse = pulse
        self._guard = guard
        self._held: Held | None = None
        self._is_last = False

    @property
    def is_delicate(self) -> bool:
        """Whether the step had better come to its end: a paid call is in flight, or leftovers are being removed."""
        return self._held is not None and (self._held.is_paying or self._held.job.state.is_settled)

    @property
    def is_settled(self) -> bool:
        """Whether the job is settled and only its leftovers are being removed."""
        return self._held is not None and self._held.job.state.is_settled

    async def run(self) -> None:
        """Do one effect after the other until the job waits, settles or is lost."""
        try:
            work = self._work()
            if work is not None:
                await self._run(work)
        except LostError:
            _log.info("job %s was moved by another process", self._claimed.id)
        finally:
            self.release()

    def end_soon(self) -> None:
        """Begin no other effect after the running one."""
        self._is_last = True

    def release(self) -> None:
        """Let go of the job, so that any process can go on with it at once."""
        self._store.release(self._claimed.id, self._owner)

    async def _run(self, work: Work) -> None:
        held = Held(self._claimed, self._owner, work, self._store, self._changed, self._policy, self._guard)
        self._held = held
        self._pulse.add(held)
        try:
            while await self._effect(held) and not self._is_last:
                pass
        finally:
            self._pulse.remove(held)
            if held.is_fresh:
                # Its call was never sent: whoever took the job over need not wait for an answer.
                self._store.end_submit(held.job.id, held.owner, absent=True)

    async def _effect(self, held: Held) -> bool:
        answer = self._store.check(held.job.id, held.owner)
        if not answer.alive:
            raise LostError(held.job.id)
        held.job, held.is_withdrawn = msgspec.structs.replace(held.job, cancel=answer.cancel), answer.withdrawn
        if answer.source is not None and answer.source != held.job.source:
            await follow(held, answer.source)
        held.effect = start(advance(held))
        try:
            return await held.effect
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # The pulse ended the effect: the job is lost, or to be cancelled.
            return True

    def _work(self) -> Work | None:
        """Return the effects; without them a job that may be paid for waits for its provider to come back."""
        try:
            return self._work_for(self._claimed)
        except StembridgeError as error:
            self._store_without_work(error)
        except Exception as error:  # noqa: BLE001 - work comes from plugins, which may raise anything
            _log.exception("job %s has no provider", self._claimed.id)
            what = f"{self._claimed.operation.provider} broke with {type(error).__name__}: {error}"
            self._store_without_work(PluginError(what, remedy="see `stembridge plugins`"))
        return None

    def _store_without_work(self, error: StembridgeError) -> None:
        job, now = self._claimed, self._store.clock()
        problem = problem_of(error)
        if job.state is JobState.QUEUED and not isinstance(error, TransientError):
            state = JobState.CANCELLED if job.cancel else JobState.FAILED
            after = msgspec.structs.replace(job, state=state, updated=now, problem=problem)
        else:
            attempts = job.attempts + 1
            due = now + self._policy.backoff.delay(attempts)
            after = msgspec.structs.replace(job, due=due, attempts=attempts, problem=problem)
        if self._store.save(job, after, self._owner, True):
            tell(self._changed, after, job)
