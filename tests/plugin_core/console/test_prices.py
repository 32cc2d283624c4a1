"""What a run costs, in words."""

from __future__ import annotations

import pytest

from plugin_core.console.phrases import describe_price
from plugin_core.model import Plan, Quote
from plugin_core.purchases.purchase import Offer, Purchase, PurchaseState
from tests.plugin_core.jobs.fakes import make_job


def make_offer(state: PurchaseState | None) -> Offer:
    """Return the offer of a song that costs two credits, or did."""
    job = make_job()
    purchase = (
        None
        if state is None
        else Purchase(
            id=job.id,
            key="",
            state=state,
            provider="fake",
            account="",
            recording="",
            quote=Quote(credits=2.0),
            song=job.source.path,
            created=0.0,
            updated=0.0,
        )
    )
    return Offer(source=job.source, plan=Plan(operation=job.operation, credits=2.0), remote=True, purchase=purchase)


@pytest.mark.parametrize(
    ("states", "told"),
    [
        ([None], "1 track with fake, about 2 credits"),
        ([PurchaseState.RUNNING, PurchaseState.UNKNOWN], "2 tracks with fake bought already, at no cost"),
        (
            # Nobody heard an answer: it may have to be bought yet.
            [PurchaseState.INTENT, PurchaseState.SENT],
            "2 tracks with fake begun before, bought only where the service has not got them",
        ),
        (
            [PurchaseState.EXPIRED, PurchaseState.KEPT, PurchaseState.SENT],
            "1 track with fake, about 2 credits, and 1 bought already, at no cost, "
            "and 1 begun before, bought only where the service has not got them",
        ),
    ],
)
def test_no_cost_is_said_of_what_is_surely_bought_alone(states: list[PurchaseState | None], told: str) -> None:
    assert describe_price(list(map(make_offer, states))) == told
