"""Plans: what is checked about every one before anything is spent, what it will need on the disk and put there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from plugin_core.audio.ffmpeg import find_encoder
from plugin_core.audio.formats import FORMATS, float_format, resolve_format
from plugin_core.audio.overload import must_stay_open, widest_format
from plugin_core.audio.probe import check_separable
from plugin_core.errors import UsageError, blame, refusal_of
from plugin_core.model import Operation, Part, Plan, Separation, Source, Tagging
from plugin_core.operations.orders import Links
from plugin_core.protocols import Separator
from plugin_core.registry import Registry
from plugin_core.settings import Settings
from plugin_core.stem_names import canonical, parts_of, title
from plugin_core.stems.staging_folder import CD_RATE, Amount, estimate_bytes
from plugin_core.tags.labels import check_rules
from plugin_core.wishes import STEMS

if TYPE_CHECKING:
    from plugin_core.tags.exchange import ReplaceOptions


_USUAL_PARTS: Final = 4
"""Parts of a model that does not say how many it gives."""


async def make_plan(
    source: Source,
    operation: Operation,
    registry: Registry,
    links: Links,
    replace_options: Callable[[], ReplaceOptions],
) -> Plan:
    """Let the provider of an operation check it and fill in its defaults.

    Args:
        source: the song.
        operation: what is wanted.
        registry: the providers.
        links: makes sources readable for providers that take links.
        replace_options: tells how files are replaced.

    Raises:
        StembridgeError: the operation cannot be done to this source.
        PluginError: the provider raised something it may not.
    """
    if isinstance(operation, Separation):
        check_separable(source.path, source)
        separator = registry.separator(operation.provider)
        with blame(operation.provider):
            plan = await separator.plan(source, operation)
        return check_plan(_add_refusal(plan, partial(links.check, separator)), source)
    from plugin_core.tags.tagger import check_taggable

    check_rules(operation)
    tagger = registry.tagger(operation.provider)
    if operation.write:
        await asyncio.to_thread(check_taggable, source.path, replace_options())
    with blame(tagger.name):
        plan = await tagger.plan(source, msgspec.structs.replace(operation, provider=tagger.name))
    return check_plan(_add_refusal(plan, partial(links.stager_for, tagger)), source)


def _add_refusal(plan: Plan, check: Callable[[], object]) -> Plan:
    return msgspec.structs.replace(plan, refusal=plan.refusal or refusal_of(check))


def check_plan(plan: Plan, source: Source) -> Plan:
    """Return the plan with its concrete format.

    Raises:
        UsageError: an unknown format or one that needs ffmpeg where there is none, a stem that the model does not
            give, or a rule for tags that means nothing.
        SourceError: the source does not fit the format.
    """
    wish = plan.operation
    if isinstance(wish, Tagging):
        check_rules(wish)
        return plan
    if wish.as_is and (wish.minus or wish.residual):
        raise UsageError(
            f"{wish.provider} {wish.model} is taken as it comes: nothing can be subtracted from the song",
            remedy="leave out --minus and --residual",
        )
    given = {canonical(stem) for stem in plan.stems}
    missing = [stem for stem in wish.stems if not parts_of([stem], given) <= given]
    missing += [stem for stem in wish.minus if canonical(stem) not in given]
    if given and missing:
        raise UsageError(
            f"{wish.provider} {wish.model} gives no {missing[0]!r}", remedy=f"choose of {', '.join(plan.stems)}"
        )
    chosen = resolve_format(wish.format, source)
    if chosen.needs_ffmpeg:
        find_encoder(chosen.name)
    return msgspec.structs.replace(plan, operation=msgspec.structs.replace(wish, format=chosen.name))


async def bytes_needed(source: Source, wish: Separation, separator: Separator) -> int:
    """Return the most that a separation takes at once where its results go, head room for others included.

    Args:
        source: what is separated.
        wish: as the plan resolved it.
        separator: who does it.
    """
    fetched = await _count_parts(wish, separator)
    return estimate_bytes(list_amounts(source, wish, fetched, is_remote=separator.remote), source)


async def _count_parts(wish: Separation, separator: Separator) -> int:
    """Return how many parts are fetched: all that the model gives, wanted or not."""
    with blame(separator.name):
        models = await separator.models()
    return max((len(model.stems) for model in models if model.id == wish.model), default=0) or _USUAL_PARTS


def list_amounts(source: Source, wish: Separation, fetched: int, *, is_remote: bool) -> list[Amount]:
    """Return the files that exist at once when the last stem is written, at most.

    Every part is there, in the format of the stems or, where that is lossy, in what they are made from; beside them
    the stems that are wanted. A service is sent the source, and may answer a mono or low-rate one in CD quality.

    Args:
        source: what is separated.
        wish: as the plan resolved it.
        fetched: how many parts the model gives.
        is_remote: whether a service separates.
    """
    chosen = resolve_format(wish.format, source)
    lossless = chosen if chosen.is_lossless else resolve_format("", source)
    if must_stay_open(wish.on_overload, source.encoding):
        lossless = float_format(lossless, source)
    parts = len(wish.stems) or (0 if wish.minus else fetched)
    return [
        Amount(int(is_remote), lossless),
        Amount(fetched, lossless, least_rate=CD_RATE if is_remote else 0),
        Amount(parts + len(wish.minus) + wish.residual, widest_format(chosen, wish.on_overload, source)),
    ]


def foresee_files(settings: Settings, source: Source, plan: Plan) -> dict[str, Path]:
    """Return the files this plan would give now, by stem; empty where nothing is placed or nothing is known yet.

    Raises:
        UsageError: the template is wrong.
        PlacementError: a wanted stem is none of the model's.
    """
    # They look into songs; plans that are not previewed do without.
    from plugin_core.operations.projects import file_names
    from plugin_core.operations.stem_tags import read_fields
    from plugin_core.stems.layout import Layout, choose_template, template_values
    from plugin_core.stems.products import list_products
    from plugin_core.stems.publication import choose_target

    wish = plan.operation
    if not isinstance(wish, Separation) or not plan.stems or wish.format not in FORMATS:
        return {}
    template = choose_template(wish.template, settings.section("stems", STEMS))
    parts = [Part(stem=stem, label=stem, path=Path(stem)) for stem in plan.stems]
    names = [product.name for product in list_products(parts, wish)[0]]
    tags = read_fields(source.path, template)
    suffix = FORMATS[wish.format].suffix
    paths = tuple(
        template.render(
            template_values(
                source.path, title=title(name), suffix=suffix, provider=wish.provider, model=wish.model or "default"
            )
            | tags
        )
        for name in names
    )
    files = file_names(source, wish)
    layout = Layout(Path("preview"), template.depth, paths).with_beside(files.values())
    destination = wish.to or source.path.parent
    target = choose_target(layout, destination)
    _, number = layout.locate(target)
    return dict(zip([*names, *files], layout.files_at(destination, number), strict=True))
