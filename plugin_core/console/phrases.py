"""Numbers, paths, operations and prices in words for people."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from plugin_core.model import Job, JobState, Operation, Separation, count_credits, disarm, show_path
from plugin_core.tags.labels import PROVENANCE

if TYPE_CHECKING:
    from plugin_core.purchases.purchase import Offer

_UNIT_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


_CLOCK = "%H:%M"
_BREAK = re.compile("[ ]*[\t\n\v\f\r\x85\u2028\u2029]+[ ]*")


_in_host_words: Callable[[str], str] = str


def speak_as(words: Callable[[str], str]) -> None:
    """Let every text for people name commands as somebody knows them who does not call ours by its own name.

    Args:
        words: turns a text into the host's words; what it made once it leaves as it is.
    """
    global _in_host_words
    _in_host_words = words


def clean(text: str) -> str:
    """Return text from outside as one line that steers no terminal: line ends become a space, the rest escapes.

    Cleaning twice changes nothing more.
    """
    # As nearly all texts are: none has a line end then.
    return _in_host_words(text if text.isprintable() else disarm(_BREAK.sub(" ", text)))


def encodable(text: str) -> str:
    """Return text that JSON can hold, else as it is; bytes of odd file names become escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def show(path: Path) -> str:
    """Write a path for people: relative where it lies below the current folder."""
    try:
        return show_path(path.relative_to(Path.cwd()))
    except (ValueError, FileNotFoundError):
        return show_path(path)


def say_of(source: Path, text: str) -> str:
    """Write what is said of a file with the file's name, once, as short as everywhere else."""
    shown = show(source)
    for name in (str(source), show_path(source)):
        if name in text:
            return text.replace(name, shown)
    return f"{shown}: {text}" if text else shown


def plural(count: int, noun: str) -> str:
    """Write a count with its noun: 1 song, 2 songs."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def span(seconds: float) -> str:
    """Write a time span in at most two units: 12 s, 3 min 20 s, 2 h 5 min, 4 d 3 h."""
    whole = max(0, round(seconds))
    for unit, size, below, below_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // below_size
            return f"{whole // size} {unit}" + (f" {rest} {below}" if rest else "")
    return f"{whole} s"


def short_span(seconds: float) -> str:
    """Write a time span in one unit, for a table: 45 s, 3 min, 2 h, 12 d."""
    return " ".join(span(seconds).split()[:2])


def parse_span(text: str) -> float:
    """Read a time span such as 30d, 12 h, 90min or 45s; return seconds.

    Raises:
        click.BadParameter: it is not one.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h|d|w)\s*", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a time span such as 30d, 12h or 90min")
    return float(match.group(1)) * _UNIT_SECONDS[match.group(2)]


def describe(operation: Operation, title: str = "") -> str:
    """Say in a few words what an operation does and with what; ``title`` is the model's name for people."""
    if not isinstance(operation, Separation):
        return f"{operation.provider}: label {', '.join(operation.dimensions) or 'everything'}"
    words = " ".join(word for word in (operation.provider, operation.model) if word)
    words += f" ({clean(title)})" if title else ""
    wanted = [*operation.stems, *(f"without {stem}" for stem in operation.minus)]
    return f"{words}: {', '.join(wanted)}" if wanted else words


def describe_form(operation: Operation) -> str:
    """Say in which form an operation gives what it does, and where: what tells two alike apart; "" for nothing."""
    if not isinstance(operation, Separation):
        return "" if operation.write else "only asked for"
    words = [
        *(f"{name}={value}" for name, value in sorted(operation.options.items())),
        operation.format,
        "residual" if operation.residual else "",
        "as it came" if operation.as_is else "",
        *operation.projects,
        f"to {show(operation.to)}" if operation.to is not None else "",
        f"as {operation.template}" if operation.template else "",
    ]
    return ", ".join(filter(None, words))


def describe_result(job: Job) -> str:
    """Say what a done job left: its stems and their folder, or its labels."""
    if job.stems:
        folders = list(dict.fromkeys(stem.path.parent for stem in job.stems))
        names = ", ".join(stem.name for stem in job.stems)
        return f"{names} in {' and '.join(show(folder) for folder in folders)}{_describe_projects(job)}"
    if job.written is not None:
        return describe_fields(job.written.fields) if job.written.fields else "nothing to write"
    return ", ".join(label.english or label.value for label in job.labels) or "nothing to write"


def _describe_projects(job: Job) -> str:
    names = [
        f"{show_path(Path(one.path.name))}{'' if one.sha256 else ' (yours, left as it is)'}" for one in job.projects
    ]
    return f", with {' and '.join(names)}" if names else ""


def describe_standing(job: Job) -> str:
    """Say of a job that needs no work where its results stand, or why there are none."""
    if job.written is not None and not job.written.fields:
        return f"nothing to write: {'; '.join(list_notes(job))}"
    return f"made before, {describe_result(job)}"


def describe_fields(fields: Mapping[str, Sequence[str]]) -> str:
    """Write what stands in tags: mood: Calm, Warm; genre: Rock."""
    told = {name: values for name, values in fields.items() if name != PROVENANCE}
    return "; ".join(f"{name}: {', '.join(values) or 'empty'}" for name, values in told.items())


def list_notes(job: Job) -> list[str]:
    """Return what else is worth a line about a done job, in words."""
    written = job.written
    if written is None:
        return list(job.notes)
    left: dict[str, list[str]] = {}
    for name, why in written.left.items():
        left.setdefault(why, []).append(name)
    told = "; ".join(f"{', '.join(names)} ({why})" for why, names in left.items())
    return [*job.notes, *written.notes, *([f"left alone: {told}"] if told else [])]


def percent(fraction: float | None) -> str:
    """Write a share as 40 %; nothing where it is not known."""
    return "" if fraction is None else f"{round(fraction * 100)} %"


def describe_place(job: Job) -> str:
    """Say where a job stands, beyond its share: place 3 of 7 in a queue, 2 of 4 files; nothing where nobody says."""
    progress = job.progress
    if progress is None:
        return ""
    words = []
    if (position := progress.queue_position) is not None:
        # Services count a queue and a place in it at different moments.
        is_sound = progress.queue_length is not None and progress.queue_length >= position
        words.append(f"place {position} of {progress.queue_length}" if is_sound else f"place {position} in the queue")
    if progress.parts_all is not None and progress.parts_all > 1:
        noun = "file" if job.state is JobState.FETCHING else "part"
        words.append(f"{progress.parts_done or 0} of {plural(progress.parts_all, noun)}")
    return ", ".join(words)


def describe_wait(job: Job) -> str:
    """Say what an unfinished job waits for; empty where it is in no trouble."""
    return f"waits: {describe_problem(job)}" if job.state.is_active and job.problem is not None else ""


_UNREACHABLE = re.compile("no connection|no answer|no whole answer|connection (was lost|ended)")
"""What our own transfers say of a service, or a network, that is away."""


def describe_outages(jobs: Iterable[Job]) -> list[str]:
    """Say for each provider and trouble how many unfinished jobs wait, and since when."""
    waiting: dict[tuple[str, str], list[float]] = {}
    for job in jobs:
        if job.state.is_active and (problem := job.problem) is not None:
            why = "" if _UNREACHABLE.search(problem.message) else problem.message
            waiting.setdefault((job.operation.provider, why), []).append(problem.since or job.updated)
    lines = []
    for (provider, why), times in waiting.items():
        since = time.strftime(_CLOCK, time.localtime(min(times)))
        count = f"{plural(len(times), 'job')} {'waits' if len(times) == 1 else 'wait'}"
        told = f"{count} since {since}: {why}" if why else f"not reachable since {since}, {count}"
        lines.append(clean(f"{provider or 'tagging'}: {told}"))
    return lines


def describe_problem(job: Job) -> str:
    """Say why a job failed or waits, and what to do."""
    problem = job.problem
    told = f"{problem.message}; {problem.remedy}" if problem and problem.remedy else problem.message if problem else ""
    if job.state is JobState.UNCONFIRMED and "jobs retry" not in told:
        return f"{told or 'the service may have it'}; if it has not: stembridge jobs retry {job.id}"
    return told


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
    """Tracks that cost nothing, since they were bought before, or with another of this run."""


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
    paid = Counter(offer.plan.operation.provider for offer in offers if offer.is_paid)
    return "; ".join(
        _describe_price(price, begun[price.provider], paid[price.provider] - price.tracks)
        for price in list_prices(offers)
    )


def describe_question(offers: Sequence[Offer]) -> str:
    """Return what is asked before money is spent; what would be bought a second time is said."""
    again = sum(offer.is_bought_again for offer in offers)
    bought = f" {again} of them were bought before, and their results are gone." if again else ""
    return f"{describe_price(offers)}.{bought} Go on?"


def has_price(offers: Sequence[Offer]) -> bool:
    """Tell whether anything of this is paid for, or may be."""
    return any(offer.is_paid for offer in offers)


def _price_of(provider: str, offers: Sequence[Offer]) -> Price:
    from plugin_core.purchases.purchase import each_purchase

    prices = [offer.plan.credits for offer in each_purchase(offers)]
    known = [price for price in prices if price is not None]
    return Price(
        provider=provider,
        tracks=len(prices),
        # A sum without those that are not known would promise too little.
        credits=sum(known, 0.0) if len(known) == len(prices) else None,
        bought=len(offers) - len(prices),
    )


def _describe_price(price: Price, begun: int, shared: int) -> str:
    cost = "price not known" if price.credits is None else f"about {count_credits(price.credits)}"
    counts = {
        f", {cost}": price.tracks,
        " from the same purchase, at no cost": shared,
        " bought already, at no cost": price.bought - begun - shared,
        " begun before, bought only where the service has not got them": begun,
    }
    (first, count), *rest = ((what, count) for what, count in counts.items() if count)
    more = "".join(f", and {count}{what}" for what, count in rest)
    return f"{plural(count, 'track')} with {clean(price.provider)}{first}{more}"
