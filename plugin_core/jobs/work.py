"""What an operation does in each state of a job's life: the seam between the engine and separations or taggings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from plugin_core.model import Job, Label, Quote, Source, Stem, Ticket, Written
from plugin_core.protocols import Finished, Report, Terms, Waiting
from plugin_core.purchases.purchase import KeptPart, Purchase
from plugin_core.stems.publication import Published


class Staged(msgspec.Struct, frozen=True, kw_only=True):
    """Verified results, ready to be placed."""

    stems: tuple[Stem, ...] = ()
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    projects: tuple[Stem, ...] = ()
    """Session files that stand beside stems which are reused where they stand."""


class Work(Protocol):
    """The effects of one kind of operation; every method may be called again after a crash, by another process.

    ``attempt`` is unique to the process and step that calls. Errors are those of ``plugin_core.errors``.
    """

    async def slots(self, job: Job) -> int:
        """Return how many jobs of this job's account may be alive at once."""
        ...

    def occupies(self, job: Job) -> bool:
        """Tell whether the job takes a slot even while no process works on it (it lives at a service)."""
        ...

    def account(self, job: Job) -> str:
        """Return the account that the job's provider works with now."""
        ...

    def terms(self, job: Job) -> Terms:
        """Return what the job's provider says of its service."""
        ...

    async def prepare(self, job: Job, attempt: str, report: Report) -> None:
        """Check, before anything is spent, that the source is unchanged, there is space and staging exists."""
        ...

    async def reuse(self, job: Job, twins: Sequence[Job]) -> Staged | None:
        """Stage results of finished jobs with the same key, if they are still there, untouched, and hold all wanted."""
        ...

    async def quote(self, job: Job) -> Quote:
        """Return what is bought for a job, at the price of this moment."""
        ...

    def has_kept(self, job: Job, purchase: Purchase) -> bool:
        """Tell whether the results of a purchase lie whole in its folder."""
        ...

    async def locate(self, job: Job) -> Source | None:
        """Look near the path of a source that is gone from there for where its song lies now."""
        ...

    async def submit(self, job: Job, attempt: str, report: Report) -> Ticket:
        """Start the job at its provider; may cost money."""
        ...

    async def find(self, job: Job, attempt: str) -> Ticket | None:
        """Look for the job at its provider; None: it is not listed; OutcomeUnknownError: it cannot be known."""
        ...

    async def poll(self, job: Job, attempt: str, report: Report) -> Waiting | Finished:
        """Ask the provider, or let an engine on this machine do its work."""
        ...

    async def bring(self, job: Job, attempt: str, report: Report) -> tuple[KeptPart, ...]:
        """Bring what was bought into its purchase's folder, as it comes; its song is not asked for."""
        ...

    async def fetch(self, job: Job, attempt: str, report: Report, purchase: Purchase | None) -> Staged:
        """Bring results home, unless they are there, verify and treat them."""
        ...

    async def drop_fetched(self, job: Job) -> None:
        """Remove results that were brought home and are no good."""
        ...

    async def target(self, job: Job) -> Path:
        """Choose where the staged results go; nothing is created."""
        ...

    async def publish(self, job: Job, attempt: str) -> Published | Written:
        """Rename the staged results to ``job.target``, or write the labels there; done already counts as done."""
        ...

    async def cancel(self, job: Job, attempt: str) -> None:
        """Cancel at the provider."""
        ...

    async def discard(self, job: Job, *, release: bool = True) -> None:
        """Remove staging, and whatever the job left at the provider unless it may be needed there."""
        ...
