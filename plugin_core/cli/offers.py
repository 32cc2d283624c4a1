"""What a run will make and cost, in words, before it starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from plugin_core.cli.display.base import Offer
from plugin_core.cli.display.words import amount, describe, plural, show, span


def describe_offer(offer: Offer) -> Iterator[str]:
    """Yield the lines of a dry run for one source."""
    song = f"{show(offer.source.path)} ({span(offer.source.duration)})"
    yield f"{song}: {describe(offer.plan.operation)}"
    yield from (f"  {show(path)}" for path in offer.files.values())
    yield from (f"  note: {note}" for note in offer.plan.notes)


def describe_price(offers: Sequence[Offer]) -> str:
    """Say how many tracks go to which services and about what they cost; empty where nothing has a price."""
    parts = []
    for provider in dict.fromkeys(offer.plan.operation.provider for offer in offers):
        prices = [o.plan.credits for o in offers if o.plan.operation.provider == provider]
        known = [price for price in prices if price is not None]
        if known:
            cost = f"about {amount(sum(known))} credits" if sum(known) else "no credits"
            parts.append(f"{plural(len(prices), 'track')} with {provider}, {cost}")
    return "; ".join(parts)


def has_price(offers: Sequence[Offer]) -> bool:
    """Tell whether anything of this is paid for."""
    return any(offer.plan.credits for offer in offers)
