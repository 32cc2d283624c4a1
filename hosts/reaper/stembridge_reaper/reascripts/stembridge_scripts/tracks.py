"""How stem tracks stand below their source track: order, names, colours and folder depths."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .shapes import Colour, Item

ORDER = ("vocals", "lead-vocals", "back-vocals", "instrumental", "drums", "bass", "guitar", "piano", "other")

COLOURS = {
    "vocals": (255, 100, 100),
    "drums": (100, 200, 255),
    "bass": (150, 100, 255),
    "other": (100, 255, 150),
    "guitar": (255, 180, 80),
    "piano": (255, 120, 200),
}

FOLDER_COLOUR = (160, 160, 160)
_SPARE_COLOURS = ((220, 220, 120), (120, 220, 200), (200, 150, 110), (150, 190, 90), (190, 150, 230))


def sort_stems(names: list[str]) -> list[str]:
    """Return the names of stems in the order of their tracks, each once."""
    known = [name for name in ORDER if name in names]
    return known + [name for name in dict.fromkeys(names) if name not in ORDER]


def colour_of(stem: str) -> Colour:
    """Return red, green and blue, 0 to 255; equal names have equal colours."""
    return COLOURS.get(stem) or _SPARE_COLOURS[sum(stem.encode("ascii", "replace")) % len(_SPARE_COLOURS)]


def choose_depths(source_depth: int, count: int) -> tuple[int, list[int]]:
    """Return the folder depth of the source track and those of a folder track with ``count`` children below it.

    Where the source track closes folders, the last child closes them instead.
    """
    closing = min(0, source_depth)
    children = [0] * (count - 1) + [closing - 1]
    return max(0, source_depth), [1, *children]


def folder_name(items: list[Item], track_name: str) -> str:
    """Return the name of the folder: that of the take, or of the track where the takes differ."""
    names = {item["name"] for item in items}
    name = names.pop() if len(names) == 1 else track_name or "Items"
    return "%s - Stems" % name
