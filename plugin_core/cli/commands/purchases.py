"""``stembridge purchases``: what was bought, when, for how much, and where it is."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from plugin_core.console.context import Context
from plugin_core.console.groups import examples
from plugin_core.console.json_lines import describe_count, write_record
from plugin_core.console.options import JSON_OPTION, read_name
from plugin_core.console.phrases import clean, encodable, plural, show
from plugin_core.console.tables import print_table, unique_length
from plugin_core.model import Job, Stem, amount, count_credits
from plugin_core.purchases.purchase import Purchase, PurchaseState

MODEL = "model"


class Sum(msgspec.Struct, frozen=True):
    """What one service took on one day."""

    day: str
    provider: str
    purchases: int
    credits: float


@examples("stembridge purchases --provider mvsep", "stembridge purchases 0192f4c1 --json")
@click.command("purchases")
@click.argument("ids", metavar="[ID...]", nargs=-1)
@click.option("--provider", metavar="NAME", callback=read_name, help="Only of this service.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="The newest so many.")
@JSON_OPTION
@click.pass_obj
def command(context: Context, ids: tuple[str, ...], provider: str | None, limit: int, as_json: bool) -> None:
    """Show what was bought: date, song, service, model, price, state, and where its stems are.

    ID is that of a purchase or the service's own. A purchase outlives its jobs: `stembridge fetch` places its stems
    again for as long as they are kept here or at the service. The sums of each day are of the purchases shown.
    """
    with context.session() as session:
        ledger = session.store.purchases
        chosen = [ledger.get(one) for one in ids] if ids else ledger.list(provider=provider or "", limit=limit)
        placed = {one.id: session.store.placed_of(one) for one in chosen}
        songs = session.store.songs_of(chosen)
        chosen = [msgspec.structs.replace(one, song=song) for one, song in zip(chosen, songs, strict=True)]
    sums = list(add_up(chosen))
    if as_json:
        for purchase in chosen:
            write_record(describe(purchase, placed[purchase.id]))
        for one in sums:
            write_record({"event": "spent"} | msgspec.structs.asdict(one))
        write_record(describe_count(len(chosen)))
        return
    if not chosen:
        click.echo("nothing was bought yet")
        return
    _show(chosen, placed)
    click.echo()
    for one in sums:
        price = f", {count_credits(one.credits)}" if one.credits else ""
        click.echo(f"{one.day}  {one.provider}: {plural(one.purchases, 'purchase')}{price}")


def describe(purchase: Purchase, jobs: Sequence[Job]) -> dict[str, Any]:
    quote = purchase.quote
    return {
        "event": "purchase",
        "id": purchase.id,
        "state": purchase.state.value,
        "reason": encodable(purchase.reason),
        "source": purchase.song,
        "provider": purchase.provider,
        "account": purchase.account,
        "model": quote.sent.get(MODEL, ""),
        "title": encodable(quote.title),
        "options": {name.partition(".")[2]: value for name, value in quote.sent.items() if name != MODEL},
        "credits": quote.credits,
        "remote_id": "" if purchase.ticket is None else encodable(purchase.ticket.remote_id),
        "created": purchase.created,
        "updated": purchase.updated,
        "kept": sum(part.size for part in purchase.kept),
        "stems": [{"name": stem.name, "path": stem.path} for stem in _standing(jobs)],
        "jobs": [job.id for job in jobs],
    }


def add_up(purchases: Sequence[Purchase]) -> Iterator[Sum]:
    """Yield what each service took on each local day, the newest first; what cost nothing does not count."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for purchase in purchases:
        if purchase.state is not PurchaseState.CANCELLED:
            day = time.strftime("%Y-%m-%d", time.localtime(purchase.created))
            found[day, purchase.provider].append(purchase.quote.credits or 0.0)
    for (day, provider), prices in found.items():
        yield Sum(day, provider, len(prices), sum(prices))


def _show(purchases: Sequence[Purchase], placed: dict[str, list[Job]]) -> None:
    length = unique_length([purchase.id for purchase in purchases])
    rows = [
        (
            purchase.id[:length],
            time.strftime("%Y-%m-%d %H:%M", time.localtime(purchase.created)),
            purchase.state.value,
            " ".join(filter(None, (purchase.provider, purchase.quote.title or purchase.quote.sent.get(MODEL, "")))),
            "" if purchase.quote.credits is None else amount(purchase.quote.credits),
            "" if purchase.ticket is None else clean(purchase.ticket.remote_id),
            _where(purchase, placed[purchase.id]),
        )
        for purchase in purchases
    ]
    print_table(("ID", "BOUGHT", "STATE", "FROM", "CREDITS", "REMOTE ID", "SONG: ITS STEMS"), rows)


def _where(purchase: Purchase, jobs: Sequence[Job]) -> str:
    folders = dict.fromkeys(_beside(purchase.song, stem.path.parent) for stem in _standing(jobs))
    where = " and ".join(folders) or ("labels" if purchase.labels else clean(purchase.reason))
    return f"{show(purchase.song)}: {where}" if where else show(purchase.song)


def _standing(jobs: Sequence[Job]) -> Iterator[Stem]:
    return (stem for job in jobs for stem in job.stems if os.path.lexists(stem.path))


def _beside(song: Path, folder: Path) -> str:
    """Return a folder as people are told of it after its song: by its name alone where it lies beside that."""
    return clean(folder.name) if folder.parent == song.parent else show(folder)
