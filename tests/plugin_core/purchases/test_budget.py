"""Limits of the user's own, over the local calendar and all processes of a store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from plugin_core.jobs.store import JobStore, Place
from plugin_core.model import Quote
from plugin_core.purchases.budget import LimitReachedError, Limits, Spending
from plugin_core.purchases.purchase import Purchase, PurchaseState

ANY_STORE = True


class Now:
    """A clock that tests set, by local time."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.set(2026, 3, 31, 23)

    def set(self, *moment: int) -> None:
        self.seconds = datetime(*moment).astimezone().timestamp()  # type: ignore[arg-type]

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Iterator[Now]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield Now()
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def store(store_place: Place, now: Now) -> Iterator[JobStore]:
    with JobStore(store_place, clock=now) as opened:
        yield opened


class Shop:
    """Buys one thing after the other."""

    def __init__(self, store: JobStore, now: Now, **limits: float) -> None:
        self.store, self.now, self.limits = store, now, Limits(**limits)
        self.begin()

    def begin(self) -> None:
        """Begin a run."""
        self.spending = Spending(lambda provider: self.limits if provider == "mvsep" else Limits(), self.now)

    def buy(self, price: float | None = 4.0, *, provider: str = "mvsep") -> Purchase:
        """Buy for so many credits, None for what has no price."""
        count = len(self.store.purchases.list())
        purchase = Purchase(
            id=f"id{count}", key="k", state=PurchaseState.INTENT, provider=provider, account="a", recording="r",
            quote=Quote(credits=price), song=Path("/music/Song.flac"), created=self.now(), updated=self.now(),
        )  # fmt: skip
        with self.store._database.write() as connection:
            self.spending.check(connection, purchase)
        self.store.purchases.put(purchase)
        return purchase


def test_a_day_is_over_at_midnight(store: JobStore, now: Now) -> None:
    shop = Shop(store, now, day=10)
    shop.buy(), shop.buy()
    with pytest.raises(LimitReachedError, match=r"\[spend.mvsep\] day\) would be passed: 8 is spent and this costs 4"):
        shop.buy()
    shop.buy(2.0)
    shop.buy(provider="other")
    now.set(2026, 4, 1)
    shop.buy()


def test_a_month_is_over_with_its_last_day(store: JobStore, now: Now) -> None:
    shop = Shop(store, now, month=4)
    now.set(2026, 3, 1)
    shop.buy()
    now.set(2026, 3, 31, 23)
    with pytest.raises(LimitReachedError, match="month") as caught:
        shop.buy()
    assert caught.value.remedy.endswith("or wait")
    now.set(2026, 4, 1)
    shop.buy()


def test_a_run_counts_for_itself(store: JobStore, now: Now) -> None:
    shop = Shop(store, now, run=4)
    shop.buy()
    with pytest.raises(LimitReachedError, match="run") as caught:
        shop.buy()
    assert caught.value.remedy.endswith("or run again")
    shop.begin()
    shop.buy()


def test_tracks_count_where_there_is_no_price_and_nothing_that_cost_nothing(store: JobStore, now: Now) -> None:
    shop = Shop(store, now, day=2)
    first = shop.buy(None)
    shop.buy(None)
    with pytest.raises(LimitReachedError):
        shop.buy(None)
    store.purchases.put(msgspec.structs.replace(first, state=PurchaseState.CANCELLED))
    shop.buy(None)


def test_refused_is_refused_by_the_account(store: JobStore, now: Now) -> None:
    with pytest.raises(LimitReachedError) as caught:
        Shop(store, now, day=0).buy()
    assert caught.value.exit_code == 3 and "raise the limit" in caught.value.remedy


def test_what_is_sent_again_counts_once(store: JobStore, now: Now) -> None:
    """The service was busy: nothing was made, and the same purchase is sent once more."""
    shop = Shop(store, now, run=10)
    purchase = shop.buy()
    for _ in range(5):
        with store._database.write() as connection:
            shop.spending.check(connection, purchase)
    shop.buy()
    with pytest.raises(LimitReachedError, match="8 is spent"):
        shop.buy()
