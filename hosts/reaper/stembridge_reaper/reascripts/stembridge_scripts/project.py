"""The active project, looked at once: where its items and tracks are, and which runs stand in it already."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from . import api
from .notes import MARK, without_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .runs import Run

EXTENSION = "P_EXT:stembridge"


class ProjectIndex:
    """Pointers by GUID; good for the tick it was made in."""

    def __init__(self) -> None:
        self.pointer, self.path = api.active_project()
        self.items = {api.guid("MediaItem", one): one for one in api.all_items()}
        self.tracks = {api.guid("MediaTrack", one): one for one in api.all_tracks()}

    def holds(self, run: Run) -> bool:
        """Tell whether stems of a run stand in the project."""
        return any(
            _run_of(kind, pointer) == run.id
            for kind, pointers in (("MediaTrack", self.tracks), ("MediaItem", self.items))
            for pointer in pointers.values()
        )

    def is_home_of(self, run: Run) -> bool:
        """Tell whether this is the project that a run was started in.

        Items and tracks keep their GUIDs when a project is saved under another name; of two open copies the one that
        has the old name counts.
        """
        there = run.request["project"]["path"]
        if there and _same_path(there, self.path):
            return True
        if there and any(_same_path(there, path) for path in api.open_paths()):
            return False
        return any(item["guid"] in self.items or item["track"] in self.tracks for item in run.items)

    def clear_notes(self, run: Run) -> None:
        """Take our line out of the notes of a run's items."""
        clear_notes(self.items[item["guid"]] for item in run.items if item["guid"] in self.items)


def clear_notes(pointers: Iterable[str]) -> None:
    """Take our line out of the notes of items."""
    for pointer in pointers:
        notes = api.text("MediaItem", pointer, "P_NOTES")
        if MARK in notes:
            api.set_text("MediaItem", pointer, "P_NOTES", without_line(notes))


def _run_of(kind: str, pointer: str) -> str:
    words = api.text(kind, pointer, EXTENSION)
    if not words:
        return ""
    try:
        return str(json.loads(words).get("run", ""))
    except (ValueError, AttributeError):
        return ""


def _same_path(one: str, other: str) -> bool:
    return os.path.normcase(one) == os.path.normcase(other)
