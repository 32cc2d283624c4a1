"""``stembridge models``: what songs can be split into, by whom, and for how much."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import click
import msgspec

from plugin_core.abilities import FindsModels
from plugin_core.cli.commands.completion import remember_models
from plugin_core.console.context import Context
from plugin_core.console.groups import examples
from plugin_core.console.json_lines import describe_count, describe_error, write_record
from plugin_core.console.options import JSON_OPTION, read_name
from plugin_core.console.phrases import clean, count_credits
from plugin_core.console.tables import print_table, print_wrapped
from plugin_core.errors import StembridgeError, UsageError, blame, suggest
from plugin_core.model import Model, ModelOption, from_json, to_json
from plugin_core.protocols import Separator
from plugin_core.session import Session


@examples("stembridge models drums", "stembridge models --provider local", "stembridge models mvsep 40")
@click.command("models")
@click.argument("words", nargs=-1, metavar="[SEARCH | PROVIDER MODEL]")
@click.option("--provider", metavar="NAME", callback=read_name, help="Only this one; default all.")
@JSON_OPTION
@click.pass_obj
def command(context: Context, words: tuple[str, ...], provider: str | None, as_json: bool) -> int:
    """List models: what the providers can split a song into.

    SEARCH is looked for in providers, ids, names, stems and descriptions. PROVIDER and MODEL show one model with all
    its options.
    """
    search = " ".join(words)
    with context.session() as session:
        if len(words) > 1 and words[0] in session.registry.separators and provider is None:
            return _show_one(session, words[0], " ".join(words[1:]), as_json=as_json)
        names = [provider] if provider else sorted(session.registry.separators)
        found, errors = asyncio.run(_find(session, names, search))
        if not search:
            remember_models(session, {name: [one for its, one in found if its == name] for name, _ in found})
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
            "" if model.name == model.id else _short_name(model),
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


def _show_one(session: Session, provider: str, word: str, *, as_json: bool) -> int:
    with blame(provider):
        model = asyncio.run(_find_one(session.separator(provider), word))
    if as_json:
        write_record({"event": "model", "provider": provider} | msgspec.structs.asdict(model))
        write_record(describe_count(1, 0))
        return 0
    facts = {
        "model": model.id if model.name == model.id else f"{model.id}, {model.name}",
        "provider": provider,
        "takes": "" if model.takes == "song" else model.takes,
        "stems": ", ".join(model.stems),
        "results": model.results and f"{model.results}, placed as they come",
        "price/min": _price(model),
        "rating": "" if model.rating is None else f"{model.rating:.1f}",
        "about": model.summary,
    }
    for name, text in facts.items():
        print_wrapped(f"{name:<10}", text)
    for option in model.options:
        click.echo()
        _print_option(option)
    return 0


async def _find_one(separator: Separator, word: str) -> Model:
    if isinstance(separator, FindsModels):
        return await separator.model(word)
    wanted, models = word.casefold(), await separator.models()
    for model in models:
        if wanted in (model.id.casefold(), model.name.casefold()):
            return model
    remedy = f"`stembridge models --provider {separator.name}` lists them"
    raise UsageError(
        f"{separator.name} has no model {word!r}", remedy=suggest(word, [one.id for one in models], remedy)
    )


def _print_option(option: ModelOption) -> None:
    usual = f"default {option.default}" if option.default else "required" if option.is_required else ""
    kind = "" if option.choices else "any text"
    told = ", ".join(filter(None, (option.title, kind, usual, option.when)))
    print_wrapped(f"--option {option.name}=  ", told)
    size = max(map(len, option.choices), default=0)
    for key, text in option.choices.items():
        price = f" (price x {option.multipliers[key]})" if key in option.multipliers else ""
        print_wrapped(f"    {key:<{size}}  ", text + price)


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
                # Held against its declaration here, where it is still known whose it is.
                models = [from_json(to_json(model), Model) for model in await separator.models()]
                matching = [model for model in models if _matches(name, model, search)]
                if search and not matching and isinstance(separator, FindsModels):
                    with suppress(UsageError):
                        matching = [await separator.model(search)]
                found += [(name, model) for model in matching]
        except StembridgeError as error:
            errors[name] = error
    return found, errors


def _matches(provider: str, model: Model, search: str) -> bool:
    text = " ".join((provider, model.id, model.name, model.summary, *model.stems)).casefold()
    return all(word in text for word in search.casefold().split())


def _short_name(model: Model) -> str:
    """Return a name without the stems behind it, which have a column of their own."""
    return model.name.partition(" (")[0] if model.stems else model.name


def _price(model: Model) -> str:
    price = count_credits(model.credits_per_minute) if model.credits_per_minute else clean(model.price) or "free"
    return price if model.access == "everyone" else f"{price}, {model.access}"
