"""Finding purchases: the one a wish goes on from, the newest, one by its id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_core.errors import UsageError
from plugin_core.jobs.store import JobStore, Place
from plugin_core.model import Quote, Ticket
from plugin_core.purchases.ledger import PurchaseLedger
from plugin_core.purchases.purchase import Purchase, PurchaseState

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
