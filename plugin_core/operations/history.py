"""What earlier jobs made and bought already, as a new plan sees it, so that nothing is made or bought twice."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from plugin_core.audio.source_file import look_at
from plugin_core.errors import SourceError, blame
from plugin_core.files.database import new_id
from plugin_core.jobs.keys import dedupe_key, is_same_wish, make_job, place_of
from plugin_core.model import Job, JobState, Operation, Plan, Separation, Source, Stem, Tagging, Written, show_path
from plugin_core.protocols import terms_of
from plugin_core.purchases.purchase import (
    STANDS,
    Bill,
    Offer,
    Purchase,
    PurchaseState,
    describe_bought,
    make_quote,
    purchase_key,
)
from plugin_core.purchases.shelf import Shelf
from plugin_core.registry import Registry
from plugin_core.tasks import run_stoppable

if TYPE_CHECKING:
    from plugin_core.jobs.store import JobStore
    from plugin_core.operations.memory import FileMemory
    from plugin_core.operations.projects import Projects


FILLED: Final = "every field that is wanted is filled already, so nothing was asked; --force asks all the same"
"""Note of a tagging that asked nobody."""
FOUND: Final = "stems of the same model stood beside the song already"
"""Note of a job that made nothing."""

_NO_BILL: Final = Bill(account="", recording="", key="", quote=None)
"""Where there is no job store."""


log = logging.getLogger(__name__)


class History:
    """The finished jobs and the purchases, as a new plan sees them.

    Args:
        registry: the providers.
        store: gives the job store.
        shelf: where results of purchases are kept.
        projects: where stems go, and the session files beside them.
        memory: what is known of files that lie as they lay.
    """

    def __init__(
        self, registry: Registry, store: Callable[[], JobStore], shelf: Shelf, projects: Projects, memory: FileMemory
    ) -> None:
        self._registry = registry
        self._store = store
        self._shelf = shelf
        self._projects = projects
        self._memory = memory

    async def bill(self, source: Source, plan: Plan) -> Bill:
        """Return what a job of this plan is found by; its recording is known from then on.

        Raises:
            SourceError: the file cannot be read, is being written, or is not the one that was looked at.
            TransientError: the disk or share does not answer.
        """
        book = self._store().recordings
        known = await run_stoppable(lambda stopper: book.enter(source.path, check=stopper.check))
        if known.sha256 != source.content:
            # Length and price are of the file that was there.
            raise SourceError(f"{show_path(source.path)} changed since it was looked at", remedy="run it again")
        return self._bill(source, plan, known.recording)

    def _bill(self, source: Source, plan: Plan, recording: str) -> Bill:
        provider = self._registry.provider_of(plan.operation)
        with blame(provider.name):
            account = provider.account()
        if not provider.remote:
            key = dedupe_key(recording, plan.operation, account)
            return Bill(account=account, recording=recording, key=key, quote=None)
        quote = make_quote(plan, source)
        key = purchase_key(plan.operation.provider, account, recording, quote)
        return Bill(account=account, recording=recording, key=key, quote=quote)

    async def hashes(self, source: Source) -> frozenset[str]:
        """Return the SHA-256 of every file in which the recording of a source was met, its own among them.

        Raises:
            SourceError: the file cannot be read, or is being written.
            TransientError: the disk or share does not answer.
        """
        book = self._store().recordings
        known = await run_stoppable(lambda stopper: book.find(source.path, check=stopper.check))
        return frozenset({source.content}) | (self._store().hashes_of(known.recording) if known else frozenset())

    async def filled(self, source: Source, plan: Plan) -> Written | None:
        """Return why a tagging would write nothing whatever its labels were; None where it may write something.

        Raises:
            SourceError: the file cannot be read, or its tags are broken.
        """
        wish = plan.operation
        if not isinstance(wish, Tagging) or not wish.write:
            return None
        from plugin_core.tags.labels import field_names, what_is_filled
        from plugin_core.tags.reader import read_labels

        existing = await asyncio.to_thread(read_labels, source.path, field_names(wish))
        left = what_is_filled(wish, existing)
        now = await asyncio.to_thread(look_at, source.path)
        if (now.inode, now.size, now.mtime_ns) != (source.inode, source.size, source.mtime_ns):
            # Another process labelled it meanwhile, and its job is the one to join.
            return None
        return Written(path=source.path, before=source.content, after=source.content, left=left) if left else None

    def as_filled(self, offer: Offer, written: Written) -> Offer:
        """Return the offer of a tagging that has nothing to write."""
        job = make_job(
            offer.source, offer.plan, bill=_NO_BILL, host="", preset="", force=False, may_buy=False, clock=time.time
        )
        return msgspec.structs.replace(offer, standing=describe_filled(job, written))

    async def compare(self, offer: Offer) -> Offer:
        """Return the offer with what stands or is bought of it; nothing is stored but where files were met.

        Raises:
            SettingsError: song or stems lie where no other machine could find them.
            SourceError: the file cannot be read, or is being written.
            StoreError: the job store cannot be read.
        """
        source, plan = offer.source, offer.plan
        for path in (source.path, getattr(plan.operation, "to", None)):
            if path is not None:
                self._store().paths.encode(path)
        book = self._store().recordings
        known = await run_stoppable(lambda stopper: book.find(source.path, check=stopper.check))
        bill = self._bill(source, plan, known.recording if known else "")
        standing = await self.standing(source, plan, bill) if known else None
        standing = standing or await self._look_beside(offer, bill)
        if standing is not None:
            return self._with_standing(offer, standing)
        purchase = self._purchase(plan, bill)
        if purchase is None:
            return offer
        told = describe_bought(purchase, is_expired=self._is_expired(purchase, plan.operation))
        plan = msgspec.structs.replace(plan, notes=(*plan.notes, told))
        return msgspec.structs.replace(offer, plan=plan, purchase=purchase)

    async def recall(self, offer: Offer, recording: str) -> Offer | None:
        """Return the offer of a song that holds this recording, if all that it wants stands; else None."""
        bill = self._bill(offer.source, offer.plan, recording)
        standing = await self.standing(offer.source, offer.plan, bill)
        found = offer if standing is None else self._with_standing(offer, standing)
        return found if found.standing is not None else None

    async def is_under_way(self, offer: Offer) -> bool:
        """Tell whether a job of the same wish for the same recording is active, wherever its results go.

        Raises:
            SourceError: the file cannot be read, or is being written.
            TransientError: the disk or share does not answer.
        """
        bill = await self.bill(offer.source, offer.plan)
        return self._store().is_under_way(bill.key)

    def _is_expired(self, purchase: Purchase, wish: Operation) -> bool:
        """Tell whether the service was done with a purchase too long ago to have its results, and we have none."""
        if purchase.state not in (PurchaseState.READY, PurchaseState.KEPT) or not purchase.ended or purchase.labels:
            return False
        keeps = terms_of(self._registry.provider_of(wish)).keeps_seconds
        is_old = keeps is not None and self._store().clock() - purchase.ended > keeps
        return is_old and not self._shelf.holds(purchase)

    async def standing(self, source: Source, plan: Plan, bill: Bill, like: Sequence[Job] | None = None) -> Job | None:
        """Return the finished job whose untouched stems or labels already stand where this plan's would go.

        Of several with stems the one that lacks none of the session files, if there is one; ``like`` are the finished
        jobs of the same key, where they were asked for just now.
        """
        from plugin_core.stems.layout import are_unmodified

        wish = plan.operation
        like = self._store().done_like(bill.key) if like is None else like
        done = [job for job in like if is_same_wish(job.operation, wish)]
        if isinstance(wish, Tagging):
            return self._labelled(source, wish, done)
        done = done or self._placed_for_others(source, wish, bill)
        place, found = place_of(source, wish), None
        for job in done:
            is_same = place_of(job.source, job.operation) == place
            if is_same and await run_stoppable(partial(are_unmodified, job.stems, hash_=self._memory.hash)):
                found = found or job
                if not self._projects.missing(job, wish):
                    return self._projects.describe(job, wish)
        return found

    def _placed_for_others(self, source: Source, wish: Separation, bill: Bill) -> list[Job]:
        """Return the jobs that placed the same with other keys: who renews them, or changes accounts, has it all."""
        folder = self._own_folder(source, wish) if bill.quote is not None else None
        if folder is None:
            return []
        ids = self._store().recordings_of(bill.recording)
        placed = [job for job in self._store().placed_at(folder) if job.state is JobState.DONE]
        return [job for job in placed if job.recording in ids and is_same_wish(job.operation, wish)]

    def _labelled(self, source: Source, wish: Tagging, done: list[Job]) -> Job | None:
        from plugin_core.tags.labels import covers

        if wish.write:
            done = [job for job in self._store().written_as(source.content) if job.operation == wish]
        else:
            done = [job for job in done if isinstance(job.operation, Tagging) and covers(job.operation, wish)]
        return next((job for job in done if not self._can_read_more(job)), None)

    def _can_read_more(self, job: Job) -> bool:
        """Tell whether this version understands labels in what was bought for a job that an earlier one did not."""
        from plugin_core.operations.song_tags import read_again

        purchase = self._store().purchases.find(job.purchase) if job.purchase else None
        labels, _ = read_again(self._registry.tagger(job.operation.provider), job, purchase)
        return len(labels) > len(job.labels)

    async def add(
        self,
        source: Source,
        plan: Plan,
        *,
        host: str,
        preset: str,
        force: bool,
        may_buy: bool,
        clock: Callable[[], float],
    ) -> tuple[Job, bool]:
        """Store a job, unless an equal one exists, as ``Session.add`` says."""
        bill = await self.bill(source, plan)
        job = make_job(source, plan, bill=bill, host=host, preset=preset, force=force, may_buy=may_buy, clock=clock)
        known: list[Job] | None = None
        done: Job | None = None
        # One that came to its end while this was looking is looked at as well.
        while not force and (ended := self._store().done_like(bill.key)) != known:
            known = ended
            done = await self._find_done(job, source, plan, bill, ended)
            if done is not None and not self._lacks(done, plan):
                return done, False
        if done is not None and done.id == job.id:
            # Stems that were found are stored as this one; the job that adds what is missing finds them by it.
            job = msgspec.structs.replace(job, id=new_id(clock))
        if bill.quote is not None:
            what = " ".join(filter(None, (plan.operation.provider, plan.title)))
            log.info("job %s: planned, %s with %s", job.id, show_path(source.path), what)
        return self._store().add(job, occupies=bill.quote is not None, is_gone=_is_gone)

    async def _find_done(self, job: Job, source: Source, plan: Plan, bill: Bill, ended: Sequence[Job]) -> Job | None:
        """Return the finished job that makes a new one needless, if there is one."""
        if (done := await self.standing(source, plan, bill, ended)) is not None:
            return done
        is_new = not self._store().is_under_way(bill.key)
        if is_new and (written := await self.filled(source, plan)) is not None:
            return self._keep_found(describe_filled(job, written))
        stems = await self.recognise(source, plan, bill)
        return self._keep_found(describe_found(job, stems)) if stems else None

    def _lacks(self, job: Job, plan: Plan) -> list[str]:
        """Return the session files that a plan wants and a job whose stems stand has not."""
        wish = plan.operation
        return self._projects.missing(job, wish) if isinstance(wish, Separation) else []

    def _with_standing(self, offer: Offer, job: Job) -> Offer:
        """Return the offer with the job whose results stand; without a price where session files are to be added."""
        missing = self._lacks(job, offer.plan)
        if not missing:
            return msgspec.structs.replace(offer, standing=job)
        told = f"{STANDS}{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} added"
        plan = msgspec.structs.replace(offer.plan, credits=0.0, seconds=0.0, notes=(*offer.plan.notes, told))
        return msgspec.structs.replace(offer, plan=plan)

    def _keep_found(self, job: Job) -> Job:
        """Store a job whose stems were found, so that they serve others of the same recording as well."""
        kept, _ = self._store().add(job, is_gone=_is_gone)
        if kept is job:
            self._store().clean(job.id)
            log.info("job %s: its stems stand beside %s already", job.id, show_path(job.source.path))
        return kept

    async def look_beside(self, offer: Offer) -> Offer:
        """Return the offer with stems that ``recognise`` finds; nothing is stored.

        Raises:
            SourceError: the song cannot be read.
            TransientError: the disk or share does not answer.
        """
        job = await self._look_beside(offer, _NO_BILL)
        return offer if job is None else self._with_standing(offer, job)

    async def _look_beside(self, offer: Offer, bill: Bill) -> Job | None:
        stems = await self.recognise(offer.source, offer.plan, bill)
        if not stems:
            return None
        job = make_job(
            offer.source, offer.plan, bill=bill, host="", preset="", force=False, may_buy=False, clock=time.time
        )
        return describe_found(job, stems)

    async def recognise(self, source: Source, plan: Plan, bill: Bill = _NO_BILL) -> tuple[Stem, ...]:
        """Return stems that stand where those of a plan would go, and of which the job store knows nothing.

        Args:
            source: the song.
            plan: what is wanted; only of a service, for what is made on this machine costs nothing.
            bill: what its job is found by; of no key where there is no job store.

        Raises:
            SourceError: the song cannot be read.
            TransientError: the disk or share does not answer.
        """
        wish = plan.operation
        if not isinstance(wish, Separation) or not self._registry.provider_of(wish).remote:
            return ()
        folder = self._own_folder(source, wish)
        if folder is None or (bill.key and self._is_known(folder)):
            return ()
        purchase = self._purchase(plan, bill) if bill.key else None
        if purchase is not None and purchase.state.is_held:
            return ()
        from plugin_core.operations.reuse import recognise

        quote = make_quote(plan, source)
        return await run_stoppable(lambda stopper: recognise(folder, source, plan, quote, stopper.check))

    def _own_folder(self, source: Source, wish: Separation) -> Path | None:
        """Return the folder of its own that a song's stems stand in; None where there is none yet."""
        from plugin_core.operations.reuse import own_folder

        folder = own_folder(source, wish, self._projects.template(wish))
        return folder if folder is not None and folder.is_dir() else None

    def _is_known(self, folder: Path) -> bool:
        """Tell whether stems were placed in a folder by a job: whether they are untouched is recorded then."""
        jobs = self._store().placed_at(folder)
        return any(stem.path.is_relative_to(folder) for job in jobs for stem in job.stems)

    def _purchase(self, plan: Plan, bill: Bill) -> Purchase | None:
        if bill.quote is None:
            return None
        ids = self._store().recordings_of(bill.recording)
        return self._store().purchases.serving_wish(
            plan.operation.provider, bill.account, ids, bill.quote, self._is_here
        )

    def _is_here(self, purchase: Purchase) -> bool:
        return bool(purchase.labels) or self._shelf.holds(purchase)


def describe_filled(job: Job, written: Written) -> Job:
    """Return a job as one that found its song labelled; what it is found by is its own, since it holds no labels."""
    return msgspec.structs.replace(
        job,
        state=JobState.DONE,
        dedupe=f"{job.dedupe}:filled:{job.id}",
        quote=None,
        written=written,
        notes=(*job.notes, FILLED),
    )


def describe_found(job: Job, stems: Sequence[Stem]) -> Job:
    """Return a job as the one that made the stems which were found beside its song."""
    return msgspec.structs.replace(job, state=JobState.DONE, stems=tuple(stems), notes=(*job.notes, FOUND))


def _is_gone(path: Path) -> bool:
    return not os.path.lexists(path)
