"""Stem tracks below their source track: one set for all its items; order, names, colours and folder depths."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .takes import used_span

if TYPE_CHECKING:
    from .documents import Colour, Document, Item


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


def group_by_file(items: list[Item]) -> list[Document]:
    """Return one ``{key, path, spans}`` for each root file, and give every item the key of its file.

    ``spans`` are the seconds its items play; empty when one of them needs the whole file.
    """
    files: dict[str, Document] = {}
    wholes = set()
    for item in items:
        name = os.path.normcase(os.path.abspath(item["path"]))
        entry = files.setdefault(name, {"key": str(len(files) + 1), "path": item["path"], "spans": []})
        item["file"] = entry["key"]
        item["span"] = used_span(item, item["length"])
        if item["span"] is None:
            wholes.add(entry["key"])
        elif item["span"] not in entry["spans"]:
            entry["spans"].append(item["span"])
    for entry in files.values():
        entry["spans"] = [] if entry["key"] in wholes else sorted(entry["spans"])
    return list(files.values())


def group_by_track(items: list[Item]) -> list[tuple[str, list[Item]]]:
    """Return ``(track, items)`` in the order the tracks first appear."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item["track"], []).append(item)
    return list(groups.items())
