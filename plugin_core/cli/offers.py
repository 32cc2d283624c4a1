"""What a run will make and cost, in words, before it starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from plugin_core.cli.display.formatting import clean, count_credits, describe, describe_result, plural, show, span
from plugin_core.offer import Offer


def describe_offer(offer: Offer) -> Iterator[str]:
    """Yield the lines of a dry run for one source."""
    song = f"{show(offer.source.path)} ({span(offer.source.duration)})"
    if offer.standing is not None:
        yield f"{song}: made before, {describe_result(offer.standing)}"
        return
    yield f"{song}: {describe(offer.plan.operation, offer.plan.title)}"
    yield from (f"  {show(path)}" for path in offer.files.values())
    yield from (f"  note: {note}" for note in offer.plan.notes)


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """What a run asks of one provider that names prices."""

    provider: str
    tracks: int
    credits: float


def list_prices(offers: Sequence[Offer]) -> list[Price]:
    """Return what is still to be made by each provider, and about what it costs; what stands costs nothing."""
    making = [offer for offer in offers if offer.standing is None]
    prices = []
    for provider in dict.fromkeys(offer.plan.operation.provider for offer in making):
        all_credits = [offer.plan.credits for offer in making if offer.plan.operation.provider == provider]
        known = [each for each in all_credits if each is not None]
        if known:
            prices.append(Price(provider=provider, tracks=len(all_credits), credits=sum(known)))
    return prices


def describe_price(offers: Sequence[Offer]) -> str:
    """Say how many tracks go to which services and about what they cost; empty where nothing has a price."""
    return "; ".join(
        f"{plural(price.tracks, 'track')} with {clean(price.provider)}, "
        + (f"about {count_credits(price.credits)}" if price.credits else "no credits")
        for price in list_prices(offers)
    )


def has_price(offers: Sequence[Offer]) -> bool:
    """Tell whether anything of this is paid for."""
    return any(price.credits for price in list_prices(offers))
