"""The front door of the core: settings, plugins, job store and engine put together.

A host opens one session, plans, adds and runs jobs through it, and closes it; several sessions in several processes
share one store.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from plugin_core.errors import blame
from plugin_core.model import Job, JobState, Operation, Plan, Source, Tagging
from plugin_core.plugins import Plugins, load_plugins
from plugin_core.registry import Registry
from plugin_core.settings import Settings

if TYPE_CHECKING:
    import asyncio

    from plugin_core.jobs.engine import Engine
    from plugin_core.jobs.roster import Roster
    from plugin_core.jobs.store import JobStore
    from plugin_core.jobs.work import Work
    from plugin_core.operations.factory import WorkFactory
    from plugin_core.operations.history import History
    from plugin_core.operations.links import Links
    from plugin_core.operations.undo import Undone
    from plugin_core.protocols import Provider, Separator, Stager, Tagger

OnChange = Callable[[Job, Job | None], None]
STORE_NAME = "jobs.sqlite3"

log = logging.getLogger(__name__)


class Session:
    """One process's hold on stembridge.

    Args:
        settings: where settings come from; default the user's own.
        plugins: providers and listeners; default every installed one.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        plugins: Plugins | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings or Settings()
        self.plugins = plugins or load_plugins(environ=self.settings.environ)
        self._clock = clock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the job store back; a session that opened none does nothing."""
        if "store" in self.__dict__:
            self.store.close()

    @cached_property
    def store(self) -> JobStore:
        """The job store, opened (and made) on first use.

        Raises:
            StoreError: it cannot be opened.
        """
        from plugin_core.jobs.settings import JobsSettings
        from plugin_core.jobs.store import JobStore

        lease = self.settings.section("jobs", JobsSettings).lease_seconds
        return JobStore(self.settings.home / STORE_NAME, clock=self._clock, lease=lease)

    @cached_property
    def registry(self) -> Registry:
        """What plugins offer: separators, taggers, stagers."""
        return Registry(self.settings, self.plugins)

    @property
    def separators(self) -> Mapping[str, Separator]:
        """Every separator that plugins register, by name."""
        return self.registry.separators

    @property
    def taggers(self) -> Mapping[str, Tagger]:
        """Every tagger that plugins register, by name."""
        return self.registry.taggers

    @property
    def stagers(self) -> Mapping[str, Stager]:
        """Every stager that plugins register, by name."""
        return self.registry.stagers

    @property
    def providers(self) -> Mapping[str, Provider]:
        """Every separator and tagger, by name; of two with one name the separator."""
        return self.registry.all

    def provider(self, name: str) -> Provider:
        """Return one provider of either kind.

        Raises:
            UsageError: no plugin registers this name.
            StembridgeError: the plugin of this name failed; its own words.
        """
        return self.registry.provider(name)

    def separator(self, name: str) -> Separator:
        """Return one separator.

        Raises:
            UsageError: no plugin registers this name.
            StembridgeError: the plugin of this name failed; its own words.
        """
        return self.registry.separator(name)

    def tagger(self, name: str = "") -> Tagger:
        """Return one tagger; without a name that of ``[tags] provider``, or the only one there is.

        Raises:
            UsageError: no plugin registers this name, or none is named and there is not just one.
            StembridgeError: the plugin of this name failed; its own words.
        """
        return self.registry.tagger(name)

    def inspect(self, path: Path) -> Source:
        """Read what a file is: format, length and content hash. Blocks for as long as reading the file takes.

        Raises:
            SourceError: it is not an audio file.
        """
        from plugin_core.operations.inspect import inspect

        return inspect(path)

    async def look(self, path: Path) -> Source:
        """Do what ``inspect`` does beside the event loop; reading ends soon after its task is cancelled.

        Raises:
            SourceError: it is not an audio file.
        """
        from plugin_core.operations.inspect import inspect
        from plugin_core.threads import run_stoppable

        return await run_stoppable(lambda stopper: inspect(path, check=stopper.check))

    async def plan(self, source: Source, operation: Operation) -> Plan:
        """Check an operation and fill in its defaults; nothing is stored, sent or spent.

        Raises:
            StembridgeError: the operation cannot be done to this source.
            PluginError: the provider raised something it may not.
        """
        from plugin_core.audio.probe import check_separable
        from plugin_core.operations.planning import check_plan

        if isinstance(operation, Tagging):
            return await self._plan_tagging(source, operation)
        check_separable(source.path, source)
        separator = self.separator(operation.provider)
        self._links.check(separator)
        with blame(operation.provider):
            plan = await separator.plan(source, operation)
        return check_plan(plan, source)

    async def _plan_tagging(self, source: Source, wish: Tagging) -> Plan:
        import asyncio

        from plugin_core.operations.planning import check_plan
        from plugin_core.tags.rules import check_rules
        from plugin_core.tags.tagger import check_taggable

        check_rules(wish)
        tagger = self.tagger(wish.provider)
        self._links.stager_for(tagger)
        if wish.write:
            await asyncio.to_thread(check_taggable, source.path, self._work_factory.replace_options())
        with blame(tagger.name):
            plan = await tagger.plan(source, msgspec.structs.replace(wish, provider=tagger.name))
        return check_plan(plan, source)

    async def add(
        self, source: Source, plan: Plan, *, host: str = "cli", preset: str = "", force: bool = False
    ) -> tuple[Job, bool]:
        """Store a job, unless an equal one exists.

        Returns:
            The job and whether it was made now. An equal job that is active or unconfirmed is joined, and a done one
            whose stems still stand beside this source, or whose labels still stand in it, is reused, except under
            ``force``.
        """
        job = self._new_job(source, plan, host, preset, force)
        if not force and (done := await self.standing(source, plan)) is not None:
            return done, False
        return self.store.add(job, occupies=self.registry.provider_of(job.operation).remote)

    async def standing(self, source: Source, plan: Plan) -> Job | None:
        """Return the finished job whose untouched stems or labels already stand where this plan's would go."""
        return await self._history.standing(source, plan)

    def price_again(self, source: Source, plan: Plan) -> Plan:
        """Return the plan without its price where what it buys is bought already: labels of a tagging before."""
        return self._history.price_again(source, plan)

    async def run(
        self,
        ids: Collection[str] | None = None,
        *,
        on_change: OnChange | None = None,
        stop: asyncio.Event | None = None,
    ) -> list[Job]:
        """Work until the jobs are settled (default: every active job) or ``stop`` is set; return them as they are.

        Raises:
            UsageError: the provider of a job named in ``ids`` is not installed.
        """
        wanted = self._workable_ids() if ids is None else list(ids)
        for job_id in wanted:
            self.registry.provider_of(self.store.get(job_id).operation)
        await self._engine(on_change).run(wanted, stop=stop)
        return [self.store.get(job_id) for job_id in wanted]

    async def serve(self, roster: Roster, *, on_change: OnChange | None = None, stop: asyncio.Event) -> None:
        """Work on the jobs of a roster, which may come and go, until ``stop`` is set."""
        await self._engine(on_change).serve(roster, stop=stop)

    async def cancel(self, job_id: str, *, on_change: OnChange | None = None) -> Job:
        """Cancel a job, at its service first.

        Raises:
            UsageError: there is no such job, or its provider is not installed.
        """
        job = self.store.get(job_id)
        self.registry.provider_of(job.operation)
        self.store.request_cancel(job.id)
        await self._engine(on_change).run([job.id])
        return self.store.get(job.id)

    def retry(self, job_id: str) -> Job:
        """Queue a failed, cancelled or unconfirmed job anew: the user's word that it may be paid for again.

        Raises:
            UsageError: there is no such job, or it is not one of these.
        """
        job = self.store.get(job_id)
        self.store.retry(job.id)
        return self.store.get(job.id)

    def prune(self, older_than: float) -> int:
        """Forget jobs that were done, failed or cancelled more than ``older_than`` seconds ago; return how many.

        Results that such a job kept for a retry go, and staging that a crash left behind and no job needs.
        """
        from plugin_core.operations.pruning import prune

        engine, home = self._engine(None), self.settings.home
        return prune(self.store, engine, home, older_than=older_than, now=self._clock())

    def is_version_of(self, source: Source, content: str) -> bool:
        """Tell whether a file of this SHA-256 is a source: as it was queued, or as our own taggings left it."""
        return content == source.content or self._work_factory.is_retagged(source, content)

    def work_for(self, job: Job) -> Work:
        """Return what does the effects of a job's operation."""
        return self._work_factory.work_for(job)

    @cached_property
    def _history(self) -> History:
        from plugin_core.operations.history import History

        return History(self.registry, lambda: self.store)

    @cached_property
    def _links(self) -> Links:
        from plugin_core.operations.links import Links

        return Links(lambda: self.stagers)

    @cached_property
    def _work_factory(self) -> WorkFactory:
        from plugin_core.operations.factory import WorkFactory

        return WorkFactory(self.settings, self.registry, self._links, lambda: self.store)

    def undo(self, path: Path, *, force: bool = False, dry_run: bool = False) -> Undone:
        """Put back what stood in a song's tags before it was labelled last. Blocks while the song is written.

        Args:
            path: the song, wherever it has been moved to.
            force: whether fields that were changed since are put back as well.
            dry_run: whether to only say what would be done.

        Raises:
            SourceError: nothing is known of labels in this file, or it cannot be read.
            UsageError: the labels were changed since, and ``force`` is not set.
            PlacementError: the file may not be replaced.
            TransientError: the disk is full or gone, or the file is being written.
        """
        from plugin_core.jobs.ids import new_id
        from plugin_core.operations.undo import undo

        mark = f"undo-{new_id(self._clock)}"
        return undo(path, self.store, self._work_factory.replace_options(), mark=mark, force=force, dry_run=dry_run)

    def _engine(self, on_change: OnChange | None) -> Engine:
        from plugin_core.jobs.engine import Engine

        def changed(job: Job, previous: Job | None) -> None:
            if on_change is not None:
                on_change(job, previous)
            self.plugins.notify("job_changed", job=job, previous=previous)
            if job.state is JobState.DONE and (previous is None or previous.state is not JobState.DONE):
                if not isinstance(job.operation, Tagging):
                    self.plugins.notify("stems_placed", job=job)
                elif job.operation.write:
                    self.plugins.notify("tags_written", job=job)

        return Engine(self.store, self.work_for, changed, clock=self._clock)

    def _workable_ids(self) -> list[str]:
        jobs = self.store.list(states=[state for state in JobState if state.is_active])
        present = [job for job in jobs if job.operation.provider in self.registry.of_kind(job.operation)]
        absent = {job.operation.provider for job in jobs} - {job.operation.provider for job in present}
        if absent:
            log.warning("jobs of %s wait: not installed", ", ".join(sorted(absent)))
        return [job.id for job in present]

    def _new_job(self, source: Source, plan: Plan, host: str, preset: str, force: bool) -> Job:
        from plugin_core.jobs.dedupe import forced_key
        from plugin_core.jobs.ids import new_id

        now = self._clock()
        job_id = new_id(self._clock)
        key = self._history.key(source, plan)
        return Job(
            id=job_id,
            state=JobState.QUEUED,
            operation=plan.operation,
            source=source,
            account=self._history.account(plan.operation),
            dedupe=forced_key(key) if force else key,
            host=host,
            preset=preset,
            created=now,
            updated=now,
            notes=plan.notes,
        )
