"""How much may be spent: limits of the user's own, counted over all processes of a store as purchases are made.

What counts is credits, or one for a purchase whose service names no price. Days and months are those of the local
calendar; what turned out to cost nothing does not count.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Final

import msgspec

from plugin_core.errors import RefusedError
from plugin_core.files.database import Connection
from plugin_core.purchases.purchase import Purchase, PurchaseState

Amount = Annotated[float, msgspec.Meta(ge=0)]
Guard = Callable[[Connection, Purchase], None]
"""Refuse a purchase that is about to be made, inside the transaction that makes it."""

_SPENT: Final = (
    "SELECT coalesce(sum(coalesce(credits, 1)), 0) FROM purchases INDEXED BY purchases_spent"  # noqa: S608 - constant
    f" WHERE provider = ? AND created >= ? AND state <> '{PurchaseState.CANCELLED.value}' AND id <> ?"
)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Sections ``[spend.PROVIDER]``: credits, or tracks where no price is known."""

    run: Amount | None = None
    """In one run of one process."""
    day: Amount | None = None
    month: Amount | None = None


class LimitReachedError(RefusedError):
    """A purchase would go beyond a limit of the user's own."""


class Spending:
    """Counts what one run of this process spends, and what the store has spent.

    Args:
        limits: gives the limits of a provider.
        clock: seconds since the epoch.
    """

    def __init__(self, limits: Callable[[str], Limits], clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._run: dict[str, dict[str, float]] = {}

    def check(self, connection: Connection, purchase: Purchase) -> None:
        """Refuse a purchase that goes beyond a limit; count it otherwise.

        Raises:
            LimitReachedError: says which limit, what is spent and what this would cost.
            SettingsError: the limits cannot be read.
        """
        provider, price = purchase.provider, price_of(purchase)
        limits = self._limits(provider)
        # One whose call made nothing is sent again under its name, and counts once.
        run = {name: spent for name, spent in self._run.get(provider, {}).items() if name != purchase.id}
        now = datetime.fromtimestamp(self._clock()).astimezone()
        spent = {
            "run": sum(run.values()),
            "day": _spent(connection, purchase, day_of(now)) if limits.day is not None else 0.0,
            "month": _spent(connection, purchase, month_of(now)) if limits.month is not None else 0.0,
        }
        for word, before in spent.items():
            limit: float | None = getattr(limits, word)
            if limit is not None and before + price > limit:
                raise LimitReachedError(
                    f"your own limit of {limit:g} for {provider} ([spend.{provider}] {word}) would be passed:"
                    f" {before:g} is spent and this costs {price:g}",
                    remedy="raise the limit, or run again" if word == "run" else "raise the limit, or wait",
                )
        self._run[provider] = {**run, purchase.id: price}


def spend_freely(_connection: Connection, _purchase: Purchase) -> None:
    """Know no limit."""


def price_of(purchase: Purchase) -> float:
    """Return what a purchase counts for: its credits, or one where no price is known."""
    return 1.0 if purchase.quote.credits is None else purchase.quote.credits


def day_of(now: datetime) -> float:
    """Return when the local day of a moment began."""
    return datetime(now.year, now.month, now.day).astimezone().timestamp()


def month_of(now: datetime) -> float:
    """Return when the local month of a moment began."""
    return datetime(now.year, now.month, 1).astimezone().timestamp()


def _spent(connection: Connection, purchase: Purchase, since: float) -> float:
    return float(connection.execute(_SPENT, (purchase.provider, since, purchase.id)).fetchone()[0])
