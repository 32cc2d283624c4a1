"""``stembridge models``: what songs can be split into, by whom, and for how much."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click
import msgspec

from plugin_core.abilities import FetchesModels, FindsModels, ModelOffer
from plugin_core.cli.commands.completion import remember_models
from plugin_core.console.answers import confirm
from plugin_core.console.context import Context
from plugin_core.console.groups import examples
from plugin_core.console.json_lines import describe_count, describe_error, write_record
from plugin_core.console.options import JSON_OPTION, read_name
from plugin_core.console.phrases import clean, plural, show
from plugin_core.console.tables import print_table, print_wrapped
from plugin_core.errors import StembridgeError, UsageError, blame, suggest
from plugin_core.model import Model, ModelOption, count_credits, from_json, to_json
from plugin_core.protocols import Separator
from plugin_core.session import Session

FETCH: Final = "fetch"


@examples(
    "stembridge models drums",
    "stembridge models --provider local",
    "stembridge models mvsep 40",
    "stembridge models fetch umxhq",
    "stembridge models fetch umxhq vocals",
    "stembridge models fetch htdemucs --model-file htdemucs.onnx",
)
@click.command("models")
@click.argument("words", nargs=-1, metavar="[SEARCH | PROVIDER MODEL | fetch MODEL [STEM]...]")
@click.option("--provider", metavar="NAME", callback=read_name, help="Only this one; default all.")
@click.option(
    "--model-file",
    "files",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path),
    help="With fetch: take this file, and ask no server; repeat.",
)
@click.option("-y", "--yes", is_flag=True, help="With fetch: do not ask.")
@JSON_OPTION
@click.pass_obj
def command(
    context: Context, words: tuple[str, ...], provider: str | None, files: tuple[Path, ...], yes: bool, as_json: bool
) -> int:
    """List models: what the providers can split a song into.

    SEARCH is looked for in providers, ids, names, stems and descriptions. PROVIDER and MODEL show one model with all
    its options. "fetch" fetches the files of a model that works on this machine, or those that give some stems, once
    size and licence are said.
    """
    search = " ".join(words)
    with context.session() as session:
        if words[:1] == (FETCH,):
            return _fetch(context, session, words[1:], files, yes=yes, as_json=as_json)
        if files or yes:
            raise UsageError("--model-file and --yes are for fetching", remedy="stembridge models fetch MODEL")
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


def _fetch(
    context: Context, session: Session, words: tuple[str, ...], files: tuple[Path, ...], *, yes: bool, as_json: bool
) -> int:
    """Bring a model here: say what it is, ask, fetch it or take the files that are named."""
    if not words:
        raise UsageError("which model shall be fetched?", remedy="stembridge models --provider neural lists them")
    stems = words[1:]
    name, engine, offer = _offer(session, words[0], stems)
    if offer.missing:
        _say_offer(offer)
        if files:
            taken = asyncio.run(engine.take_model(offer.id, files))
            click.echo(f"taken: {', '.join(map(clean, taken))}", err=True)
        else:
            confirm(f"Fetch {offer.id}?", yes=yes)
            asyncio.run(engine.fetch_model(offer.id, stems, _progress(context, as_json=as_json)))
    now = engine.offer_model(offer.id, stems)
    if not as_json:
        for path in now.here.values():
            click.echo(show(path))
    if now.missing:
        raise UsageError(f"of {offer.id} these are not here yet: {', '.join(now.missing)}", remedy="name them as well")
    return _show_one(session, name, offer.id, as_json=True) if as_json else 0


def _offer(session: Session, word: str, stems: tuple[str, ...]) -> tuple[str, FetchesModels, ModelOffer]:
    """Find who knows a model of that name.

    Raises:
        UsageError: nobody.
    """
    engines = {name: each for name, each in session.registry.separators.items() if isinstance(each, FetchesModels)}
    refused = UsageError("no engine here has models to fetch", remedy="`stembridge plugins` lists what is loaded")
    for name, each in engines.items():
        try:
            with blame(name):
                return name, each, each.offer_model(word, stems)
        except UsageError as error:
            refused = error
    raise refused


def _say_offer(offer: ModelOffer) -> None:
    """Say what it is before anything is asked of a server."""
    size = sum(offer.missing.values())
    count = plural(len(offer.missing), "file")
    use = {
        "allowed": "",
        "forbidden": "FOR RESEARCH, NOT FOR COMMERCIAL USE: ",
        "not stated": "WHETHER IT MAY BE USED COMMERCIALLY IS NOT STATED: ",
    }
    facts = {
        "model": f"{offer.id}, {offer.name}",
        "size": f"{size / 1e6:.0f} MB, {count}" if size else count,
        "licence": use.get(offer.commerce, "") + offer.licence,
        "by": offer.author,
        "page": offer.page,
        "from": ", ".join(sorted({urlsplit(each[0]).hostname or "" for each in offer.addresses.values() if each})),
        "into": show(offer.folder),
    }
    for name, text in facts.items():
        if text:
            click.echo(f"{name:<10}{clean(text)}", err=True)


def _progress(context: Context, *, as_json: bool) -> Callable[[int, int | None], None]:
    """Return what writes how far it is, on a terminal."""
    is_seen = sys.stderr.isatty() and not (context.quiet or as_json)

    def tell(there: int, total: int | None) -> None:
        if is_seen:
            share = f"\r{there / 1e6:.0f} of {(total or there) / 1e6:.0f} MB "
            click.echo(share, err=True, nl=there == total)

    return tell


def _show(found: list[tuple[str, Model]]) -> None:
    rows = [
        (
            name,
            model.id,
            "" if model.name == model.id else _short_name(model),
            _price(model),
            "" if model.rating is None else f"{model.rating:.1f}",
            model.state and f"{model.state}{_size(model)}",
            ", ".join(model.stems),
        )
        for name, model in found
    ]
    heads = ["PROVIDER", "MODEL", "NAME", "PRICE/MIN", "RATING", "FILES", "STEMS"]
    for column in (2, 4, 5):
        heads[column] = heads[column] if any(row[column] for row in rows) else ""
    print_table(heads, rows)
    if len(found) == 1:
        print_wrapped("", found[0][1].summary)


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
        "files": model.state and f"{model.state}{_size(model)}",
        "licence": model.licence,
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


def _size(model: Model) -> str:
    return f", {model.size / 1e6:.0f} MB" if model.size else ""


def _price(model: Model) -> str:
    price = count_credits(model.credits_per_minute) if model.credits_per_minute else clean(model.price) or "free"
    return price if model.access == "everyone" else f"{price}, {model.access}"
