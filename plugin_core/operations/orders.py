"""What a provider is handed of a job: what is known of its purchase, where its files lie, a link to its source."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.errors import UsageError, blame
from plugin_core.model import Job
from plugin_core.protocols import Bucket, Order, Provider, ReturnsInBucket, Stager
from plugin_core.purchases.ledger import PurchaseLedger
from plugin_core.purchases.shelf import Shelf
from plugin_core.settings import Secret

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
        if not isinstance(provider, ReturnsInBucket):
            return None
        found = self._stagers()
        buckets = {name: each for name, each in found.items() if isinstance(each, Bucket)}
        if provider.bucket in buckets:
            return buckets[provider.bucket]
        if not provider.bucket and len(buckets) == 1:
            return next(iter(buckets.values()))
        if provider.bucket:
            what = f"stager {provider.bucket!r}, which is {'no bucket' if provider.bucket in found else 'not set up'}"
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
