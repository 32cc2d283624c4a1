"""Finding purchases: the one a wish goes on from, the newest, one by its id."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import UsageError
from plugin_core.jobs.store import JobStore, Place
from plugin_core.model import Quote, Ticket
from plugin_core.purchases.ledger import LimitReachedError, Limits, PurchaseLedger, Spending
from plugin_core.purchases.purchase import Purchase, PurchaseState, purchase_keys

ANY_STORE = True

QUOTE = Quote(sent={"model": "40"}, output="flac16", depth=16)


@pytest.fixture
def ledger(store_place: Place) -> Iterator[PurchaseLedger]:
    with JobStore(store_place) as store:
        yield store.purchases


def put(ledger: PurchaseLedger, number: int, state: PurchaseState, *, provider: str = "fake") -> None:
    """Put in a purchase that was made at a time of that number."""
    ledger.put(
        Purchase(
            id=f"0{number}",
            key="key",
            state=state,
            provider=provider,
            account="one",
            recording="r",
            quote=QUOTE,
            song=Path("/music/Song.flac"),
            created=number,
            updated=number,
            ticket=Ticket(remote_id=f"remote {number}"),
        )
    )


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (PurchaseState.KEPT, PurchaseState.RUNNING),
        (PurchaseState.RUNNING, PurchaseState.UNKNOWN),
        (PurchaseState.READY, PurchaseState.SENT),
        (PurchaseState.UNKNOWN, PurchaseState.EXPIRED),
        (PurchaseState.EXPIRED, PurchaseState.CANCELLED),
    ],
    ids=str,
)
def test_what_is_surely_to_be_had_serves_before_what_may_be(
    ledger: PurchaseLedger, older: PurchaseState, newer: PurchaseState
) -> None:
    put(ledger, 1, older)
    put(ledger, 2, newer)
    found = ledger.serving(["other", "key"], QUOTE)
    assert found is not None and found.state is older


def test_of_equals_the_newest_serves_and_what_cost_nothing_never(ledger: PurchaseLedger) -> None:
    put(ledger, 1, PurchaseState.CANCELLED)
    assert ledger.serving(["key"], QUOTE) is None
    put(ledger, 2, PurchaseState.EXPIRED)
    put(ledger, 3, PurchaseState.EXPIRED)
    found = ledger.serving(["key"], QUOTE)
    assert found is not None and found.id == "03"


def put_of(ledger: PurchaseLedger, number: int, account: str) -> None:
    """Put in a purchase that an account made of recording ``r``."""
    (key,) = purchase_keys("fake", account, ["r"], QUOTE)[:1]
    put(ledger, number, PurchaseState.KEPT)
    ledger.change(f"0{number}", key=key, account=account)


def test_what_was_bought_with_other_keys_serves_where_it_is_here(ledger: PurchaseLedger) -> None:
    def serving(account: str, *, is_here: bool) -> Purchase | None:
        return ledger.serving_wish("fake", account, ["r"], QUOTE, lambda _: is_here)

    assert serving("one", is_here=True) is None
    put_of(ledger, 1, "two")
    assert serving("one", is_here=True) == serving("two", is_here=False) == ledger.find("01")
    gone = serving("one", is_here=False)
    assert gone is not None and gone.state is PurchaseState.EXPIRED and "other keys" in gone.reason
    put_of(ledger, 2, "one")
    assert serving("one", is_here=True) == ledger.find("02")


def test_what_is_noted_is_added_to_what_was_noted_before(ledger: PurchaseLedger) -> None:
    put(ledger, 1, PurchaseState.RUNNING)
    for name, value in (("place", "a"), ("seen", "b"), ("place", "c")):
        ledger.write_note("01", name, value)
    ledger.write_note("09", "place", "of nothing")
    noted = ledger.find("01")
    assert noted is not None and noted.note == {"place": "c", "seen": "b"} and ledger.find("09") is None


def test_only_the_newest_of_a_key_are_looked_at(ledger: PurchaseLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugin_core.purchases.ledger._LOOKED_AT", 2)
    for number, state in enumerate((PurchaseState.KEPT, PurchaseState.EXPIRED, PurchaseState.RUNNING), start=1):
        put(ledger, number, state)
    found = ledger.serving(["key"], QUOTE)
    assert found is not None and found.id == "03"


def test_the_newest_are_listed_first_of_all_services_or_of_one(ledger: PurchaseLedger) -> None:
    for number in range(1, 6):
        put(ledger, number, PurchaseState.KEPT, provider=("fake", "other")[number % 2])
    assert [one.id for one in ledger.list(limit=3)] == ["05", "04", "03"]
    assert [one.id for one in ledger.list(provider="fake")] == ["04", "02"]
    assert [one.id for one in ledger.list(since=4)] == ["05", "04"]


def test_one_is_found_by_its_id_or_that_of_the_service(ledger: PurchaseLedger) -> None:
    put(ledger, 1, PurchaseState.KEPT)
    put(ledger, 2, PurchaseState.KEPT)
    assert ledger.get("01").id == ledger.get("remote 1").id == "01"
    for name in ("0", "remote", ""):
        with pytest.raises(UsageError, match="purchase"):
            ledger.get(name)


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
