"""What a provider is handed of a job: the job itself, what the core knows of its purchase, and where its files lie."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path

import msgspec

from plugin_core.model import Job
from plugin_core.protocols import Order, Provider
from plugin_core.purchases.ledger import PurchaseLedger
from plugin_core.purchases.shelf import Shelf


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
