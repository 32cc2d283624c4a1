"""Grouping: a file is separated once, whatever number of items plays it; the items of a track share its stem tracks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .takes import used_span

if TYPE_CHECKING:
    from .shapes import Document, Item


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
