"""From a plan to what a service would be sent for it, and the key by which an earlier purchase of that is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from plugin_core.audio.formats import FORMATS
from plugin_core.model import Plan, Quote, Separation, Source
from plugin_core.purchases.purchase import ALL

_MODEL: Final = "model"
_OPTION: Final = "option."
_DEEP: Final = frozenset({"pcm_24", "pcm_32", "float", "double"})
_SHALLOW_BITS: Final = 16
_DEEP_BITS: Final = 24


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What a new job is found by, and what it would buy."""

    account: str
    """Whose slots it takes."""
    recording: str
    """What its source sounds like."""
    key: str
    """What equal jobs have in common."""
    quote: Quote | None
    """None for an engine on this machine."""


def make_quote(plan: Plan, source: Source) -> Quote:
    """Return what is sent for a plan, at which price.

    Args:
        plan: resolved by its provider.
        source: decides how deep the service's format must be to do.
    """
    wish = plan.operation
    if not isinstance(wish, Separation):
        return Quote(dimensions=tuple(sorted(wish.dimensions)) or (ALL,), title=plan.title, credits=plan.credits)
    asides = {plan.output_option, *plan.asides}
    options = {f"{_OPTION}{name}": value for name, value in wish.options.items() if name not in asides}
    return Quote(
        sent={_MODEL: wish.model, **options},
        defaults={f"{_OPTION}{name}": value for name, value in plan.defaults.items()},
        output=plan.output,
        depth=_needed_depth(wish, plan, source),
        title=plan.title,
        credits=plan.credits,
    )


def purchase_key(provider: str, account: str, recording: str, quote: Quote) -> str:
    """Return what equal purchases have in common.

    What is at its default is left out, so that an option which a service or a later version adds forgets nothing that
    was bought before; what two purchases of one key must agree on besides is for ``purchase.serves`` to say.
    """
    return _key(provider, account, recording, chosen(quote))


def chosen(quote: Quote) -> dict[str, str]:
    """Return what of a quote is not at its default."""
    return {name: value for name, value in quote.sent.items() if value and quote.defaults.get(name) != value}


def describe_options(quote: Quote) -> str:
    """Return the options of a quote that are not at their defaults, as stems carry them in their tags."""
    options = {name.removeprefix(_OPTION): value for name, value in chosen(quote).items() if name != _MODEL}
    return ",".join(f"{name}={value}" for name, value in sorted(options.items()))


def purchase_keys(provider: str, account: str, recordings: Iterable[str], quote: Quote) -> list[str]:
    """Return every key under which a purchase may stand: of each id its recording had, and with defaults spelled out.

    The latter are those of jobs from before there were purchases, whose options say nothing of defaults.
    """
    full = {name: value for name, value in quote.sent.items() if value}
    keys = [
        key
        for recording in recordings
        for key in (purchase_key(provider, account, recording, quote), _key(provider, account, recording, full))
    ]
    return list(dict.fromkeys(keys))


def _key(provider: str, account: str, recording: str, sent: Mapping[str, str]) -> str:
    text = json.dumps([provider, account, recording, sent], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _needed_depth(wish: Separation, plan: Plan, source: Source) -> int:
    """Return the bits that stems of a source need: no more than it has, nor than the stems are written with."""
    if plan.is_output_wished and plan.output in FORMATS:
        return _bits(plan.output)
    has = _DEEP_BITS if source.encoding in _DEEP else _SHALLOW_BITS
    return min(has, _bits(wish.format)) if wish.format in FORMATS else has


def _bits(name: str) -> int:
    known = FORMATS[name]
    return (known.bits or 32) if known.is_lossless else _SHALLOW_BITS
