"""What a run will make and cost, in words, before it starts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from plugin_core.console.phrases import (
    clean,
    count_credits,
    describe,
    describe_standing,
    plural,
    show,
    span,
)
from plugin_core.purchases.purchase import Offer


def describe_offer(offer: Offer) -> Iterator[str]:
    """Yield the lines of a dry run for one source."""
    song = f"{show(offer.source.path)} ({span(offer.source.duration)})"
    if offer.standing is not None:
        yield f"{song}: {describe_standing(offer.standing)}"
        return
    yield f"{song}: {describe(offer.plan.operation, offer.plan.title)}"
    yield from (f"  {show(path)}" for path in offer.files.values())
    yield from (f"  note: {note}" for note in offer.plan.notes)


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What a run asks of one provider that costs money, or may."""

    provider: str
    tracks: int
    """Those that nobody bought yet."""
    credits: float | None
    """About what these cost; None where that is not known."""
    bought: int
    """Tracks that cost nothing, since they were bought before."""


def list_prices(offers: Sequence[Offer]) -> list[Price]:
    """Return what is asked of each provider that costs money, or may."""
    by_provider: dict[str, list[Offer]] = {}
    for offer in offers:
        if offer.has_price:
            by_provider.setdefault(offer.plan.operation.provider, []).append(offer)
    return [_price_of(provider, its) for provider, its in by_provider.items()]


def describe_price(offers: Sequence[Offer]) -> str:
    """Say how many tracks go to which services, what they cost, and how many are bought; empty where none has a price.

    A service with another currency than credits has a price as well, which is not known.
    """
    begun = Counter(offer.plan.operation.provider for offer in offers if offer.is_begun)
    return "; ".join(_describe_price(price, begun[price.provider]) for price in list_prices(offers))


def describe_question(offers: Sequence[Offer]) -> str:
    """Return what is asked before money is spent; what would be bought a second time is said."""
    again = sum(offer.is_bought_again for offer in offers)
    bought = f" {again} of them were bought before, and their results are gone." if again else ""
    return f"{describe_price(offers)}.{bought} Go on?"


def has_price(offers: Sequence[Offer]) -> bool:
    """Tell whether anything of this is paid for, or may be."""
    return any(offer.is_paid for offer in offers)


def _price_of(provider: str, offers: Sequence[Offer]) -> Price:
    prices = [offer.plan.credits for offer in offers if offer.is_paid]
    known = [price for price in prices if price is not None]
    return Price(
        provider=provider,
        tracks=len(prices),
        # A sum without those that are not known would promise too little.
        credits=sum(known, 0.0) if len(known) == len(prices) else None,
        bought=len(offers) - len(prices),
    )


def _describe_price(price: Price, begun: int) -> str:
    cost = "price not known" if price.credits is None else f"about {count_credits(price.credits)}"
    counts = {
        f", {cost}": price.tracks,
        " bought already, at no cost": price.bought - begun,
        " begun before, bought only where the service has not got them": begun,
    }
    (first, count), *rest = ((what, count) for what, count in counts.items() if count)
    more = "".join(f", and {count}{what}" for what, count in rest)
    return f"{plural(count, 'track')} with {clean(price.provider)}{first}{more}"
