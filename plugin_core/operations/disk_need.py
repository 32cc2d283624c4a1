"""What a separation needs on the disk."""

from __future__ import annotations

from typing import Final

from plugin_core.audio.formats import float_format, resolve_format
from plugin_core.audio.overload import must_stay_open
from plugin_core.model import Separation, Source
from plugin_core.protocols import Separator
from plugin_core.stems.fit import widest_format
from plugin_core.stems.space import CD_RATE, Amount, estimate_bytes

_USUAL_PARTS: Final = 4
"""Parts of a model that does not say how many it gives."""


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
