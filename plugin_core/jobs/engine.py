"""The embedded engine: asyncio over the shared store, in whichever process has work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from plugin_core.errors import StembridgeError, StoreError
from plugin_core.files.path_map import STAGING
from plugin_core.jobs.claim import Changed, discard
from plugin_core.jobs.policy import ANY, Policy, Reach
from plugin_core.jobs.step import Heartbeat, Step
from plugin_core.jobs.store import JobStore
from plugin_core.jobs.work import Work
from plugin_core.model import Job, disarm, show_path
from plugin_core.purchases.ledger import Guard, spend_freely
from plugin_core.tasks import start, start_alone

_log = logging.getLogger(__name__)

_LOOK_EVERY = 1.0
"""Seconds until jobs of other processes are noticed."""


@dataclass(frozen=True)
class Done:
    """The job is settled."""

    job: Job


@dataclass(frozen=True)
class Wait:
    """Ask again after some seconds."""

    seconds: float


class Engine:
    """Moves jobs on.

    Args:
        store: the job store, shared with any number of other processes.
        work_for: gives the effects of a job; may raise SettingsError or PluginError.
        changed: hears of every stored change and of progress, with the job before it.
        clock: seconds since the epoch; default the store's.
        sleep: waits for some seconds.
        concurrency: how many steps run at once in this process.
        policy: how patient the engine is.
        guard: refuses what would be spent beyond a limit.
        reach: which jobs this process can work on.
    """

    def __init__(
        self,
        store: JobStore,
        work_for: Callable[[Job], Work],
        changed: Changed,
        *,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        concurrency: int = 32,
        policy: Policy | None = None,
        guard: Guard = spend_freely,
        reach: Reach = ANY,
    ) -> None:
        self._store = store
        self._guard = guard
        self.reach = reach
        self._work_for = work_for
        self._changed = changed
        self._clock = clock or store.clock
        self._sleep = sleep
        self._concurrency = concurrency
        self._policy = policy or Policy()
        self._heartbeat = Heartbeat(store, sleep, self._policy.progress_every)

    async def run(self, ids: Collection[str] | None = None, *, stop: asyncio.Event | None = None) -> None:
        """Work until these jobs, or all, are settled, or until ``stop`` is set; what is left can be resumed at once.

        Raises:
            StoreError: the store cannot be used any more.
        """
        run = _Run(self, None if ids is None else frozenset(ids), stop or asyncio.Event())
        await run.run()

    async def serve(self, jobs: JobSet | None, *, stop: asyncio.Event) -> None:
        """Work on a set's jobs, whichever they are at the moment, or on every job there is, until ``stop`` is set.

        Raises:
            StoreError: the store cannot be used any more.
        """
        await _Run(self, jobs, stop, is_endless=True).run()

    async def advance(self, job_id: str) -> Done | Wait:
        """Do what can be done for one job now: the seam for an engine that decides itself when that is.

        That may be a step of another job that this one waits for: no process may be working on that.

        Raises:
            UsageError: no such job.
        """
        job = await self._store.ask(self._store.get, job_id)
        if job.state.is_active:
            slots = await Slots(self._work_for, self._clock, self._policy, lambda: None).of(job)
            step = await self.claim(frozenset([job.id]), slots)
            if step is None:
                return Wait(max(job.due - self._clock(), _LOOK_EVERY))
            await step.run()
            job = await self._store.ask(self._store.get, job.id)
        return Done(job) if job.state.is_settled else Wait(max(job.due - self._clock(), 0.0))

    async def discard_leftovers(self) -> int:
        """Remove what settled jobs left behind when that failed at first; return how many are clean now."""
        cleaned = 0
        for job in await self._store.ask(self._store.leftovers):
            try:
                cleaned += await discard(self._store, self._work_for(job), job, None)
            except StembridgeError as error:
                _log.warning("job %s: leftovers stay for now: %s", job.id, error)
        return cleaned

    async def claim(
        self, ids: frozenset[str] | None, slots: Mapping[str, int], reach: Reach | None = None
    ) -> Step | None:
        """Claim the next job within reach; None if there is nothing to do."""
        owner = await self._store.ask(self._store.new_owner)
        job = await self._store.ask(self._store.claim, owner, ids=ids, slots=slots, reach=reach or self.reach)
        if job is None:
            return None
        return Step(
            *(job, owner, self._work_for, self._store, self._changed, self._policy, self._heartbeat),
            guard=self._guard,
            reach=self.reach,
        )


class _Run:
    """One call of ``Engine.run``, or of ``serve``, which goes on when there is nothing to do."""

    def __init__(
        self, engine: Engine, ids: frozenset[str] | JobSet | None, stop: asyncio.Event, *, is_endless: bool = False
    ) -> None:
        self._engine = engine
        self._store = engine._store
        self._policy = engine._policy
        self._wanted = ids
        self._is_endless = is_endless
        self._stop = stop
        self._wake = asyncio.Event()
        if isinstance(ids, JobSet):
            ids.on_change = self._wake.set
        self._slots = Slots(engine._work_for, engine._clock, engine._policy, self._wake.set)
        self._tasks: dict[asyncio.Task[None], Step] = {}
        self._unseen: set[str] = set()
        self._why_left: dict[str, str] = {}
        """Why jobs of an account are left to other machines; "" for those that are not."""
        self._away: dict[str, Path] = {}
        """Folders of this machine whose songs are left to others until they are there again."""
        self._look_again = 0.0

    async def run(self) -> None:
        self._store.be_patient()
        watcher = start(self._watch_stop())
        tidier = start_alone(self._tidy(), "tidying up")
        try:
            while not self._stop.is_set() and await self._has_work():
                self._wake.clear()
                await self._start()
                await self._idle()
                self._reap()
            if not self._stop.is_set():
                await asyncio.wait({tidier}, timeout=self._policy.grace)
        finally:
            self._slots.close()
            watcher.cancel()
            tidier.cancel()
            await self._wind_down()
        self._reap()

    @property
    def _ids(self) -> frozenset[str] | None:
        return self._wanted.ids if isinstance(self._wanted, JobSet) else self._wanted

    async def _has_work(self) -> bool:
        if self._is_endless:
            return True
        if any(step.is_settled for step in self._tasks.values()):
            return True
        return await self._store.ask(self._store.has_active, self._ids)

    async def _start(self) -> None:
        if not self._ids and self._ids is not None:
            return
        first = await self._store.ask(self._store.accounts, self._ids)
        self._tell_unseen(first)
        reach = await self._reach(first)
        slots = self._slots.current(job for job in first if job.account not in reach.left)
        while len(self._tasks) < self._engine._concurrency:
            step = await self._engine.claim(self._ids, slots, reach)
            if step is None:
                return
            task = start(step.run())
            task.add_done_callback(lambda _: self._wake.set())
            self._tasks[task] = step

    def _tell_unseen(self, jobs: Iterable[Job]) -> None:
        """Say once of each folder that songs in it are left to other workers."""
        paths = self._store.paths
        for name in {job.source.path.parts[0] for job in jobs if not paths.sees(job.source.path)} - self._unseen:
            self._unseen.add(name)
            _log.warning("songs in %s are left to workers that have it in [paths]", disarm(name))

    async def _reach(self, jobs: Collection[Job]) -> Reach:
        """Return what this process can work on now: a worker leaves to other machines what this one lacks."""
        reach = self._engine.reach
        if self._wanted is not None or not (self._is_endless and self._store.paths.is_shared):
            return reach
        before, now = self._away, asyncio.get_running_loop().time()
        # A folder without songs is that of a share which is not there, unless nobody asked for any yet.
        if jobs and now >= self._look_again:
            self._away = await asyncio.to_thread(self._store.paths.away)
            self._look_again = now + _LOOK_EVERY
        for name in self._away.keys() ^ before.keys():
            told = "is away, or empty: its songs are left to other workers" if name in self._away else "is there again"
            _log.warning("%s (%s in [paths]) %s", show_path({**before, **self._away}[name]), name, told)
        seen = () if STAGING in self._away else tuple(one for one in reach.names or () if one not in self._away)
        return reach._replace(left=self._choose_left(jobs), names=reach.names and seen)

    def _choose_left(self, jobs: Iterable[Job]) -> tuple[str, ...]:
        """Return the accounts whose jobs are left to other machines, which is said once of each reason."""
        for job in jobs:
            if job.account not in self._why_left:
                why = _why_left(self._engine._work_for, job)
                if why and why not in self._why_left.values():
                    _log.warning("jobs of %s are left to other workers: %s", job.operation.provider, why)
                self._why_left[job.account] = why
        return tuple(account for account, why in self._why_left.items() if why)

    async def _idle(self) -> None:
        """Wait for a step to end, a job to be due, or the time to look at what other processes did."""
        due = await self._store.ask(self._store.next_due)
        seconds = _LOOK_EVERY if due is None else min(_LOOK_EVERY, max(due - self._engine._clock(), 0.0))
        timer = start(self._engine._sleep(seconds))
        woken = start(self._wake.wait())
        try:
            await asyncio.wait({timer, woken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            woken.cancel()

    def _reap(self) -> None:
        """Forget the steps that ended, and raise what went wrong with the store."""
        for task in [task for task in self._tasks if task.done()]:
            del self._tasks[task]
            if not task.cancelled():
                task.result()

    async def _watch_stop(self) -> None:
        await self._stop.wait()
        self._store.be_patient(self._policy.stop_within)
        self._wake.set()

    async def _tidy(self) -> None:
        try:
            await self._engine.discard_leftovers()
        except StoreError:
            _log.warning("leftovers stay for now", exc_info=True)

    async def _wind_down(self) -> None:
        """Let paid calls come home for a moment, cancel every other step, and free the jobs."""
        try:
            delicate = [task for task, step in self._tasks.items() if step.is_delicate]
            for task, step in self._tasks.items():
                step.end_soon()
                if task not in delicate:
                    task.cancel()
            if delicate:
                await asyncio.wait(delicate, timeout=self._policy.grace)
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=self._policy.stop_within)
        finally:
            for step in self._tasks.values():
                await step.release()


def _why_left(work_for: Callable[[Job], Work], job: Job) -> str:
    """Say what a machine lacks for all jobs of an account: their provider, or any account there; empty for nothing."""
    try:
        own = work_for(job).account(job)
    except StembridgeError as error:
        return str(error)
    # What tells accounts of a service apart follows its name.
    return f"no account of {own} is set up here" if job.account.startswith(f"{own}:") else ""


class JobSet:
    """Ids of jobs, which may change while a run works on them."""

    def __init__(self) -> None:
        self._ids: frozenset[str] = frozenset()
        self.on_change: Callable[[], None] = lambda: None
        """Called when an id was added; the run that works on the set puts it here."""

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
            if account not in self._asking and self._is_old(account):
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
        if self._is_old(job.account):
            await self.ask(job)
        return {job.account: self._known[job.account]}

    def _is_old(self, account: str) -> bool:
        left = self._until.get(account, 0.0) - self._clock()
        # A clock that was put back makes no answer young.
        return not 0.0 < left <= max(self._policy.slots_for, _ASK_AGAIN_AFTER)

    def close(self) -> None:
        """Give up every question still out."""
        for task in list(self._asking.values()):
            task.cancel()
