"""What a provider is handed of a job: its wish, what is known of its purchase, its folder, a link to its source."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.abilities import PricesAnew
from plugin_core.errors import PlacementError, StembridgeError, UsageError, blame
from plugin_core.model import Job, Quote, Separation, Source, Ticket, show_path
from plugin_core.operations.song import Hear, Song
from plugin_core.protocols import Bucket, Finished, Order, Provider, Report, Stager, Terms, Waiting, terms_of
from plugin_core.purchases.ledger import PurchaseLedger
from plugin_core.purchases.shelf import Shelf
from plugin_core.settings import Secret
from plugin_core.stems.staging_folder import choose_staging, hidden_neighbour, make_staging, remove_staging
from plugin_core.tasks import run_stoppable

SET_UP: Final = "set one up: a bucket in [tencent] or [s3], or a folder in [public_url] of config.toml"


class Orders:
    """Makes the orders of one provider.

    Args:
        provider: takes them.
        home: stembridge's home, where purchases lie.
        purchases: what was bought; None to know of nothing.
    """

    def __init__(self, provider: Provider, home: Path, purchases: PurchaseLedger | None = None) -> None:
        self._provider = provider
        self._shelf = Shelf(home)
        self._purchases = purchases

    def make(self, job: Job, attempt: str, own: Path) -> Order:
        """Return the order of a job.

        Args:
            job: as it is stored.
            attempt: unique to this process and step.
            own: the folder of an engine on this machine, which goes with its job.
        """
        order = Order(
            key=job.purchase or job.id,
            attempt=attempt,
            source=job.source,
            operation=job.operation,
            folder=self.folder(job, own),
            ticket=job.ticket,
            results=job.results,
        )
        ledger = self._purchases
        purchase = ledger.find(job.purchase) if ledger is not None and job.purchase else None
        if ledger is None or purchase is None:
            return order
        return msgspec.structs.replace(
            order,
            note=dict(purchase.note),
            keep_note=partial(ledger.write_note, purchase.id),
            sent=purchase.sent,
            looked_since=purchase.looked_since,
        )

    def folder(self, job: Job, own: Path) -> Path:
        """Return where parts and files of the provider lie: a purchase's folder outlives its jobs."""
        return self._shelf.folder(job.purchase or job.id) if self._provider.remote else own

    def remove_unused(self, job: Job) -> None:
        """Remove the folder that was made for a purchase of the job's own, where it went on from another; if empty."""
        if job.purchase != job.id:
            with contextlib.suppress(OSError):
                self._shelf.folder(job.id).rmdir()


class Links:
    """The stagers of a session.

    Args:
        stagers: gives them by name, once they are needed.
    """

    def __init__(self, stagers: Callable[[], Mapping[str, Stager]]) -> None:
        self._stagers = stagers

    def stager_for(self, provider: Provider) -> Stager | None:
        """Return the stager a provider reads its sources through; None for one that is handed the file.

        Raises:
            UsageError: the stager is missing, or there are several and none is named.
        """
        # What makes a ``ReadsFromUrl``; ``isinstance`` is slow for what is asked at every effect of a job.
        wanted: str | None = getattr(provider, "stager", None)
        if wanted is None:
            return None
        found = self._stagers()
        if wanted:
            if wanted in found:
                return found[wanted]
            raise UsageError(
                f"{provider.name} reads songs through stager {wanted!r}, which is not set up",
                remedy=f"there are {', '.join(sorted(found)) or 'none'}; see `stembridge doctor`",
            )
        if len(found) == 1:
            return next(iter(found.values()))
        remedy = f"name one of {', '.join(sorted(found))} in its settings" if found else SET_UP
        raise UsageError(
            f"{provider.name} reads songs by link, and {'several stagers are' if found else 'no stager is'} set up",
            remedy=remedy,
        )

    def bucket_for(self, provider: Provider) -> Bucket | None:
        """Return the bucket that a provider's results come to; None for one that hands them out itself.

        Raises:
            UsageError: it is missing, or no bucket, or there are several and none is named.
        """
        # What makes a ``ReturnsInBucket``, asked as in ``stager_for``.
        wanted: str | None = getattr(provider, "bucket", None)
        if wanted is None:
            return None
        found = self._stagers()
        buckets = {name: each for name, each in found.items() if isinstance(each, Bucket)}
        if wanted in buckets:
            return buckets[wanted]
        if not wanted and len(buckets) == 1:
            return next(iter(buckets.values()))
        if wanted:
            what = f"stager {wanted!r}, which is {'no bucket' if wanted in found else 'not set up'}"
        else:
            what = f"a bucket of yours, and {'several are' if buckets else 'none is'} set up"
        remedy = f"name one of {', '.join(sorted(buckets))} in its settings" if buckets else "set one up, cos or s3"
        raise UsageError(f"the results of {provider.name} come to {what}", remedy=remedy)

    def check(self, provider: Provider) -> None:
        """Refuse a provider whose sources or results could not be exchanged.

        Raises:
            UsageError: a stager is missing.
        """
        self.stager_for(provider)
        self.bucket_for(provider)

    async def stage(self, provider: Provider, job: Job) -> Secret:
        """Put the source where the provider can read it; an empty secret for a provider that is handed the file.

        Raises:
            UsageError: there is no stager.
            StembridgeError: the stager's own.
        """
        stager = self.stager_for(provider)
        if stager is None:
            return Secret("")
        with blame(stager.name):
            return Secret(await stager.stage(job.source.path, job.id))

    async def unstage(self, provider: Provider, job: Job) -> None:
        """Remove what was staged for a job, by whichever process; absent is fine.

        Raises:
            UsageError: there is no stager any more.
            StembridgeError: the stager's own.
        """
        stager = self.stager_for(provider)
        if stager is not None:
            with blame(stager.name):
                await stager.unstage(job.id)


NO_LINKS = Links(dict)
"""For work without stagers."""


def wish_of(job: Job) -> Separation:
    """Return the operation of a job.

    Raises:
        UsageError: it is no separation.
    """
    if not isinstance(job.operation, Separation):
        raise UsageError(f"job {job.id} is no separation")
    return job.operation


def destination_of(job: Job) -> Path:
    """Return the folder a job's stems are placed under."""
    return destination_of_wish(job.source, wish_of(job))


def destination_of_wish(source: Source, wish: Separation) -> Path:
    """Return the folder that the stems of a source are placed under."""
    return wish.to or source.path.parent


class JobFolders:
    """The folders of jobs whose results go into the song itself.

    Args:
        home: stembridge's home, for staging.
        orders: say where a provider's own files lie.
    """

    parts = ""
    """Name in staging of the folder of an engine on this machine; "" for staging itself."""

    def __init__(self, home: Path, orders: Orders) -> None:
        self._home = home
        self._orders = orders

    def staging(self, job: Job) -> Path:
        """Return the private folder of a job; nothing is created."""
        return job.staging or self._home / "staging" / job.id

    def own(self, job: Job) -> Path:
        """Return the folder of an engine on this machine, which goes with its job."""
        return self.staging(job) / self.parts

    def make(self, job: Job) -> Path:
        """Make the folders of a job, there already is fine, and return its private one.

        Raises:
            PlacementError: one cannot be made.
            TransientError: the disk is full or away.
        """
        staging = self.staging(job)
        make_staging(staging)
        make_staging(self._orders.folder(job, staging / self.parts))
        return staging

    def remove(self, job: Job) -> None:
        """Remove all folders of a job.

        Raises:
            PlacementError: one stays.
        """
        self._orders.remove_unused(job)
        remove_staging(self.staging(job))


class Folders(JobFolders):
    """The folders of separations.

    Args:
        home: stembridge's home, for staging.
        orders: say where a provider's own files lie.
        is_beside: whether all lie beside the stems' place, which every machine sees that works on the job.
    """

    parts = "parts"

    def __init__(self, home: Path, orders: Orders, *, is_beside: bool) -> None:
        super().__init__(home, orders)
        self._is_beside = is_beside

    def staging(self, job: Job) -> Path:
        from plugin_core.stems.layout import find_staging

        # What is staged stays where it is, also when the disk it was to be near is away now.
        known = job.staging or find_staging(job.id, job.staged)
        return known or choose_staging(None if self._is_beside else self._home, job.id, destination_of(job))

    def prepare(self, job: Job, needed: int) -> None:
        """Check place and room for the stems of a job, and make its folders.

        Args:
            job: that is to begin.
            needed: bytes it takes at most.

        Raises:
            PlacementError: the destination is missing, not writable or too full.
        """
        from plugin_core.stems.staging_folder import check_destination, check_space

        destination = destination_of(job)
        check_destination(destination)
        check_space(destination, needed)
        self.make(job)

    def remove(self, job: Job) -> None:
        """Put back an earlier result that was set aside, and remove all folders of a job.

        Raises:
            PlacementError: one stays.
        """
        from plugin_core.stems.layout import read_layout
        from plugin_core.stems.publication import hidden_folders, restore_aside

        self._orders.remove_unused(job)
        staging, destination = self.staging(job), destination_of(job)
        restore_aside(staging, destination)
        layout = read_layout(staging, job.staged)
        folders = {staging, hidden_neighbour(staging, destination)}
        if layout is not None:
            folders |= hidden_folders(layout, destination, staging)
        # No generator: one that stays must not keep the others.
        stay = [folder for folder in sorted(folders) if not remove_staging(folder)]
        if stay:
            raise PlacementError(f"{show_path(stay[0])} cannot be removed", remedy="remove it by hand")


class ProviderWork:
    """What separations and taggings do alike: what only hands a job to its provider, and what looks for its song.

    Args:
        provider: the separator or tagger.
        orders: makes its orders.
        folders: where jobs lie.
        links: the stagers, for a provider that reads by link.
        hear: tells what files sound like.
    """

    def __init__(self, provider: Provider, orders: Orders, folders: JobFolders, *, links: Links, hear: Hear) -> None:
        self._provider = provider
        self._orders = orders
        self._folders = folders
        self._links = links
        self._hear = hear

    async def slots(self, job: Job) -> int:  # noqa: ARG002
        return await self._provider.slots()

    def occupies(self, job: Job) -> bool:  # noqa: ARG002
        return self._provider.remote

    def account(self, job: Job) -> str:  # noqa: ARG002
        return self._provider.account()

    def terms(self, job: Job) -> Terms:  # noqa: ARG002
        return terms_of(self._provider)

    async def quote(self, job: Job) -> Quote:
        quote = job.quote or Quote()
        if quote.credits == 0 and isinstance(self._provider, PricesAnew):
            # Where the service does not say it now, it is what it was.
            with contextlib.suppress(StembridgeError):
                return msgspec.structs.replace(quote, credits=await self._provider.price_now(job.source, job.operation))
        return quote

    async def locate(self, job: Job) -> Source | None:
        return await run_stoppable(lambda stopper: self._song(job).locate(stopper.check))

    async def find(self, job: Job, attempt: str) -> Ticket | None:
        return await self._provider.find(await self._order_with_folder(job, attempt))

    async def poll(self, job: Job, attempt: str, report: Report) -> Waiting | Finished:
        return await self._provider.poll(await self._order_with_folder(job, attempt), report)

    async def cancel(self, job: Job, attempt: str) -> None:
        await self._provider.cancel(self._order(job, attempt))

    def _order(self, job: Job, attempt: str) -> Order:
        return self._orders.make(job, attempt, self._folders.own(job))

    async def _order_with_folder(self, job: Job, attempt: str) -> Order:
        """Return the order with its folder made: that of a new purchase, or anew for a job that goes on later."""
        order = self._order(job, attempt)
        if not order.folder.is_dir():
            await asyncio.to_thread(self._folders.make, job)
        return order

    def _song(self, job: Job) -> Song:
        return Song(job.source, job.recording, self._hear)
