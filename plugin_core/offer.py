"""What a run would do, said before anything is spent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from plugin_core.model import Job, Plan, Source
from plugin_core.purchases.purchase import Purchase


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on one source, planned and not yet begun."""

    source: Source
    plan: Plan
    """With the price of what is still to be bought, unless its results stand."""
    remote: bool = False
    """Whether a service does it, which may cost money even where no price is known."""
    files: Mapping[str, Path] = {}
    """What would be made, by stem; known in a dry run."""
    standing: Job | None = None
    """The job whose results stand already, so that nothing is to be made."""
    purchase: Purchase | None = None
    """What was bought before of it, whose results may be to be had, or gone."""

    @property
    def has_price(self) -> bool:
        """Whether it costs money, or may, where nobody bought it before."""
        return self.purchase is not None or (self.remote if self.plan.credits is None else self.plan.credits > 0)

    @property
    def is_bought(self) -> bool:
        """Whether it has a price and costs nothing, since it was bought before, as far as is known."""
        return self.has_price and (self.standing is not None or self._is_had)

    @property
    def is_paid(self) -> bool:
        """Whether doing it costs money, or may."""
        return self.has_price and not self.is_bought

    @property
    def is_bought_again(self) -> bool:
        """Whether it was paid for before, and would have to be paid for again."""
        return self.purchase is not None and self.is_paid

    @property
    def _is_had(self) -> bool:
        return self.purchase is not None and (self.purchase.state.is_held or self.purchase.state.is_open)
