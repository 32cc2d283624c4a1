"""Plans, and what is checked about every one, whoever made it, before anything is spent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from plugin_core.audio.ffmpeg import find_encoder
from plugin_core.audio.formats import resolve_format
from plugin_core.audio.probe import check_separable
from plugin_core.errors import UsageError, blame
from plugin_core.model import Operation, Plan, Separation, Source, Tagging
from plugin_core.operations.links import Links
from plugin_core.registry import Registry
from plugin_core.stem_names import canonical, parts_of
from plugin_core.tags.rules import check_rules

if TYPE_CHECKING:
    from plugin_core.tags.exchange import ReplaceOptions


class Planner:
    """Asks providers what they will do.

    Args:
        registry: the providers.
        links: makes sources readable for providers that take links.
        replace_options: tells how files are replaced.
    """

    def __init__(self, registry: Registry, links: Links, replace_options: Callable[[], ReplaceOptions]) -> None:
        self._registry = registry
        self._links = links
        self._replace_options = replace_options

    async def plan(self, source: Source, operation: Operation) -> Plan:
        """Check an operation and fill in its defaults.

        Raises:
            StembridgeError: the operation cannot be done to this source.
            PluginError: the provider raised something it may not.
        """
        if isinstance(operation, Tagging):
            return check_plan(await self._plan_tagging(source, operation), source)
        return check_plan(await self._plan_separation(source, operation), source)

    async def _plan_separation(self, source: Source, wish: Separation) -> Plan:
        check_separable(source.path, source)
        separator = self._registry.separator(wish.provider)
        self._links.check(separator)
        with blame(wish.provider):
            return await separator.plan(source, wish)

    async def _plan_tagging(self, source: Source, wish: Tagging) -> Plan:
        from plugin_core.tags.tagger import check_taggable

        check_rules(wish)
        tagger = self._registry.tagger(wish.provider)
        self._links.stager_for(tagger)
        if wish.write:
            await asyncio.to_thread(check_taggable, source.path, self._replace_options())
        with blame(tagger.name):
            return await tagger.plan(source, msgspec.structs.replace(wish, provider=tagger.name))


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
    given = {canonical(stem) for stem in plan.stems}
    missing = [stem for stem in wish.stems if not parts_of([stem], given) <= given]
    missing += [stem for stem in wish.minus if canonical(stem) not in given]
    if given and missing:
        raise UsageError(
            f"{wish.provider} {wish.model} gives no {missing[0]!r}", remedy=f"choose of {', '.join(plan.stems)}"
        )
    chosen = resolve_format(wish.format, source)
    if not chosen.is_lossless:
        find_encoder(chosen.name)
    return msgspec.structs.replace(plan, operation=msgspec.structs.replace(wish, format=chosen.name))
