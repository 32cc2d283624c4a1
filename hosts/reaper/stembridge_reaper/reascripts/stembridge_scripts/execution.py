"""Executing an insertion plan, a little in every tick and all of it in one undo step; and building the peaks."""

from __future__ import annotations

import json
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from . import api
from .documents import Refusal, without_takes, wrap_source
from .facts import clear_note

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION = 1

BUDGET = 0.005
"""Seconds of a tick that a plan may take."""

PEAKS_BUDGET = 0.001

BEGINNINGS = ("find", "track", "item", "take", "commit")
"""Steps that a tick may end in front of: what was begun is whole then, and says what it is."""

_CUSTOM_COLOUR = 0x1000000
_KINDS = {"track": "MediaTrack", "item": "MediaItem", "take": "MediaItemTake"}


class Stale(Exception):
    """The project is another one than the plan was made for; what was begun has been taken back."""


class Execution:
    """One plan being executed.

    Args:
        path: the plan.
        known: pointers of items by GUID.
    """

    def __init__(self, path: str, known: dict[str, str]) -> None:
        self._file = open(path, encoding="utf-8")  # noqa: SIM115 - read line by line, over many ticks
        self._known = known
        self._slots: dict[int, tuple[str, str]] = {}
        self._tracks: list[tuple[str, str]] = []
        self._items: list[tuple[str, str]] = []
        self._before: list[tuple[str, str, str, float]] = []
        self._states: dict[str, str] = {}
        """Of items that were there, as text, before a split."""
        self._takes: list[tuple[str, str, str]] = []
        """Pointer and GUID of an item that was there, and GUID of a take that it got."""
        self._ahead: list[Any] = []
        self._project = api.active_project()[0]
        self._changes = api.change_count()
        self._undo = ""
        self._line = 0
        self.made: list[tuple[str, str]] = []
        """Pointer and GUID of each stem item."""

    def step(self, seconds: float = BUDGET) -> bool:
        """Execute for so many seconds, or to the end of the undo step; return whether something is left.

        Raises Stale or Refusal; then nothing was inserted.
        """
        if api.active_project()[0] != self._project:
            # Pointers of another tab count for nothing; what was added there is taken back by the next plan.
            self._file.close()
            raise Stale
        end = time.perf_counter() + seconds
        api.call("PreventUIRefresh", 1)
        try:
            if api.change_count() != self._changes:
                raise Stale
            goes_on = self._work(end)
            self._changes = api.change_count()
        except Exception:
            self._file.close()
            self._take_back()
            raise
        finally:
            api.call("PreventUIRefresh", -1)
            api.call("TrackList_AdjustWindows", 0)
            api.call("UpdateArrange")
        return goes_on

    def _work(self, end: float) -> bool:
        step = self._ahead or self._next()
        while step[0] != "commit":
            # One at least, or a slow machine would never come to the end.
            self._do(step)
            self._ahead = step = self._next()
            if time.perf_counter() >= end and step[0] in BEGINNINGS:
                return True
        self._commit()
        return False

    def _next(self) -> list[Any]:
        line = self._file.readline()
        if not line.endswith("\n"):
            raise Refusal("The plan of the insertion is cut short; nothing was inserted.")
        self._line += 1
        return list(json.loads(line))

    def _do(self, step: list[Any]) -> None:
        getattr(self, "_do_" + step[0])(*step[1:])

    def _commit(self) -> None:
        steps: list[list[Any]] = []
        while not steps or steps[-1][0] != "end":
            steps.append(self._next())
        self._file.close()
        changed = 0
        api.call("Undo_BeginBlock2", api.ACTIVE)
        try:
            for step in steps:
                self._do(step)
            changed = -1
        finally:
            api.call("Undo_EndBlock2", api.ACTIVE, self._undo, changed)

    def _do_plan(self, version: int, undo: str) -> None:
        if version != VERSION:
            raise Refusal("These scripts are of another version: run 'stembridge reaper install' again.")
        self._undo = undo

    def _do_end(self, lines: int) -> None:
        if lines != self._line - 1:
            raise Refusal("The plan of the insertion is cut short; nothing was inserted.")

    def _do_find(self, slot: int, kind: str, guid: str) -> None:
        if kind == "MediaItem":
            pointer = self._known.get(guid, "")
            is_right = bool(pointer) and api.guid(kind, pointer) == guid
        else:
            pointer = next((one for one in api.all_tracks() if api.guid(kind, one) == guid), "")
            is_right = bool(pointer)
        if not is_right:
            raise Stale
        self._slots[slot] = kind, pointer

    def _do_track(self, slot: int, above: int) -> None:
        index = api.call("CountTracks", api.ACTIVE)
        if above:
            index = int(api.value(*self._slots[above], "IP_TRACKNUMBER"))
        api.call("InsertTrackAtIndex", index, 0)
        self._slots[slot] = "MediaTrack", api.call("GetTrack", api.ACTIVE, index)
        self._tracks.append((self._slots[slot][1], api.guid("MediaTrack", self._slots[slot][1])))

    def _do_item(self, slot: int, track: int) -> None:
        pointer = api.call("AddMediaItemToTrack", self._slots[track][1])
        self._slots[slot] = "MediaItem", pointer
        self.made.append((pointer, api.guid("MediaItem", pointer)))
        self._items.append((self._slots[track][1], pointer))

    def _do_take(self, slot: int, item: int, path: str) -> None:
        pointer = self._slots[item][1]
        take = api.call("AddTakeToMediaItem", pointer)
        if pointer not in [one for one, _ in self.made[-1:]]:
            self._takes.append((pointer, api.guid("MediaItem", pointer), api.guid("MediaItemTake", take)))
        source = api.call("PCM_Source_CreateFromFile", path)
        if api.is_null(source) or not api.call("SetMediaItemTake_Source", take, source):
            raise Refusal("REAPER cannot read %s; nothing was inserted." % path)
        self._slots[slot] = "MediaItemTake", take
        api.call("UpdateItemInProject", pointer)

    def _do_split(self, slot: int, item: int, position: float) -> None:
        pointer = self._slots[item][1]
        if pointer not in self._states and pointer not in [one for one, _ in self.made]:
            self._states[pointer] = api.chunk(pointer)
        # Both parts would have our line.
        clear_note(pointer)
        right = api.call("SplitMediaItem", pointer, position)
        if api.is_null(right):
            raise Refusal("REAPER cannot split an item at its used part; nothing was inserted.")
        self._slots[slot] = "MediaItem", right
        self.made.append((right, api.guid("MediaItem", right)))
        self._items.append((api.call("GetMediaItem_Track", pointer), right))

    def _do_section(self, slot: int, item: int, lines: list[str]) -> None:
        pointer = self._slots[item][1]
        words = wrap_source(api.chunk(pointer), lines)
        if not words or not api.set_chunk(pointer, words):
            raise Refusal("REAPER refused a section; glue the reversed or looped items and try again.")
        self._slots[slot] = "MediaItemTake", api.call("GetActiveTake", pointer)

    def _do_numbers(self, slot: int, values: list[tuple[str, float]]) -> None:
        kind, pointer = self._slots[slot]
        is_new = pointer in [one for one, _ in self._tracks] or (self.made and pointer == self.made[-1][0])
        for key, number in values:
            if kind != "MediaItemTake" and not is_new:
                self._before.append((kind, pointer, key, api.value(kind, pointer, key)))
            api.set_value(kind, pointer, key, number)

    def _do_text(self, slot: int, key: str, words: str) -> None:
        pointer = self._slots[slot][1]
        api.set_text(*self._slots[slot], key, words)
        if key == "GUID":
            # Most often the last of them.
            number = next(n for n in reversed(range(len(self.made))) if self.made[n][0] == pointer)
            self.made[number] = pointer, words

    def _do_colour(self, slot: int, red: int, green: int, blue: int) -> None:
        native = api.call("ColorToNative", red, green, blue)
        api.set_value(*self._slots[slot], "I_CUSTOMCOLOR", native | _CUSTOM_COLOUR)

    def _do_marker(self, slot: int, position: float, source: float, slope: float) -> None:
        number = api.call("SetTakeStretchMarker", self._slots[slot][1], -1, position, source)[0]
        if slope:
            api.call("SetTakeStretchMarkerSlope", self._slots[slot][1], number, slope)

    def _do_delete(self, slot: int) -> None:
        kind, pointer = self._slots[slot]
        if kind == "MediaTrack":
            api.call("DeleteTrack", pointer)
        else:
            api.call("DeleteTrackMediaItem", api.call("GetMediaItem_Track", pointer), pointer)

    def _take_back(self) -> None:
        """Take back what was added; the user may have taken some of it back already, and pointers be others' by now."""
        own = dict(self.made)
        for track, pointer in reversed(self._items):
            if api.guid("MediaItem", pointer) == own[pointer]:
                api.call("DeleteTrackMediaItem", track, pointer)
        for pointer, guid in reversed(self._tracks):
            if api.guid("MediaTrack", pointer) == guid:
                api.call("DeleteTrack", pointer)
        for pointer, guid in {one[:2] for one in self._takes}:
            if pointer not in self._states and api.guid("MediaItem", pointer) == guid:
                added = [take for item, _, take in self._takes if item == pointer]
                api.set_chunk(pointer, without_takes(api.chunk(pointer), added))
        for pointer, state in self._states.items():
            api.set_chunk(pointer, state)
        for kind, pointer, key, before in reversed(self._before):
            api.set_value(kind, pointer, key, before)
        self.made = []


class Peaks:
    """The items that still need peaks, by pointer and GUID: a pointer alone may be stale."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, str]] = deque()
        self._begun = ""

    def add(self, items: Iterable[tuple[str, str]]) -> None:
        """Take on items."""
        self._waiting.extend(items)

    def step(self) -> bool:
        """Work for a moment; return whether something is left."""
        end = time.perf_counter() + PEAKS_BUDGET
        while self._waiting and time.perf_counter() < end:
            pointer, guid = self._waiting[0]
            if self._is_ready(pointer, guid):
                self._waiting.popleft()
                self._begun = ""
        return bool(self._waiting)

    def _is_ready(self, pointer: str, guid: str) -> bool:
        if api.guid("MediaItem", pointer) != guid:
            # Deleted, or in a project that is not active: REAPER builds its peaks when it is next shown.
            return True
        source = api.call("GetMediaItemTake_Source", api.call("GetActiveTake", pointer))
        try:
            return self._build(source, guid)
        except (AttributeError, KeyError):
            # Before REAPER 6.35 there is no such function; it builds peaks by itself.
            return True

    def _build(self, source: str, guid: str) -> bool:
        if self._begun != guid:
            self._begun = guid
            return not api.call("PCM_Source_BuildPeaks", source, 0)
        if api.call("PCM_Source_BuildPeaks", source, 1):
            return False
        api.call("PCM_Source_BuildPeaks", source, 2)
        return True
