"""Separations as the engine drives them: what is common to every separator, before and after its own part."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from plugin_core.audio.overload import OPEN_ENDED
from plugin_core.errors import PlacementError
from plugin_core.files.disk import named
from plugin_core.jobs.keys import is_same_place
from plugin_core.jobs.work import Staged
from plugin_core.model import Job, Part, Progress, Stem, Ticket, show_path
from plugin_core.operations.orders import NO_LINKS, Folders, Links, Orders, ProviderWork, destination_of, wish_of
from plugin_core.operations.projects import Projects, file_names
from plugin_core.operations.song import Hear, hear_nothing
from plugin_core.operations.stem_tags import describe_provenance, make_tagger, read_fields
from plugin_core.protocols import Bucket, Report, Separator
from plugin_core.purchases.ledger import PurchaseLedger
from plugin_core.purchases.purchase import KeptPart, Purchase, notes_of_results
from plugin_core.purchases.shelf import Shelf
from plugin_core.stem_names import canonical, parts_of
from plugin_core.stems.layout import Template
from plugin_core.tasks import Stopper, run_stoppable

if TYPE_CHECKING:
    from plugin_core.stems.publication import Published

_log = logging.getLogger(__name__)

Earlier = Callable[[Job], Sequence[Job]]
"""Find the finished jobs of the same operation on the same content, whose untouched results may be swapped."""


def find_none(_job: Job) -> Sequence[Job]:
    """Know no earlier jobs: nothing is ever swapped."""
    return ()


class SeparationWork(ProviderWork):
    """The life of a separation over one separator.

    Args:
        separator: the provider.
        shelf: where results are kept, and in whose home they are worked on.
        projects: where stems go, and the session files beside them.
        earlier: finds earlier results that ``--force`` may swap.
        links: the stagers, for a separator that reads by link.
        hear: tells what files sound like.
        sound_of: returns the digest of a recording's sound, "" where only its bytes are known.
        purchases: what was bought, and what providers noted of it.
    """

    _folders: Folders

    def __init__(
        self,
        separator: Separator,
        *,
        shelf: Shelf,
        projects: Projects,
        earlier: Earlier = find_none,
        links: Links = NO_LINKS,
        hear: Hear = hear_nothing,
        sound_of: Callable[[str], str] = lambda _recording: "",
        purchases: PurchaseLedger | None = None,
    ) -> None:
        orders = Orders(separator, shelf.home, purchases)
        folders = Folders(shelf.home, orders, is_beside=shelf.depot is not None)
        super().__init__(separator, orders, folders, links=links, hear=hear)
        self._separator = separator
        self._purchases = purchases
        self._projects = projects
        self._earlier = earlier
        self._sound_of = sound_of
        self._shelf = shelf

    async def prepare(self, job: Job, attempt: str, report: Report) -> None:  # noqa: ARG002
        """Check source, template, level, destination and space, and make staging.

        A disk that is too full fails here, at once: nothing is spent yet, and only the user can choose another. One
        that fills up later passes, like every transient error.
        """
        from plugin_core.operations.plans import bytes_needed

        self._template(job)
        needed = await bytes_needed(job.source, wish_of(job), self._separator)

        def work(stopper: Stopper) -> None:
            self._song(job).require(stopper.check)
            # What a service is sent is looked at when that is known: it may have been bought before.
            if not self._separator.remote:
                _require_fit(job, stopper)
            self._folders.prepare(job, needed)

        await run_stoppable(work)

    async def reuse(self, job: Job, twins: Sequence[Job]) -> Staged | None:
        """Take the untouched stems of finished jobs: where they stand if that is their place, else copied.

        Those of another form (fewer, or in another format) are made of stems that hold as much.
        """
        return await run_stoppable(lambda stopper: self._reuse(job, twins, stopper))

    def _reuse(self, job: Job, twins: Sequence[Job], stopper: Stopper) -> Staged | None:
        from plugin_core.operations.reuse import derivable, is_copy
        from plugin_core.stems.layout import are_unmodified

        copies = [twin for twin in twins if is_copy(job, twin)]
        for twin in copies:
            if are_unmodified(twin.stems, stopper):
                return self._copy(job, twin, stopper)
        for twin in twins:
            parts = derivable(job, twin)
            if parts and are_unmodified(twin.stems, stopper):
                return self._treat(job, parts, stopper, lambda _: None)
        return None

    def _copy(self, job: Job, twin: Job, stopper: Stopper) -> Staged:
        from plugin_core.operations.reuse import copy_stems, layout_of, render_paths

        template, wish = self._template(job), wish_of(job)
        paths = render_paths(twin.stems, job.source.path, wish, template)
        layout = layout_of(self._folders.staging(job), template.depth, paths)
        is_in_place = layout.number_of(destination_of(job), [stem.path for stem in twin.stems]) is not None
        # Placed by another template of then, they count as made all the same.
        if is_in_place or (wish.projects and is_same_place(job, twin)):
            there = tuple(one for one in twin.projects if os.path.lexists(one.path))
            return Staged(stems=twin.stems, projects=there, notes=notes_of_results(twin))
        stems = copy_stems(twin.stems, layout, destination_of(job), stopper)
        self._leave_record(job, stems)
        return Staged(stems=stems, notes=notes_of_results(twin))

    def _leave_record(self, job: Job, stems: Sequence[Stem]) -> None:
        """Leave word of what has no tags of ours, so that a home which knows nothing of it buys nothing again."""
        from plugin_core.operations.reuse import leave_record
        from plugin_core.stems.layout import read_layout

        layout = read_layout(self._folders.staging(job), stems) if wish_of(job).as_is else None
        if layout is not None and layout.depth:
            leave_record(layout.root / layout.unit, describe_provenance(job, self._sound_of), stems)

    async def submit(self, job: Job, attempt: str, report: Report) -> Ticket:
        # What was bought before needs none.
        self._links.check(self._separator)
        if self._separator.remote and job.source.encoding in OPEN_ENDED:
            await run_stoppable(lambda stopper: _require_fit(job, stopper))
        url = await self._links.stage(self._separator, job)
        order = await self._order_with_folder(job, attempt)
        with named({order.folder: f"the upload of {_song_name(job)}"}):
            return await self._separator.submit(msgspec.structs.replace(order, url=url), report)

    def has_kept(self, job: Job, purchase: Purchase) -> bool:
        """Tell whether the parts of a purchase lie whole in its folder, and what the job wants is among them."""
        wish, kept = wish_of(job), {canonical(part.stem) for part in purchase.kept}
        wanted = parts_of(wish.stems, kept) | set(map(canonical, wish.minus))
        return wanted <= kept and self._shelf.holds(purchase)

    async def bring(self, job: Job, attempt: str, report: Report) -> tuple[KeptPart, ...]:
        parts = await self._fetch_parts(job, attempt, report)
        return await run_stoppable(lambda stopper: self._shelf.keep(job, parts, stopper.check))

    async def fetch(self, job: Job, attempt: str, report: Report, purchase: Purchase | None) -> Staged:
        kept = purchase if purchase is not None and self.has_kept(job, purchase) else None
        fetched = () if kept is not None else await self._fetch_parts(job, attempt, report)
        loop = asyncio.get_running_loop()

        def tell(share: float) -> None:
            loop.call_soon_threadsafe(report, Progress(fraction=share, note="writing stems"))

        def work(stopper: Stopper) -> Staged:
            parts = fetched if kept is None else self._shelf.bring(kept, self._purchases, stopper.check)
            return self._treat(job, parts, stopper, tell)

        return await run_stoppable(work)

    async def _fetch_parts(self, job: Job, attempt: str, report: Report) -> Sequence[Part]:
        order = msgspec.structs.replace(await self._order_with_folder(job, attempt), bucket=self._bucket())
        with named({order.folder: f"a result of {_song_name(job)}"}):
            return await self._separator.fetch(order, report)

    def _treat(self, job: Job, parts: Sequence[Part], stopper: Stopper, tell: Callable[[float], None]) -> Staged:
        from plugin_core.stems.treatment import Treatment, treat

        # A job that goes on after a failure may have lost its folder meanwhile.
        staging = self._folders.make(job)
        song = self._song(job)
        # To hand the other one in again would not help this job.
        song.require_no_other(stopper.check, may_be_gone=False)
        template, wish = self._template(job), wish_of(job)
        task = Treatment(
            source=job.source,
            parts=tuple(parts),
            wish=wish,
            template=template,
            staging=staging,
            provenance=describe_provenance(job, self._sound_of),
            tags=read_fields(job.source.path, template),
        )
        treated = treat(task, make_tagger(), stopper, tell)
        self._leave_record(job, treated.stems)
        return Staged(stems=treated.stems, notes=treated.notes)

    async def drop_fetched(self, job: Job) -> None:
        await asyncio.to_thread(self._shelf.empty, job.purchase)

    async def target(self, job: Job) -> Path:
        """Choose where the staged stems go; nothing is created."""

        def work(stopper: Stopper) -> Path:
            self._song(job).require_no_other(stopper.check)
            return self._choose(job)

        return await run_stoppable(work)

    def _choose(self, job: Job) -> Path:
        from plugin_core.stems.layout import read_layout
        from plugin_core.stems.publication import choose_target
        from plugin_core.stems.staging_folder import require_folder

        destination = destination_of(job)
        require_folder(destination)
        layout = read_layout(self._folders.staging(job), job.staged)
        if layout is None:
            # Reused where they stand.
            return job.staged[0].path.parent
        layout = layout.with_beside(file_names(job.source, wish_of(job)))
        return choose_target(layout, destination, self._earlier_stems(job), stems=job.staged)

    async def publish(self, job: Job, attempt: str) -> Published:  # noqa: ARG002
        """Rename the staged stems to the target, session files with them; done already counts as done."""
        # Renames are quick, and half of them is no place to stop: a cancelled task waits for them.
        return await run_stoppable(lambda _stopper: self._publish(job))

    def _publish(self, job: Job) -> Published:
        from plugin_core.stems.layout import read_layout
        from plugin_core.stems.publication import publish
        from plugin_core.stems.staging_folder import require_folder

        require_folder(destination_of(job))
        staging = self._folders.staging(job)
        layout = read_layout(staging, job.staged)
        if layout is None:
            return self._complete(job)
        if job.target is None:
            raise PlacementError("the job has no target to publish to", remedy="retry the job")
        destination, number = layout.locate(job.target)
        files, count = file_names(job.source, wish_of(job)), len(job.staged)
        places = layout.with_beside(files.values()).files_at(destination, number)
        wanted = dict(zip(files, places[count:], strict=True))
        companions, notes = self._projects.companions(job, wanted, places[:count])
        layout = layout.with_beside(one.file for one in companions)
        placed = publish(layout, job.staged, job.target, staging, self._earlier_stems(job), companions)
        return msgspec.structs.replace(placed, notes=(*notes, *placed.notes))

    def _complete(self, job: Job) -> Published:
        """Put what is missing of session files beside stems that stand."""
        from plugin_core.stems.publication import Published, complete

        places = self._projects.places(job.source, wish_of(job), job.staged)
        known = {one.name for one in job.projects}
        missing = {name: path for name, path in places.items() if name not in known}
        companions, notes = self._projects.companions(job, missing, [stem.path for stem in job.staged])
        placed = complete(job.staged, companions, [missing[one.name] for one in companions], self._folders.staging(job))
        return Published(stems=job.staged, projects=(*job.projects, *placed.projects), notes=(*notes, *placed.notes))

    async def discard(self, job: Job, *, release: bool = True) -> None:
        """Put back an earlier result that was set aside; remove staging and, if so, what is left at the provider."""
        # The last one named is done first, each whatever those before it raised.
        async with contextlib.AsyncExitStack() as steps:
            if self._purchases is not None and self._shelf.depot is not None:
                steps.push_async_callback(asyncio.to_thread, self._shelf.make_room, job.purchase, self._purchases)
            steps.push_async_callback(asyncio.to_thread, self._folders.remove, job)
            # Before staging goes, which holds what the provider noted of the job.
            if release:
                steps.push_async_callback(self._release, job)
            steps.push_async_callback(self._links.unstage, self._separator, job)

    async def _release(self, job: Job) -> None:
        await self._separator.release(msgspec.structs.replace(self._order(job, ""), bucket=self._bucket()))

    def _bucket(self) -> Bucket | None:
        return self._links.bucket_for(self._separator)

    def _template(self, job: Job) -> Template:
        return self._projects.template(wish_of(job))

    def _earlier_stems(self, job: Job) -> tuple[Stem, ...]:
        others = [one for one in self._earlier(job) if one.id != job.id]
        # A session of stems in another place is that of stems which stay.
        return tuple(
            stem for one in others for stem in (*one.stems, *(one.projects if is_same_place(job, one) else ()))
        )


def _require_fit(job: Job, stopper: Stopper) -> None:
    """Refuse a source that is louder than the format of the stems holds, unless its user says what to do about it."""
    from plugin_core.audio.formats import resolve_format
    from plugin_core.audio.overload import require_fit

    wish = wish_of(job)
    if wish.on_overload == "refuse" and not wish.as_is:
        require_fit(job.source, resolve_format(wish.format, job.source), stopper.check)


def _song_name(job: Job) -> str:
    return show_path(Path(job.source.path.name))
