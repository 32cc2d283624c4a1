"""``stembridge models``: what songs can be split into, by whom, and for how much."""

from __future__ import annotations

import asyncio

import click
import msgspec

from plugin_core.console.context import Context
from plugin_core.console.formatting import clean, count_credits
from plugin_core.console.json_lines import describe_count, describe_error, write_record
from plugin_core.console.options import JSON_OPTION, read_name
from plugin_core.console.tables import print_table
from plugin_core.errors import StembridgeError, UsageError, blame
from plugin_core.model import Model
from plugin_core.session import Session


@click.command("models")
@click.argument("search", required=False)
@click.option("--provider", metavar="NAME", callback=read_name, help="Only this one; default all.")
@JSON_OPTION
@click.pass_obj
def command(context: Context, search: str | None, provider: str | None, as_json: bool) -> int:
    """List models: what the providers can split a song into.

    SEARCH is looked for in providers, ids, names, stems and descriptions.
    """
    with context.session() as session:
        names = [provider] if provider else sorted(session.separators)
        found, errors = asyncio.run(_find(session, names, search or ""))
    if provider and errors:
        raise errors[provider]
    for name, error in errors.items():
        click.echo(f"stembridge: {clean(f'{name}: {error}')}", err=True)
    if not found and not errors:
        raise UsageError(f"no model matches {search!r}" if search else "no provider offers a model")
    code = 1 if errors else 0
    if as_json:
        for name, model in found:
            write_record({"event": "model", "provider": name} | msgspec.structs.asdict(model))
        for name, error in errors.items():
            write_record(describe_error(None, error) | {"provider": name})
        write_record(describe_count(len(found), code))
    elif found:
        _show(found)
    return code


def _show(found: list[tuple[str, Model]]) -> None:
    rows = [
        (
            name,
            model.id,
            "" if model.name == model.id else model.name,
            _price(model),
            "" if model.rating is None else f"{model.rating:.1f}",
            ", ".join(model.stems),
        )
        for name, model in found
    ]
    heads = ["PROVIDER", "MODEL", "NAME", "PRICE/MIN", "RATING", "STEMS"]
    for column in (2, 4):
        heads[column] = heads[column] if any(row[column] for row in rows) else ""
    print_table(heads, rows)


async def _find(
    session: Session, names: list[str], search: str
) -> tuple[list[tuple[str, Model]], dict[str, StembridgeError]]:
    """Return what matches, and what went wrong with which provider."""
    found: list[tuple[str, Model]] = []
    errors: dict[str, StembridgeError] = {}
    for name in names:
        try:
            separator = session.separator(name)
            with blame(name):
                found += [(name, model) for model in await separator.models() if _matches(name, model, search)]
        except StembridgeError as error:
            errors[name] = error
    return found, errors


def _matches(provider: str, model: Model, search: str) -> bool:
    text = " ".join((provider, model.id, model.name, model.summary, *model.stems)).casefold()
    return all(word in text for word in search.casefold().split())


def _price(model: Model) -> str:
    price = count_credits(model.credits_per_minute) if model.credits_per_minute else clean(model.price) or "free"
    return price if model.access == "everyone" else f"{price}, {model.access}"
