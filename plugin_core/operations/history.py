"""What earlier jobs did already, so that nothing is bought twice."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from plugin_core.errors import blame
from plugin_core.model import Job, Operation, Plan, Source, Tagging
from plugin_core.offer import Offer
from plugin_core.registry import Registry

if TYPE_CHECKING:
    from plugin_core.jobs.store import JobStore

STEMS_BOUGHT_BEFORE: Final = "the stems were bought before"
"""Note of a separation that copies those of another job."""


class History:
    """The finished jobs, as a new plan sees them.

    Args:
        registry: the providers.
        store: gives the job store.
    """

    def __init__(self, registry: Registry, store: Callable[[], JobStore]) -> None:
        self._registry = registry
        self._store = store

    def account(self, operation: Operation) -> str:
        """Return the account that an operation is done with."""
        provider = self._registry.provider_of(operation)
        with blame(provider.name):
            return provider.account()

    def key(self, source: Source, plan: Plan) -> str:
        """Return what equal jobs have in common."""
        from plugin_core.jobs.dedupe import dedupe_key

        content = source.content
        if isinstance(plan.operation, Tagging):
            from plugin_core.operations.retagged import origin_of

            # Our own tags changed the file, not what a tagger hears in it.
            content = origin_of(self._store(), content)
        return dedupe_key(content, plan.operation, self.account(plan.operation))

    async def standing(self, source: Source, plan: Plan) -> Job | None:
        """Return the finished job whose untouched stems or labels already stand where this plan's would go."""
        from plugin_core.stems.fingerprint import are_unmodified
        from plugin_core.threads import run_stoppable

        if isinstance(plan.operation, Tagging):
            return self._labelled(source, plan, plan.operation)
        place = _place(source, plan.operation)
        for done in self._store().done_like(self.key(source, plan)):
            is_same = _place(done.source, done.operation) == place
            if is_same and await run_stoppable(partial(are_unmodified, done.stems)):
                return done
        return None

    def _labelled(self, source: Source, plan: Plan, wish: Tagging) -> Job | None:
        if wish.write:
            return next((job for job in self._store().written_as(source.content) if job.operation == wish), None)
        return self._covering(source, plan, wish)

    async def compare(self, offer: Offer) -> Offer:
        """Return the offer with what stands, or is bought, of it: labels, or stems that are whole."""
        source, plan = offer.source, offer.plan
        if (standing := await self.standing(source, plan)) is not None:
            return msgspec.structs.replace(offer, standing=standing)
        if offer.is_paid and (note := await self._find_bought(source, plan)):
            plan = msgspec.structs.replace(plan, credits=0.0, notes=(*plan.notes, note))
            return msgspec.structs.replace(offer, plan=plan, bought=True)
        return offer

    async def _find_bought(self, source: Source, plan: Plan) -> str:
        """Return the note of a job that will buy nothing; empty when it will."""
        from plugin_core.stems.fingerprint import are_unmodified
        from plugin_core.tags.rules import BOUGHT_BEFORE
        from plugin_core.threads import run_stoppable

        if isinstance(plan.operation, Tagging):
            return BOUGHT_BEFORE if self._covering(source, plan, plan.operation) is not None else ""
        # The one whose stems the job would copy.
        twin = self._store().find_done(self.key(source, plan))
        is_whole = twin is not None and await run_stoppable(partial(are_unmodified, twin.stems))
        return STEMS_BOUGHT_BEFORE if is_whole else ""

    def _covering(self, source: Source, plan: Plan, wish: Tagging) -> Job | None:
        from plugin_core.tags.rules import covers

        done = self._store().done_like(self.key(source, plan))
        return next((job for job in done if isinstance(job.operation, Tagging) and covers(job.operation, wish)), None)


def _place(source: Source, operation: Operation) -> tuple[Path, Path | None, str]:
    from plugin_core.jobs.dedupe import place_of

    return source.path, *place_of(operation)
