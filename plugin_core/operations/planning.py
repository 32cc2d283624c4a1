"""What is checked about every plan, whoever made it, before anything is spent."""

from __future__ import annotations

import msgspec

from plugin_core.audio.ffmpeg import find_encoder
from plugin_core.audio.formats import resolve_format
from plugin_core.errors import UsageError
from plugin_core.model import Plan, Source, Tagging
from plugin_core.stem_names import canonical
from plugin_core.tags.rules import check_rules


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
    missing = [stem for stem in (*wish.stems, *wish.minus) if given and canonical(stem) not in given]
    if missing:
        raise UsageError(
            f"{wish.provider} {wish.model} gives no {missing[0]!r}", remedy=f"choose of {', '.join(plan.stems)}"
        )
    chosen = resolve_format(wish.format, source)
    if not chosen.is_lossless:
        find_encoder(chosen.name)
    return msgspec.structs.replace(plan, operation=msgspec.structs.replace(wish, format=chosen.name))
