"""Stem tracks below their source track: the folder and its depths, and which of them must not sound."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

FOLDER_COLOUR: Final = (160, 160, 160)


def choose_depths(source_depth: int, count: int, *, is_inside: bool = False) -> tuple[int, list[int]]:
    """Return the folder depth of the source track and those of a folder track with ``count`` children below it.

    Where the source track closes folders, the last child closes them instead. A source track that is no folder becomes
    one for ``is_inside``.
    """
    closing = min(0, source_depth)
    opens = is_inside and source_depth <= 0
    children = [0] * (count - 1) + [closing - 1 - opens]
    return 1 if opens else max(0, source_depth), [1, *children]


def folder_name(names: Collection[str], track_name: str) -> str:
    """Return the name of a folder without its ending: that of the take, or of the track where the takes differ."""
    return next(iter(names)) if len(set(names)) == 1 else track_name or "Items"


def doubled(jobs: Sequence[tuple[str, str]]) -> set[str]:
    """Return the names of stems that others make up together: heard with these, they would sound twice.

    Args:
        jobs: name and job of each stem of one part, in the order they were wished for.
    """
    names = [name for name, _ in jobs]
    first = [name for name, job in jobs if job == jobs[0][1]]
    mixes = [name for name in names if name.startswith("no-") or name == "instrumental"]
    twice = set(mixes if "other" in names else [name for name in mixes[1:] if name.startswith("no-")])
    if _is_whole(first):
        twice |= set(names) - set(first)
    return twice


def _is_whole(names: Collection[str]) -> bool:
    pairs = (("vocals", "instrumental"), *((name.removeprefix("no-"), name) for name in names))
    return "other" in names or any(one != other and one in names and other in names for one, other in pairs)
