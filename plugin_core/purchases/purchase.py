"""A purchase: one thing that one account was charged for, and where its results are to be had.

===========  =========================================================================
state        meaning
===========  =========================================================================
intent       committed before the paid call, which may go out at any moment
sent         the call went out and its answer was lost; it is looked for
running      the service has it
ready        the service is done; its results are named
kept         its results lie whole in stembridge's own folder
expired      charged, and its results are to be had nowhere any more
cancelled    costs nothing: never made, taken back in time, or failed at the service
unknown      it is not known whether the service took it
===========  =========================================================================
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.audio.formats import FORMATS
from plugin_core.model import Job, Label, Plan, Quote, RemoteFile, Separation, Source, Ticket, count_credits


class PurchaseState(StrEnum):
    """Where a purchase is in its life; each state is committed before the effect it names."""

    INTENT = "intent"
    SENT = "sent"
    RUNNING = "running"
    READY = "ready"
    KEPT = "kept"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def is_held(self) -> bool:
        """Whether its results are to be had without paying again, as far as is known."""
        return self in _HELD

    @property
    def is_open(self) -> bool:
        """Whether it has to be found out at the service if there is anything at all."""
        return self in _OPEN


_HELD: Final = frozenset({PurchaseState.RUNNING, PurchaseState.READY, PurchaseState.KEPT})
_OPEN: Final = frozenset({PurchaseState.INTENT, PurchaseState.SENT, PurchaseState.UNKNOWN})

ALL: Final = "all"
"""In place of dimensions: every one that the tagger knows."""


class KeptPart(msgspec.Struct, frozen=True, kw_only=True):
    """One result that lies in the purchase's folder."""

    stem: str
    label: str
    name: str
    """Of its file."""
    size: int
    is_audio: bool = True
    exact: bool = False
    sha256: str = ""
    """Of its bytes, where it lies in a bucket for all machines."""


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """What one account was charged for, as the store holds it."""

    id: str
    """The submission key: unique for ever, known to the service."""
    key: str
    """What equal purchases have in common."""
    state: PurchaseState
    provider: str
    account: str
    recording: str
    quote: Quote
    """What was sent, and its price."""
    song: Path
    """The file that was sent, as it was called then."""
    created: float
    updated: float
    ticket: Ticket | None = None
    results: tuple[RemoteFile, ...] = ()
    labels: tuple[Label, ...] = ()
    kept: tuple[KeptPart, ...] = ()
    note: dict[str, str] = {}
    """What the provider noted of it, by name; no secrets."""
    register_seconds: float = 0.0
    """How long the service's lists may miss it, as the provider said when it was sent."""
    sent: float = 0.0
    """When the service took it, or it was found there; 0 before."""
    looked_since: float = 0.0
    """Since when it is looked for, its answer being lost; 0 for never."""
    unclear_since: float = 0.0
    """Since when nothing that the service says of it is understood; 0 when the last word was."""
    ended: float = 0.0
    """When the service was done with it; 0 before."""
    spoilt: int = 0
    """How often in a row what was fetched of it was no good."""
    is_released: bool = False
    """Whether the service was told to forget it."""
    reason: str = ""
    """Why it is cancelled or expired, in words for people."""


def serves(purchase: Purchase, quote: Quote) -> bool:
    """Tell whether a purchase of the same key holds all that a quote would buy."""
    return is_enough(purchase.quote, quote)


BEFORE: Final = "bought before, "
STANDS: Final = "its stems stand already, only "
"""How a plan's notes of what was bought or made earlier begin."""


def notes_of_results(job: Job) -> tuple[str, ...]:
    """Return the notes of a job that hold for its results: what its plan found of earlier ones is no other job's."""
    return tuple(note for note in job.notes if not note.startswith((BEFORE, STANDS)))


def describe_time(purchase: Purchase) -> str:
    """Say when a purchase was made, and what it cost where that is known: ``on 2026-11-30 for 1 credit``."""
    price = f" for {count_credits(purchase.quote.credits)}" if purchase.quote.credits else ""
    return f"on {time.strftime('%Y-%m-%d', time.localtime(purchase.created))}{price}"


def describe_bought(purchase: Purchase, *, is_expired: bool) -> str:
    """Say of a purchase when it was made, and whether its results are still to be had.

    Args:
        purchase: what was bought.
        is_expired: whether its service has probably removed them by now.
    """
    what = f"{BEFORE}{describe_time(purchase)}"
    if is_expired:
        return f"{what}: probably expired, and looked for at the service before anything is bought"
    if purchase.state.is_held:
        return f"{what}: costs nothing now"
    if purchase.state.is_open:
        return f"{what}, perhaps: it is looked for at the service first"
    return f"{what}, and {purchase.reason or 'its results are gone'}"


def is_enough(bought: Quote, quote: Quote) -> bool:
    """Tell whether what was bought under a key holds all that a quote of the same key would buy.

    One that differs in the service's output format alone serves where that is lossless and deep enough; of labels, one
    that asked for as many dimensions.
    """
    common = bought.sent.keys() & quote.sent.keys()
    if any(bought.sent[name] != quote.sent[name] for name in common):
        return False
    if ALL not in bought.dimensions and not set(quote.dimensions) <= set(bought.dimensions):
        return False
    return bought.output == quote.output or _depth(bought.output) >= quote.depth


def _depth(output: str) -> int:
    """Return the bits of a lossless format, 0 for a lossy or unknown one."""
    known = FORMATS.get(output)
    if known is None or not known.is_lossless:
        return 0
    return known.bits or 32


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on one source, planned and not yet begun."""

    source: Source
    plan: Plan
    """With its price, which counts if what was bought before turns out to be gone and is bought again."""
    remote: bool = False
    """Whether a service does it, which may cost money even where no price is known."""
    files: Mapping[str, Path] = {}
    """What would be made, by stem and by session format; known in a dry run."""
    standing: Job | None = None
    """The job whose results stand already, so that nothing is to be made."""
    purchase: Purchase | None = None
    """What was bought before of it, whose results may be to be had, or gone."""
    force: bool = False
    """Whether it is bought for itself, whatever serves it."""

    @property
    def has_price(self) -> bool:
        """Whether it costs money, or may, where nobody bought it before."""
        return self.purchase is not None or (self.remote if self.plan.credits is None else self.plan.credits > 0)

    @property
    def credits(self) -> float | None:
        """What is still to be paid, as far as is known."""
        return 0.0 if self.standing is not None or self.is_bought else self.plan.credits

    @property
    def is_bought(self) -> bool:
        """Whether it has a price and costs nothing, since it was bought before, as far as is known."""
        return self.has_price and (self.standing is not None or self._is_had)

    @property
    def is_paid(self) -> bool:
        """Whether doing it costs money, or may."""
        return self.has_price and not self.is_bought

    @property
    def is_begun(self) -> bool:
        """Whether its paid call was begun and nobody heard an answer: it is bought if the service has not got it."""
        is_open = self.purchase is not None and self.purchase.state in (PurchaseState.INTENT, PurchaseState.SENT)
        return is_open and self.standing is None

    @property
    def is_bought_again(self) -> bool:
        """Whether it was paid for before, and would have to be paid for again."""
        return self.purchase is not None and self.is_paid

    @property
    def _is_had(self) -> bool:
        return self.purchase is not None and (self.purchase.state.is_held or self.purchase.state.is_open)


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


def each_purchase(offers: Iterable[Offer]) -> Iterator[Offer]:
    """Yield the offers of one provider that are paid for; of those that one purchase serves, the first."""
    bought: dict[str, list[Quote]] = {}
    for offer in offers:
        if not offer.is_paid:
            continue
        quote = make_quote(offer.plan, offer.source)
        alike = bought.setdefault(purchase_key("", "", offer.source.content, quote), [])
        if offer.force or not any(is_enough(one, quote) for one in alike):
            yield offer
        alike.append(quote)


def _needed_depth(wish: Separation, plan: Plan, source: Source) -> int:
    """Return the bits that stems of a source need: no more than it has, nor than the stems are written with."""
    if plan.is_output_wished and plan.output in FORMATS:
        return _bits(plan.output)
    has = _DEEP_BITS if source.encoding in _DEEP else _SHALLOW_BITS
    return min(has, _bits(wish.format)) if wish.format in FORMATS else has


def _bits(name: str) -> int:
    known = FORMATS[name]
    return (known.bits or 32) if known.is_lossless else _SHALLOW_BITS
