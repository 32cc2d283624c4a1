"""``stembridge models``: what songs can be split into, by whom, and for how much."""

from __future__ import annotations

import asyncio

import click
import msgspec

from plugin_core.cli.display.records import write_record
from plugin_core.cli.display.table import print_table
from plugin_core.cli.display.words import amount
from plugin_core.cli.face import Face
from plugin_core.cli.options import JSON_OPTION
from plugin_core.errors import UsageError
from plugin_core.model import Model
from plugin_core.session import Session


@click.command("models")
@click.argument("search", required=False)
@click.option("--provider", metavar="NAME", help="Only this one; default all.")
@JSON_OPTION
@click.pass_obj
def command(face: Face, search: str | None, provider: str | None, as_json: bool) -> None:
    """List models: what the providers can split a song into.

    SEARCH is looked for in ids, names, stems and descriptions.
    """
    with face.session() as session:
        names = [provider] if provider else sorted(session.separators)
        found = asyncio.run(_find(session, names, search or ""))
    if as_json:
        for name, model in found:
            write_record({"event": "model", "provider": name} | msgspec.structs.asdict(model))
        return
    if not found:
        raise UsageError(f"no model matches {search!r}" if search else "no provider offers a model")
    rows = [
        (name, model.id, _price(model), "" if model.rating is None else f"{model.rating:.1f}", _stems(model))
        for name, model in found
    ]
    heads = ("PROVIDER", "MODEL", "PRICE/MIN", "RATING" if any(row[3] for row in rows) else "", "STEMS")
    print_table(heads, rows)


async def _find(session: Session, names: list[str], search: str) -> list[tuple[str, Model]]:
    found = []
    for name in names:
        found += [(name, model) for model in await session.separator(name).models() if _matches(model, search)]
    return found


def _matches(model: Model, search: str) -> bool:
    text = " ".join((model.id, model.name, model.summary, *model.stems)).casefold()
    return all(word in text for word in search.casefold().split())


def _price(model: Model) -> str:
    price = f"{amount(model.credits_per_minute)} credits" if model.credits_per_minute else "free"
    return price if model.access == "everyone" else f"{price}, {model.access}"


def _stems(model: Model) -> str:
    stems = ", ".join(model.stems)
    return stems if model.name in ("", model.id) else f"{stems} ({model.name})"
