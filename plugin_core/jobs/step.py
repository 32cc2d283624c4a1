"""A claimed job from its claim until it waits, settles or is lost, and its signs of life meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from plugin_core.errors import PluginError, StembridgeError, StoreError, TransientError
from plugin_core.jobs.claim import Changed, Claim, LostError, problem_of, tell
from plugin_core.jobs.effects import advance, follow
from plugin_core.jobs.policy import ANY, Policy, Reach
from plugin_core.jobs.queue import Beat, ClaimState
from plugin_core.jobs.store import JobStore
from plugin_core.jobs.work import Work
from plugin_core.model import Job, JobState, Progress, Separation, show_path
from plugin_core.purchases.ledger import Guard, spend_freely
from plugin_core.tasks import start, start_alone

_log = logging.getLogger(__name__)

_LEFT_FOR: Final = 5.0
"""Seconds in which another worker may take a job whose results go where this one sees nothing."""


class Heartbeat:
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
        self._steps: dict[Claim, tuple[float, Progress | None]] = {}
        self._seen: tuple[int | str, int] | None = None
        self._task: asyncio.Task[None] | None = None

    def add(self, claim: Claim) -> None:
        """Begin to beat for a step."""
        self._steps[claim] = (claim.now(), None)
        if self._task is None or self._task.done():
            self._task = start_alone(self._run(), "the heartbeat")

    def remove(self, claim: Claim) -> None:
        """Stop beating for a step."""
        self._steps.pop(claim, None)
        if not self._steps and self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        while True:
            await self._sleep(self._every)
            try:
                await self.beat()
            except StoreError:
                # The next step that stores something says it to the user; a lease outlives a missed beat.
                _log.info("a heartbeat could not be stored", exc_info=True)

    async def beat(self) -> None:
        """Renew what is due and store new progress, all at once, and look for requests if anything changed."""
        token = await self._store.ask(self._store.changes_token)
        is_changed, self._seen = token != self._seen, token
        beats = self._due()
        if beats:
            answers = await self._store.ask(self._store.heartbeat, list(beats.values()))
            for (claim, beat), answer in zip(beats.items(), answers, strict=True):
                self._hear(claim, beat, answer)
        if not is_changed:
            return
        for claim in [one for one in self._steps if one not in beats]:
            # Others come to their end while the store is asked for one.
            if claim in self._steps:
                self._heed(claim, await self._store.ask(self._store.check, claim.job.id, claim.owner))

    def _due(self) -> dict[Claim, Beat]:
        """Return the beats of the steps with new progress, and of those whose last one was a while ago."""
        beats, every = {}, self._store.lease / 4
        for claim, (beaten, stored) in self._steps.items():
            new = claim.progress if claim.progress != stored else None
            if new is not None or claim.now() - beaten >= every:
                beats[claim] = Beat(claim.job.id, claim.owner, new)
        self._steps |= {claim: (claim.now(), beat.progress or self._steps[claim][1]) for claim, beat in beats.items()}
        return beats

    def _hear(self, claim: Claim, beat: Beat, answer: ClaimState) -> None:
        if claim not in self._steps:
            # It came to its end while the store was asked.
            return
        if beat.progress is not None and answer.alive and claim.progress is not None:
            before = claim.job
            claim.job = msgspec.structs.replace(before, progress=beat.progress)
            claim.tell(claim.job, before)
        self._heed(claim, answer)

    def _heed(self, claim: Claim, answer: ClaimState) -> None:
        if not answer.alive:
            # A paid call goes on: its late answer still belongs to the job.
            if claim.effect is not None and not claim.is_paying:
                claim.effect.cancel()
        elif answer.cancel and not claim.job.cancel:
            claim.job = msgspec.structs.replace(claim.job, cancel=True)
            if claim.effect is not None and claim.is_interruptible:
                claim.effect.cancel()


class Step:
    """What one task of the engine does with one claimed job.

    Args:
        job: as claimed.
        owner: the name of the claim.
        work_for: gives the effects of the job.
        store: where it was claimed.
        changed: hears of every stored change.
        policy: how patient the engine is.
        heartbeat: keeps the claim alive.
        guard: refuses what would be spent beyond a limit.
        reach: what this process does of a job; the rest is left to others.
    """

    def __init__(
        self,
        job: Job,
        owner: str,
        work_for: Callable[[Job], Work],
        store: JobStore,
        changed: Changed,
        policy: Policy,
        heartbeat: Heartbeat,
        guard: Guard = spend_freely,
        reach: Reach = ANY,
    ) -> None:
        self._claimed = job
        self._owner = owner
        self._work_for = work_for
        self._store = store
        self._changed = changed
        self._policy = policy
        self._heartbeat = heartbeat
        self._guard = guard
        self._reach = reach
        self._claim: Claim | None = None
        self._is_last = False

    @property
    def is_delicate(self) -> bool:
        """Whether the step had better come to its end: a paid call is in flight, or leftovers are being removed."""
        return self._claim is not None and (self._claim.is_paying or self._claim.job.state.is_settled)

    @property
    def is_settled(self) -> bool:
        """Whether the job is settled and only its leftovers are being removed."""
        return self._claim is not None and self._claim.job.state.is_settled

    async def run(self) -> None:
        """Do one effect after the other until the job waits, settles or is lost."""
        try:
            work = await self._work() if await self._sees() else None
            if work is not None:
                await self._run(work)
        except LostError:
            _log.info("job %s was moved by another process", self._claimed.id)
        finally:
            await self.release()

    def end_soon(self) -> None:
        """Begin no other effect after the running one."""
        self._is_last = True

    async def release(self) -> None:
        """Let go of the job, so that any process can go on with it at once."""
        await self._store.ask(self._store.release, self._claimed.id, self._owner)

    async def _run(self, work: Work) -> None:
        claim = Claim(self._claimed, self._owner, work, self._store, self._changed, self._policy, self._guard)
        self._claim = claim
        self._heartbeat.add(claim)
        try:
            while await self._effect(claim) and not self._is_last and self._is_ours(claim):
                pass
        finally:
            self._heartbeat.remove(claim)
            if claim.is_fresh:
                # Its call was never sent: whoever took the job over need not wait for an answer.
                await self._store.ask(self._store.end_submit, claim.job.id, claim.owner, absent=True)

    async def _sees(self) -> bool:
        """Tell whether all that the job names can be on this machine; otherwise leave it to one where it can."""
        job, wish = self._claimed, self._claimed.operation
        destination = wish.to if isinstance(wish, Separation) else None
        named = (job.source.path, destination, job.target, *(stem.path for stem in job.staged))
        unseen = next((path for path in named if path is not None and not self._store.paths.sees(path)), None)
        if unseen is None:
            return True
        _log.info("job %s: left to a worker that sees %s", job.id, show_path(unseen))
        later = msgspec.structs.replace(job, due=self._store.clock() + _LEFT_FOR)
        await self._store.ask(self._store.save, job, later, self._owner, True)
        return False

    def _is_ours(self, claim: Claim) -> bool:
        """Tell whether what follows is this process's to do; a paid call that is committed to is made at once."""
        return claim.is_fresh or self._reach.covers(claim.job.state, occupies=claim.work.occupies(claim.job))

    async def _effect(self, claim: Claim) -> bool:
        answer = await self._store.ask(self._store.check, claim.job.id, claim.owner)
        if not answer.alive:
            raise LostError(claim.job.id)
        claim.job, claim.is_withdrawn = msgspec.structs.replace(claim.job, cancel=answer.cancel), answer.withdrawn
        if answer.source is not None and answer.source != claim.job.source:
            await follow(claim, answer.source)
        claim.effect = start(advance(claim))
        try:
            return await claim.effect
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # The heartbeat ended the effect: the job is lost, or to be cancelled.
            return True

    async def _work(self) -> Work | None:
        """Return the effects; without them a job that may be paid for waits for its provider to come back."""
        try:
            return self._work_for(self._claimed)
        except StembridgeError as error:
            await self._store_without_work(error)
        except Exception as error:  # noqa: BLE001 - work comes from plugins, which may raise anything
            _log.exception("job %s has no provider", self._claimed.id)
            what = f"{self._claimed.operation.provider} broke with {type(error).__name__}: {error}"
            await self._store_without_work(PluginError(what, remedy="see `stembridge plugins`"))
        return None

    async def _store_without_work(self, error: StembridgeError) -> None:
        job, now = self._claimed, self._store.clock()
        problem = problem_of(error)
        if job.state is JobState.QUEUED and not isinstance(error, TransientError):
            state = JobState.CANCELLED if job.cancel else JobState.FAILED
            after = msgspec.structs.replace(job, state=state, updated=now, problem=problem)
        else:
            attempts = job.attempts + 1
            due = now + self._policy.backoff.delay(attempts)
            after = msgspec.structs.replace(job, due=due, attempts=attempts, problem=problem)
        if await self._store.ask(self._store.save, job, after, self._owner, True):
            tell(self._changed, after, job)
