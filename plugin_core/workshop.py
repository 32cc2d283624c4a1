"""Who works on the jobs of a session: lets the engine go, or looks on; tells whoever hears of jobs, and tidies up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Final

from plugin_core.errors import StoreError
from plugin_core.model import Job, JobState, Tagging
from plugin_core.plugins import Plugins
from plugin_core.registry import Registry
from plugin_core.settings import Settings
from plugin_core.tasks import run_stoppable, start, start_alone

if TYPE_CHECKING:
    from plugin_core.jobs.engine import Engine, JobSet
    from plugin_core.jobs.policy import Reach
    from plugin_core.jobs.store import JobStore
    from plugin_core.operations.factory import WorkFactory
    from plugin_core.purchases.ledger import Limits


OnChange = Callable[[Job, Job | None], None]
"""Hears of a job as it is and as it was before."""

OnWorry = Callable[[str], None]
"""Hears, in a line, what keeps all jobs of a run waiting."""

_TIDY_EVERY = 3600.0
"""Seconds between two looks at what is kept of purchases, for a process that runs for days."""

_LOOK_EVERY: Final = 0.5
_AT_ONCE: Final = 200
"""Jobs that are asked for in one go, so that nobody waits for long."""
_SAID_AFTER: Final = 20.0
"""Seconds in which nobody touched any of the jobs that are due, which are worth a word."""

log = logging.getLogger(__name__)


class Workshop:
    """Works on jobs of one store, as ``Session.run`` and ``Session.serve`` say.

    Args:
        settings: limits of spending, and how long purchases are kept.
        plugins: hear of every change.
        registry: who does the work.
        store: the jobs.
        works: makes what does the effects of a job's operation.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        settings: Settings,
        plugins: Plugins,
        registry: Registry,
        store: JobStore,
        works: WorkFactory,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._plugins = plugins
        self._registry = registry
        self._store = store
        self._works = works
        self._clock = clock

    async def run(
        self,
        ids: Collection[str] | None,
        *,
        on_change: OnChange | None = None,
        on_worry: OnWorry | None = None,
        stop: asyncio.Event | None = None,
    ) -> list[Job]:
        from plugin_core.purchases.shelf import PurchasesSettings

        # What is wrong in the settings is said before the work, not after it.
        self._settings.section("purchases", PurchasesSettings)
        wanted = self._workable_ids() if ids is None else list(ids)
        for job_id in wanted:
            self._registry.provider_of(self._store.get(job_id).operation)
        ends = Ends(on_change)
        if self._store.paths.is_shared:
            onlooker = Onlooker(self._store, ends.hear, on_worry)
            await onlooker.run(lambda: wanted, stop or asyncio.Event(), is_endless=False)
        else:
            await self.engine(ends.hear).run(wanted, stop=stop)
            await self._tidy_shelf()
        jobs = [self._store.get(job_id) for job_id in wanted]
        ends.tell_rest(jobs)
        return jobs

    async def serve(self, jobs: JobSet, *, on_change: OnChange | None = None, stop: asyncio.Event) -> None:
        if self._store.paths.is_shared:
            await Onlooker(self._store, on_change or _ignore).run(lambda: jobs.ids, stop, is_endless=True)
        else:
            await self._serve(self.engine(on_change), jobs, stop)

    async def work(
        self, reach: Reach, concurrency: int, *, on_change: OnChange | None = None, stop: asyncio.Event
    ) -> None:
        """Work on whatever job of the store is within reach, until ``stop`` is set.

        Raises:
            TransientError: the bucket that machines share cannot be used.
        """
        if (depot := self._works.shelf.depot) is not None:
            await asyncio.to_thread(depot.check)
        paths = self._store.paths
        seen = reach._replace(names=paths.names if paths.is_shared else None)
        await self._serve(self.engine(on_change, seen, concurrency), None, stop)

    async def _serve(self, engine: Engine, jobs: JobSet | None, stop: asyncio.Event) -> None:
        tidier = start_alone(self._keep_tidy(), "tidying up")
        try:
            await engine.serve(jobs, stop=stop)
        finally:
            tidier.cancel()

    def engine(self, on_change: OnChange | None, reach: Reach | None = None, concurrency: int = 32) -> Engine:
        """Return an engine that tells a host and the plugins of what it does."""
        from plugin_core.jobs.engine import Engine
        from plugin_core.jobs.policy import Reach
        from plugin_core.purchases.ledger import Spending

        heard = Announcer(self._plugins, on_change).tell
        spending = Spending(self._limits, self._clock)
        return Engine(
            self._store,
            self._works.work_for,
            heard,
            clock=self._clock,
            concurrency=concurrency,
            guard=spending.check,
            reach=reach or Reach(),
        )

    async def _keep_tidy(self) -> None:
        while True:
            try:
                await self._tidy_shelf()
            except StoreError as error:
                log.info("what is kept of purchases stays for now: %s", error)
            await asyncio.sleep(_TIDY_EVERY)

    async def _tidy_shelf(self) -> None:
        """Let go of what is kept of purchases for too long, or of too much."""
        from plugin_core.purchases.shelf import PurchasesSettings

        keep = self._settings.section("purchases", PurchasesSettings)
        shelf, ledger = self._works.shelf, self._store.purchases
        await run_stoppable(lambda _stopper: shelf.tidy(ledger, keep, self._clock))

    def _limits(self, provider: str) -> Limits:
        from plugin_core.purchases.ledger import Limits

        return self._settings.section(f"spend.{provider}", Limits)

    def _workable_ids(self) -> list[str]:
        jobs = self._store.list(states=[state for state in JobState if state.is_active])
        present = [job for job in jobs if job.operation.provider in self._registry.of_kind(job.operation)]
        absent = {job.operation.provider for job in jobs} - {job.operation.provider for job in present}
        if absent:
            log.warning("jobs of %s wait: not installed", ", ".join(sorted(absent)))
        return [job.id for job in present]


def _ignore(_job: Job, _previous: Job | None) -> None:
    """Nobody listens."""


class Announcer:
    """Tells of every change that this process makes.

    Args:
        plugins: hear of it.
        on_change: hears of it first.
    """

    def __init__(self, plugins: Plugins, on_change: OnChange | None) -> None:
        self._plugins = plugins
        self._on_change = on_change

    def tell(self, job: Job, previous: Job | None) -> None:
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
        self._told[job.id] = job.state
        if self._on_change is not None:
            self._on_change(job, previous)

    def tell_rest(self, jobs: Iterable[Job]) -> None:
        """Tell of the ends that other processes brought about; their plugins have heard of them."""
        from plugin_core.jobs.claim import tell

        for job in jobs:
            if job.state.is_settled and self._told.get(job.id) is not job.state:
                tell(self.hear, job, None)


class Onlooker:
    """Follows jobs of a store; their plugins hear of them where they are worked on.

    Args:
        store: where workers work on them.
        changed: hears of every change that is seen, with the job as it was seen before.
        worried: hears that nobody seems to work on them; default the log.
    """

    def __init__(self, store: JobStore, changed: OnChange, worried: OnWorry | None = None) -> None:
        self._store = store
        self._changed = changed
        self._worried = worried or log.warning
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
        from plugin_core.jobs.claim import tell

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
            self._worried(
                "no worker has touched these jobs yet: `stembridge worker` runs one, where song and account are at hand"
            )


async def _wait(stop: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stop.wait(), _LOOK_EVERY)
    except TimeoutError:
        return
