"""The active project, looked at once: where its items and tracks are, and which runs stand in it already."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from . import api
from .words import MARK, without_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .runs import Run

EXTENSION = "P_EXT:stembridge"


class ProjectIndex:
    """Pointers by GUID; good for the tick it was made in.

    Each text REAPER gives costs a buffer of 4 MiB, so nothing is read before it is needed, nor twice.
    ``known`` holds pointers of items from earlier; each is checked.
    """

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        self.pointer, self.path = api.active_project()
        self._known = known or {}
        self._items: dict[str, str] | None = None
        self._tracks: dict[str, str] | None = None
        self._runs: dict[str, set[str]] = {}

    def item(self, guid: str) -> str:
        """Return the item of a GUID; empty when there is none."""
        pointer = self._known.get(guid, "")
        if pointer and api.guid("MediaItem", pointer) == guid:
            return pointer
        if self._items is None:
            self._items = {api.guid("MediaItem", one): one for one in api.all_items()}
        return self._items.get(guid, "")

    def track(self, guid: str) -> str:
        """Return the track of a GUID; empty when there is none."""
        if self._tracks is None:
            self._tracks = {api.guid("MediaTrack", one): one for one in api.all_tracks()}
        return self._tracks.get(guid, "")

    def has_tracks_of(self, run: Run) -> bool:
        """Tell whether stem tracks of a run stand in the project."""
        return run.id in self._runs_of("MediaTrack", api.all_tracks)

    def holds(self, run: Run) -> bool:
        """Tell whether stems of a run stand in the project, on whatever tracks."""
        return self.has_tracks_of(run) or run.id in self._runs_of("MediaItem", api.all_items)

    def _runs_of(self, kind: str, find: Callable[[], list[str]]) -> set[str]:
        if kind not in self._runs:
            self._runs[kind] = {_run_of(kind, pointer) for pointer in find()}
        return self._runs[kind]

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
        return any(self.item(item["guid"]) or self.track(item["track"]) for item in run.items)

    def clear_notes(self, run: Run) -> None:
        """Take our line out of the notes of a run's items."""
        for pointer in filter(None, [self.item(item["guid"]) for item in run.items]):
            _clear_notes(pointer)


def _clear_notes(pointer: str) -> None:
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
