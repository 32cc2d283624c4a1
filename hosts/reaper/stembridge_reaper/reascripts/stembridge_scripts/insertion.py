"""Inserting finished stems: all of a run in one undo step, and their peaks a little in every tick."""

from __future__ import annotations

import json
import time
from collections import deque
from typing import TYPE_CHECKING

from . import api
from .items import EXTENSION, read_item
from .takes import choose_part, place_take, used_span, wrap_source
from .tracks import FOLDER_COLOUR, choose_depths, colour_of, folder_name, group_by_track, sort_stems
from .words import Refusal, Skip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .documents import Colour, Document, Item
    from .items import ProjectIndex
    from .runs import RunFolder


BUDGET = 0.001
"""Seconds a tick may spend."""


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
        end = time.perf_counter() + BUDGET
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


MIX_KEYS = ("D_VOL", "D_PAN", "I_PANMODE", "D_WIDTH", "D_DUALPANL", "D_DUALPANR", "B_PHASE")
"""What the folder takes over from the source track, so that its stems sound as loud as the source did."""

_CUSTOM_COLOUR = 0x1000000


class Insertion:
    """One run being inserted; what it made can be taken back when REAPER refuses a step."""

    def __init__(self, run: RunFolder, index: ProjectIndex) -> None:
        self._run = run
        self._index = index
        self._settings = run.status.get("settings", {})
        self._tracks: list[str] = []
        self._before: list[tuple[str, str, str, float]] = []
        self.made: list[tuple[str, str]] = []
        """Pointer and GUID of each stem item."""

    def insert(self) -> None:
        """Insert everything that is finished.

        Raises Refusal when REAPER refuses a step; then nothing was inserted.
        """
        self._index.clear_notes(self._run)
        changed = 0
        api.call("Undo_BeginBlock2", api.ACTIVE)
        api.call("PreventUIRefresh", 1)
        try:
            self._insert_groups()
            changed = -1
        except Exception:
            self._take_back()
            raise
        finally:
            api.call("PreventUIRefresh", -1)
            api.call("TrackList_AdjustWindows", 0)
            api.call("UpdateArrange")
            api.call("Undo_EndBlock2", api.ACTIVE, "stembridge: insert stems", changed)

    def _insert_groups(self) -> None:
        parts = {item["guid"]: part for item, part in self._run.results()}
        items = [item for item in self._run.items if item["guid"] in parts]
        for track, group in group_by_track(items):
            self._insert_group(self._index.track(track), [(item, parts[item["guid"]]) for item in group])

    def _insert_group(self, source_track: str, pairs: list[tuple[Item, Document]]) -> None:
        stems = {stem["name"]: stem["title"] for _, part in pairs for stem in part["stems"]}
        names = sort_stems(list(stems))
        track_name = api.text("MediaTrack", source_track, "P_NAME") if source_track else ""
        folder = folder_name([item for item, _ in pairs], track_name)
        base = folder[: -len(" - Stems")]
        titles = [folder] + ["%s - %s" % (base, stems[name]) for name in names]
        tracks = self._make_tracks(source_track, titles, [FOLDER_COLOUR] + [colour_of(name) for name in names])
        for item, part in pairs:
            self._insert_item(item, part, dict(zip(names, tracks[1:])))

    def _make_tracks(self, source_track: str, titles: list[str], colours: list[Colour]) -> list[str]:
        first, depth = api.call("CountTracks", api.ACTIVE), 0
        if source_track:
            first = int(api.value("MediaTrack", source_track, "IP_TRACKNUMBER"))
            depth = int(api.value("MediaTrack", source_track, "I_FOLDERDEPTH"))
        own, depths = choose_depths(depth, len(titles) - 1)
        tracks = []
        for number, (title, colour) in enumerate(zip(titles, colours)):
            api.call("InsertTrackAtIndex", first + number, 0)
            track = api.call("GetTrack", api.ACTIVE, first + number)
            self._tracks.append(track)
            tracks.append(track)
            api.set_text("MediaTrack", track, "P_NAME", title)
            api.set_text("MediaTrack", track, EXTENSION, json.dumps({"run": self._run.id}))
            native = api.call("ColorToNative", *colour)
            api.set_value("MediaTrack", track, "I_CUSTOMCOLOR", native | _CUSTOM_COLOUR)
        if source_track:
            self._change("MediaTrack", source_track, "I_FOLDERDEPTH", own)
            # Inside a source track that is a folder itself, its own settings apply to the stems already.
            for key in MIX_KEYS if own == 0 else ():
                api.set_value("MediaTrack", tracks[0], key, api.value("MediaTrack", source_track, key))
        for track, each in zip(tracks, depths):
            api.set_value("MediaTrack", track, "I_FOLDERDEPTH", each)
        return tracks

    def _insert_item(self, item: Item, part: Document, tracks: dict[str, str]) -> None:
        pointer = self._index.item(item["guid"])
        now = current_item(item, pointer, part) if pointer else item
        for stem in part["stems"]:
            self._insert_stem(now, stem, part, tracks[stem["name"]])
        if pointer and self._settings.get("mute_source", True):
            self._change("MediaItem", pointer, "B_MUTE", 1)

    def _insert_stem(self, item: Item, stem: Document, part: Document, track: str) -> None:
        made = api.call("AddMediaItemToTrack", track)
        take = api.call("AddTakeToMediaItem", made)
        source = api.call("PCM_Source_CreateFromFile", stem["path"])
        if api.is_null(source) or not api.call("SetMediaItemTake_Source", take, source):
            raise Refusal("REAPER cannot read %s; nothing was inserted." % stem["path"])
        # Runs of an earlier version say it of the part alone.
        placed = place_take(item, stem["start"] if "start" in stem else part["start"])
        if placed["shift"] is not None:
            take = _put_into_section(made, item, placed["shift"])
        _copy_values(item, made, take, placed)
        api.set_text("MediaItemTake", take, "P_NAME", "%s - %s" % (item["name"], stem["title"]))
        origin = {"run": self._run.id, "item": item["guid"], "stem": stem["name"], "job": stem["job"]}
        api.set_text("MediaItem", made, EXTENSION, json.dumps(origin))
        api.call("UpdateItemInProject", made)
        self.made.append((made, api.guid("MediaItem", made)))

    def _change(self, kind: str, pointer: str, key: str, number: float) -> None:
        before = api.value(kind, pointer, key)
        if before != number:
            self._before.append((kind, pointer, key, before))
            api.set_value(kind, pointer, key, number)

    def _take_back(self) -> None:
        for track in reversed(self._tracks):
            api.call("DeleteTrack", track)
        for kind, pointer, key, before in reversed(self._before):
            api.set_value(kind, pointer, key, before)
        self.made = []


def current_item(item: Item, pointer: str, part: Document) -> Item:
    """Return an item as it is now, or as it was when its file or the part it plays is another one by now."""
    try:
        now = read_item(pointer)
    except Skip:
        return item
    is_covered = choose_part([part], used_span(now, now["length"])) is not None
    return now if now["path"] == item["path"] and is_covered else item


def _put_into_section(made: str, item: Item, shift: float) -> str:
    """Give a stem item a section like its source's, and return its take."""
    words = wrap_source(api.chunk(made), item["section"]["lines"], shift)
    if not words or not api.set_chunk(made, words):
        raise Refusal("REAPER refused the section of %s; glue the item and try again." % item["name"])
    return str(api.call("GetActiveTake", made))


def _copy_values(item: Item, made: str, take: str, placed: Document) -> None:
    for key, number in item["item_values"].items():
        api.set_value("MediaItem", made, key, number)
    channels = api.call("GetMediaSourceNumChannels", api.call("GetMediaItemTake_Source", take))
    for key, number in item["take_values"].items():
        # Channel 3 of a source says nothing about a stem that has two.
        if key != "I_CHANMODE" or channels == item["channels"]:
            api.set_value("MediaItemTake", take, key, number)
    api.set_value("MediaItemTake", take, "D_STARTOFFS", placed["offset"])
    for position, source in placed["markers"]:
        api.call("SetTakeStretchMarker", take, -1, position, source)
