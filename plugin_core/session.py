"""The front door of the core: settings, plugins, job store and engine put together.

A host opens one session, plans, adds and runs jobs through it, and closes it; several sessions in several processes
share one store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from plugin_core.model import Job, Operation, Plan, Separation, Source, Tagging
from plugin_core.plugins import Plugins, load_plugins
from plugin_core.purchases.purchase import Offer
from plugin_core.registry import Registry
from plugin_core.settings import Settings
from plugin_core.stores import STORE_NAME as STORE_NAME
from plugin_core.stores import has_store, open_shelf, open_store
from plugin_core.tasks import run_stoppable
from plugin_core.wishes import STEMS
from plugin_core.workshop import OnChange, OnWorry, Workshop

if TYPE_CHECKING:
    import asyncio

    from plugin_core.jobs.engine import JobSet
    from plugin_core.jobs.store import JobStore
    from plugin_core.operations.factory import WorkFactory
    from plugin_core.operations.history import History
    from plugin_core.operations.memory import FileMemory
    from plugin_core.operations.orders import Links
    from plugin_core.operations.projects import Projects
    from plugin_core.operations.song import Slices
    from plugin_core.operations.undo import Undone
    from plugin_core.protocols import Provider, Separator
    from plugin_core.purchases.shelf import Shelf


class Session:
    """One process's hold on stembridge.

    Args:
        settings: where settings come from; default the user's own.
        plugins: providers and listeners; default every installed one.
        clock: seconds since the epoch.
        patience: seconds that a job store in use by another process is waited for; default half a minute.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        plugins: Plugins | None = None,
        *,
        clock: Callable[[], float] = time.time,
        patience: float | None = None,
    ) -> None:
        self.settings = settings or Settings()
        if plugins is not None:
            self.plugins = plugins
        self._clock = clock
        self._patience = patience

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what was opened."""
        for name in self.__dict__.keys() & {"store", "memory"}:
            getattr(self, name).close()

    @cached_property
    def store(self) -> JobStore:
        """The job store, opened (and made) on first use.

        Raises:
            StoreError: it cannot be opened.
        """
        return open_store(self.settings, self._clock, self._patience)

    @property
    def has_store(self) -> bool:
        """Whether there is a job store already."""
        return "store" in self.__dict__ or has_store(self.settings)

    @cached_property
    def memory(self) -> FileMemory:
        """What is remembered of files, once there is a job store."""
        from plugin_core.operations.memory import FileMemory

        return FileMemory(self.settings.home, lambda: self.has_store, self._clock)

    @cached_property
    def plugins(self) -> Plugins:
        return load_plugins(environ=self.settings.environ)

    @cached_property
    def registry(self) -> Registry:
        return Registry(self.settings, self.plugins)

    def reread(self) -> None:
        """Let settings and secrets that were changed count from the next step of each job on.

        Raises:
            SettingsError: the settings file cannot be read; then nothing changes.
        """
        if self.settings.reread():
            self.registry.register_anew()

    @property
    def providers(self) -> Mapping[str, Provider]:
        """Every separator and tagger, by name; of two with one name the separator."""
        return self.registry.all

    def separator(self, name: str) -> Separator:
        return self.registry.separator(name)

    def inspect(self, path: Path) -> Source:
        """Read what a file is: format, length and content hash. Blocks for as long as reading the file takes.

        Raises:
            SourceError: it is not an audio file.
        """
        return self.memory.look(path)

    async def look(self, path: Path) -> Source:
        """Do what ``inspect`` does beside the event loop; reading ends soon after its task is cancelled."""
        return await run_stoppable(lambda stopper: self.memory.look(path, stopper.check))

    async def plan(self, source: Source, operation: Operation, *, may_refuse: bool = True) -> Plan:
        """Check an operation and fill in its defaults; nothing is stored, sent or spent.

        Raises:
            StembridgeError: the operation cannot be done to this source, or where the plan may refuse it, not now.
            PluginError: the provider raised something it may not.
        """
        from plugin_core.operations.plans import make_plan

        wish = self.projects.fill(operation) if isinstance(operation, Separation) else operation
        plan = await make_plan(source, wish, self.registry, self._links, self._work_factory.replace_options)
        if may_refuse and plan.refusal is not None:
            raise plan.refusal
        return plan

    async def offer(self, source: Source, operation: Operation, *, force: bool = False) -> Offer:
        """Plan an operation, and find out what of it stands or is bought already; nothing is stored, sent or spent.

        Args:
            source: the song.
            operation: what is wanted.
            force: whether it shall be made and bought again.

        Raises:
            StembridgeError: the operation cannot be done to this source.
            PluginError: the provider raised something it may not.
            StoreError: the job store cannot be read.
        """
        plan = await self.plan(source, operation, may_refuse=force)
        offer = Offer(source=source, plan=plan, remote=self.registry.provider_of(plan.operation).remote, force=force)
        if force:
            return offer
        # A look must not make a store where there is none.
        offer = await (self.history.compare(offer) if self.has_store else self.history.look_beside(offer))
        if offer.standing is None and (written := await self.history.filled(source, plan)) is not None:
            return self.history.as_filled(offer, written)
        if plan.refusal is not None and offer.standing is None and not (self.has_store and await self.is_had(offer)):
            raise plan.refusal
        return offer

    async def is_had(self, offer: Offer) -> bool:
        """Tell whether nothing more would be bought for an offer: its results stand, or it is bought or under way."""
        return offer.standing is not None or offer.is_bought or await self.history.is_under_way(offer)

    async def bytes_needed(self, source: Source, plan: Plan) -> int:
        """Return how much must be free where a plan's results go, or its job will be refused; 0 for a tagging.

        Raises:
            StembridgeError: the provider cannot say what its model gives.
        """
        from plugin_core.operations.plans import bytes_needed

        wish = plan.operation
        return 0 if isinstance(wish, Tagging) else await bytes_needed(source, wish, self.separator(wish.provider))

    async def add(
        self,
        source: Source,
        plan: Plan,
        *,
        host: str = "cli",
        preset: str = "",
        force: bool = False,
        may_buy: bool = False,
    ) -> tuple[Job, bool]:
        """Store a job, unless an equal one exists.

        Args:
            source: the song.
            plan: what is done to it.
            host: who asks for it.
            preset: by which preset, if any.
            force: whether it shall be made and bought again whatever there is.
            may_buy: the user's word that it may be bought again where it was bought before and its results are gone.

        Returns:
            The job and whether it was made now. An equal job that is under way is joined, also one whose song lay
            elsewhere and is gone from there; one that failed or is unconfirmed goes on from what it bought; and a done
            one whose stems still stand beside this source, or whose labels still stand in it, is reused. Stems that a
            service made for another job store and that stand there, as their tags tell, count as done.
        """
        return await self.history.add(
            source, plan, host=host, preset=preset, force=force, may_buy=may_buy, clock=self.store.clock
        )

    async def run(
        self,
        ids: Collection[str] | None = None,
        *,
        on_change: OnChange | None = None,
        on_worry: OnWorry | None = None,
        stop: asyncio.Event | None = None,
    ) -> list[Job]:
        """Work until the jobs are settled (default: every active job) or ``stop`` is set; return them as they are.

        Args:
            ids: the jobs.
            on_change: hears of every change, with the job before it, and of each job's end once: with no job before
                it where another process brought it about.
            on_worry: hears, in a line, that nobody works on them; default the log.
            stop: ends the work at the next safe point.

        Raises:
            UsageError: the provider of a job named in ``ids`` is not installed.
        """
        return await self.workshop.run(ids, on_change=on_change, on_worry=on_worry, stop=stop)

    async def serve(self, jobs: JobSet, *, on_change: OnChange | None = None, stop: asyncio.Event) -> None:
        """Work on a set of jobs, which may come and go, until ``stop`` is set."""
        await self.workshop.serve(jobs, on_change=on_change, stop=stop)

    async def cancel(self, job_id: str, *, on_change: OnChange | None = None) -> Job:
        """Cancel a job, at its service first.

        Raises:
            UsageError: there is no such job, or its provider is not installed.
        """
        job = self.store.get(job_id)
        self.registry.provider_of(job.operation)
        self.store.request_cancel(job.id)
        (ended,) = await self.run([job.id], on_change=on_change)
        return ended

    def retry(self, job_id: str, *, force: bool = False) -> Job:
        """Let a failed, cancelled or unconfirmed job go on from what it has.

        With ``force``, the user's word, what was bought before and is to be had no more may be bought again.

        Raises:
            UsageError: there is no such job, or it is not one of these.
        """
        return self.store.retry(job_id, force=force)

    def resume(self, job_id: str) -> Job:
        """Let a job that is not finished go on now; an unconfirmed one is looked for, and never bought again.

        Raises:
            UsageError: there is no such job.
        """
        return self.store.resume(job_id)

    def moved(self, old: Path, new: Path) -> int:
        """Let jobs follow a song, a stem, or a folder of either that a host has moved; return how many did.

        Blocks while each song of an active job is read that came from another disk. No job store is made for it.
        """
        if not self.has_store:
            return 0
        from plugin_core.operations.song import follow_move

        return follow_move(self.store, old, new, self.projects.renew)

    def carry(self, moves: Sequence[tuple[Path, Path]]) -> None:
        """Let session files that a host has copied, or moved with their stems, name what lies beside them now."""
        if self.has_store:
            self.projects.carry(self.store, moves)

    async def take_over(self, remote_id: str, song: Path | None, wish: Separation) -> Job:
        """Store a job that places what a service has made already; nothing is bought.

        Args:
            remote_id: the service's id of it, or that of a purchase.
            song: what was separated; None for that of a purchase.
            wish: the provider, and the form of the stems.

        Raises:
            UsageError: nothing of this id is known and no song is named, or the provider cannot take jobs over.
            StembridgeError: the song cannot be read, or the service's own.
        """
        from plugin_core.operations.takeover import TakeOver

        separator = self.separator(wish.provider)
        return await TakeOver(self.store, self.look, self.store.clock).take(remote_id, song, wish, separator)

    def prune(self, older_than: float) -> int:
        """Forget jobs that were done, failed or cancelled more than ``older_than`` seconds ago; return how many.

        Results that such a job kept for a retry go, what is remembered of files for as long, and what kills left.
        """
        from plugin_core.operations.leftovers import prune
        from plugin_core.purchases.shelf import PurchasesSettings

        engine, known, home = self.workshop.engine(None), self.registry.all.values(), self.settings.home
        keep, now = self.settings.section("purchases", PurchasesSettings), self.store.clock()
        self.memory.forget(now - older_than)
        return prune(self.store, engine, home, self._shelf, keep, known, older_than=older_than, now=now)

    def leftovers(self) -> list[Path]:
        """Return what lies in the home and beside songs for nobody, and ``prune`` would remove."""
        from plugin_core.operations.leftovers import find_leftovers

        home, known = self.settings.home, self.registry.all.values()
        return find_leftovers(self.store, home, self._shelf.home, known, now=self.store.clock())

    def is_song_of(self, job: Job, path: Path) -> bool:
        """Tell whether the song of a job lies at a path, whatever its tags are by now. Blocks while it is read.

        Raises:
            TransientError: the disk or share does not answer.
        """
        return self._work_factory.is_song_of(job, path)

    @cached_property
    def slices(self) -> Slices:
        """The parts of songs that hosts cut out to have them separated by themselves."""
        from plugin_core.operations.song import Slices

        return Slices(lambda: self.store, self._shelf.home)

    @cached_property
    def history(self) -> History:
        from plugin_core.operations.history import History

        return History(self.registry, lambda: self.store, self._shelf, self.projects, self.memory)

    @cached_property
    def _shelf(self) -> Shelf:
        return open_shelf(self.settings)

    @cached_property
    def projects(self) -> Projects:
        from plugin_core.files.hidden import HiddenNotes
        from plugin_core.operations.projects import Projects

        formats, keys = lambda: self.registry.session_formats, lambda: self.settings.section("stems", STEMS)
        return Projects(formats, keys, HiddenNotes(self.settings.home))

    @cached_property
    def _links(self) -> Links:
        from plugin_core.operations.orders import Links

        return Links(lambda: self.registry.stagers)

    @cached_property
    def _work_factory(self) -> WorkFactory:
        from plugin_core.operations.factory import WorkFactory

        return WorkFactory(self.settings, self._shelf, self.registry, self._links, self.projects, lambda: self.store)

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
        from plugin_core.files.database import new_id
        from plugin_core.files.hidden import HiddenNotes
        from plugin_core.operations.undo import undo

        options, notes = self._work_factory.replace_options(), HiddenNotes(self.settings.home)
        mark = f"undo-{new_id(self._clock)}"
        return undo(path, self.store, options, mark=mark, notes=notes, force=force, dry_run=dry_run)

    @cached_property
    def workshop(self) -> Workshop:
        return Workshop(self.settings, self.plugins, self.registry, self.store, self._work_factory, self.store.clock)
