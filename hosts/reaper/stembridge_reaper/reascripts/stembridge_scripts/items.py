"""The items of the active project: the selected ones read for their files and stems, and where all of them are."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import TYPE_CHECKING

from . import api
from .takes import needs_section, section_lines
from .words import MARK, Skip, without_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .documents import Document, Item
    from .runs import RunFolder


ITEM_KEYS = (
    "D_POSITION",
    "D_LENGTH",
    "D_SNAPOFFSET",
    "D_VOL",
    "B_LOOPSRC",
    "D_FADEINLEN",
    "D_FADEOUTLEN",
    "D_FADEINLEN_AUTO",
    "D_FADEOUTLEN_AUTO",
    "D_FADEINDIR",
    "D_FADEOUTDIR",
    "C_FADEINSHAPE",
    "C_FADEOUTSHAPE",
    "C_BEATATTACHMODE",
    "C_AUTOSTRETCH",
)
TAKE_KEYS = (
    "D_STARTOFFS",
    "D_PLAYRATE",
    "D_PITCH",
    "B_PPITCH",
    "I_PITCHMODE",
    "I_STRETCHFLAGS",
    "D_VOL",
    "D_PAN",
    "I_CHANMODE",
)

_DEEPEST = 16


def read_selection() -> tuple[list[Item], Counter[str]]:
    """Return the selected items that can be separated, and how many cannot, by reason."""
    items: list[Item] = []
    skipped: Counter[str] = Counter()
    for pointer in api.selected_items():
        try:
            items.append(read_item(pointer))
        except Skip as reason:  # noqa: PERF203 - one item must not take the others along
            skipped[str(reason)] += 1
    return items, skipped


def read_item(pointer: str) -> Item:
    """Return all that is kept of one item.

    Raises Skip when there is no file to separate.
    """
    take = api.call("GetActiveTake", pointer)
    if api.is_null(take):
        raise Skip("empty")
    if api.call("TakeIsMIDI", take):
        raise Skip("MIDI")
    root, section = _walk_sources(api.call("GetMediaItemTake_Source", take))
    path = _path_of(root)
    length, is_beats = api.call("GetMediaSourceLength", root, 0)[::2]
    if is_beats or length <= 0:
        raise Skip("without length")
    item: Item = {
        "guid": api.guid("MediaItem", pointer),
        "track": api.guid("MediaTrack", api.call("GetMediaItem_Track", pointer)),
        "name": _name_of(take, path),
        "path": path,
        "length": length,
        "channels": api.call("GetMediaSourceNumChannels", root),
        "item_values": {key: api.value("MediaItem", pointer, key) for key in ITEM_KEYS},
        "take_values": {key: api.value("MediaItemTake", take, key) for key in TAKE_KEYS},
        "markers": _read_markers(take),
        "section": section,
    }
    if needs_section(item):
        _add_section_lines(item, pointer)
    return item


def _name_of(take: str, path: str) -> str:
    """Return the take's name, without the suffix where REAPER took it from the file."""
    name = api.text("MediaItemTake", take, "P_NAME")
    file = os.path.basename(path)
    return name if name and name != file else os.path.splitext(file)[0]


def _walk_sources(source: str) -> tuple[str, Document | None]:
    """Return the root source, and the section that lies around it."""
    section: Document | None = None
    for _ in range(_DEEPEST):
        if api.is_null(source):
            break
        found, _, offset, length, is_reversed = api.call("PCM_Source_GetSectionInfo", source, 0, 0, 0)
        if found:
            section = _inside(section, {"offset": offset, "length": length, "reversed": bool(is_reversed)})
        parent = api.call("GetMediaSourceParent", source)
        if api.is_null(parent):
            return source, section
        source = parent
    raise Skip("empty")


def _inside(outer: Document | None, inner: Document) -> Document:
    """Return a section of a section as one of the file."""
    if outer is None:
        return inner
    if outer["reversed"] or inner["reversed"]:
        raise Skip("reversed inside another section (glue it first)")
    length = min(outer["length"], inner["length"] - outer["offset"])
    return {"offset": inner["offset"] + outer["offset"], "length": length, "reversed": False}


def _path_of(root: str) -> str:
    kind = api.call("GetMediaSourceType", root, "", 64)[1].upper()
    if kind in ("MIDI", "MIDIPOOL"):
        raise Skip("MIDI")
    if kind in ("RPP_PROJECT", "RPP"):
        raise Skip("project in project")
    if kind == "EMPTY":
        raise Skip("empty")
    try:
        path: str = api.call("GetMediaSourceFileName", root, "", api.TEXT_SIZE)[1]
    except UnicodeDecodeError:
        raise Skip("with a file name that is not UTF-8") from None
    if path.lower().endswith((".rpp", ".rpp-bak")):
        raise Skip("project in project")
    if not path:
        raise Skip("empty")
    if not os.path.isabs(path):
        # A project may name its media from where it lies itself.
        path = os.path.abspath(os.path.join(os.path.dirname(api.active_project()[1]), path))
    if not os.path.isfile(path):
        raise Skip("with a missing file")
    return path


def _read_markers(take: str) -> list[list[float]]:
    count = api.call("GetTakeNumStretchMarkers", take)
    found = (api.call("GetTakeStretchMarker", take, number, 0, 0) for number in range(count))
    return [[one[3], one[4]] for one in found]


def _add_section_lines(item: Item, pointer: str) -> None:
    """Keep how REAPER writes the section, for a stem item that needs one of its own."""
    lines = section_lines(api.chunk(pointer))
    if not lines:
        raise Skip("reversed" if item["section"]["reversed"] else "in nested sections that loop (glue it first)")
    item["section"]["lines"] = lines


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

    def has_tracks_of(self, run: RunFolder) -> bool:
        """Tell whether stem tracks of a run stand in the project."""
        return run.id in self._runs_of("MediaTrack", api.all_tracks)

    def holds(self, run: RunFolder) -> bool:
        """Tell whether stems of a run stand in the project, on whatever tracks."""
        return self.has_tracks_of(run) or run.id in self._runs_of("MediaItem", api.all_items)

    def _runs_of(self, kind: str, find: Callable[[], list[str]]) -> set[str]:
        if kind not in self._runs:
            self._runs[kind] = {_run_of(kind, pointer) for pointer in find()}
        return self._runs[kind]

    def is_home_of(self, run: RunFolder) -> bool:
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

    def clear_notes(self, run: RunFolder) -> None:
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
