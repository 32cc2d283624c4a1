"""The selected items: what separating their files and inserting stems that play alike takes."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from . import api
from .takes import needs_section, section_lines
from .words import Skip

if TYPE_CHECKING:
    from .documents import Document, Item


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
