"""What must be right on the disk before a song is taken: nothing is asked of a service until it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from plugin_core.model import Operation, Plan, Separation, Source, Tagging, show_path

_USUAL_PARTS = 4


def why_not_readable(path: bytes) -> str:
    """Return why a file cannot be read by this user; empty when it can."""
    return "" if os.access(path, os.R_OK) else "it may not be read; check its permissions"


def why_not_writable(path: bytes, operations: Sequence[Operation]) -> str:
    """Return which folder results cannot be written to; empty when all can."""
    parent = Path(os.fsdecode(path)).parent
    for operation in operations:
        if isinstance(operation, Tagging) and not operation.write:
            continue
        place = operation.to if isinstance(operation, Separation) and operation.to is not None else parent
        if not os.access(place, os.W_OK | os.X_OK):
            return f"nothing can be written in {show_path(place)}"
    return ""


def why_no_room(source: Source, plans: Sequence[Plan]) -> str:
    """Return how much room is missing for the results; empty when there is enough."""
    from plugin_core.audio.formats import resolve_format
    from plugin_core.stems.space import Amount, estimate_bytes, free_bytes

    for plan in plans:
        wish = plan.operation
        if not isinstance(wish, Separation):
            continue
        place = wish.to or source.path.parent
        parts = len(plan.stems) or _USUAL_PARTS
        wanted = len(wish.stems) or (0 if wish.minus else parts)
        lossless = resolve_format("", source)
        needed = estimate_bytes(
            [Amount(parts, lossless), Amount(wanted + len(wish.minus) + 1, resolve_format(wish.format, source))], source
        )
        free = free_bytes(place)
        if free < needed:
            return f"{show_path(place)} has {free // 2**20} MiB free and the stems may take {-(-needed // 2**20)} MiB"
    return ""
