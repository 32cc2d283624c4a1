"""Reading a project: items, their takes and sources, and tracks, as the worker wants them. Nothing is decided here.

What takes time is a generator: it yields after each object, so that it can be spread over ticks. Each text REAPER gives
costs a buffer of 4 MiB, so no more of them are read than are needed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from . import api
from .documents import MARK, without_line

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable

    from .documents import Document


ITEM_KEYS = (
    "D_POSITION",
    "D_LENGTH",
    "D_SNAPOFFSET",
    "D_VOL",
    "B_LOOPSRC",
    "B_MUTE",
    "C_LANEPLAYS",
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
    "I_CUSTOMCOLOR",
    "I_GROUPID",
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
    "I_CUSTOMCOLOR",
)
TRACK_KEYS = (
    "I_FOLDERDEPTH",
    "I_NCHAN",
    "I_FREEMODE",
    "C_BEATATTACHMODE",
    "B_MUTE",
    "I_SOLO",
    "D_VOL",
    "D_PAN",
    "I_PANMODE",
    "D_WIDTH",
    "D_DUALPANL",
    "D_DUALPANR",
    "B_PHASE",
    "B_MAINSEND",
    "C_MAINSEND_OFFS",
)

EXTENSION = "P_EXT:stembridge"

_DEEPEST = 16


def read_items(
    pointers: Iterable[str], known: dict[str, str], is_limited: bool = False
) -> Generator[None, None, list[Document]]:
    """Read items; returns them, those left out that are gone, and notes their pointers by GUID.

    With ``is_limited`` the razor edits on their tracks are read too.
    """
    found = []
    for pointer in pointers:
        item = read_item(pointer, is_limited)
        if item["guid"]:
            known[item["guid"]] = pointer
            found.append(item)
        yield
    return found


def read_item(pointer: str, is_limited: bool) -> Document:
    """Return the facts of one item."""
    item: Document = {"guid": api.guid("MediaItem", pointer)}
    if not item["guid"]:
        return item
    track = api.call("GetMediaItem_Track", pointer)
    item["track"] = api.guid("MediaTrack", track)
    take = api.call("GetActiveTake", pointer)
    if api.is_null(take):
        return item
    item["take"] = api.guid("MediaItemTake", take)
    item["is_midi"] = bool(api.call("TakeIsMIDI", take))
    try:
        item["sources"] = _read_sources(api.call("GetMediaItemTake_Source", take))
        item["name"] = api.text("MediaItemTake", take, "P_NAME")
    except UnicodeDecodeError:
        item["fault"] = "with a file name that is not UTF-8"
        return item
    item["item_values"] = {key: api.value("MediaItem", pointer, key) for key in ITEM_KEYS}
    item["take_values"] = {key: api.value("MediaItemTake", take, key) for key in TAKE_KEYS}
    item["markers"] = _read_markers(take)
    if any(source["section"] for source in item["sources"]):
        item["state"] = api.chunk(pointer)
    item["tags"] = _read_tags(pointer)
    if is_limited:
        item["razors"] = _read_razors(track)
    item["extras"] = {
        "take FX": api.call("TakeFX_GetCount", take),
        "take envelopes": api.call("CountTakeEnvelopes", take),
    }
    return item


def _read_tags(item: str) -> list[str]:
    """Return what our insertions say of the takes of an item that has several."""
    count = api.call("CountTakes", item)
    takes = [api.call("GetTake", item, number) for number in range(count if count > 1 else 0)]
    return ["" if api.is_null(take) else api.text("MediaItemTake", take, EXTENSION) for take in takes]


_AREA = re.compile(r'(\S+) (\S+) "(.*?)"')


def _read_razors(track: str) -> list[list[float]]:
    """Return the razor edits on a track, those on its envelopes left out."""
    areas = _AREA.findall(api.text("MediaTrack", track, "P_RAZOREDITS"))
    return [[float(start), float(end)] for start, end, envelope in areas if not envelope]


def _read_sources(source: str) -> list[Document]:
    found: list[Document] = []
    while not api.is_null(source) and len(found) < _DEEPEST:
        is_section, _, offset, length, is_reversed = api.call("PCM_Source_GetSectionInfo", source, 0, 0, 0)
        section = [offset, length, bool(is_reversed)] if is_section else None
        found.append({"kind": api.call("GetMediaSourceType", source, "", 64)[1], "section": section})
        parent = api.call("GetMediaSourceParent", source)
        if api.is_null(parent):
            seconds, is_beats = api.call("GetMediaSourceLength", source, 0)[::2]
            path = api.call("GetMediaSourceFileName", source, "", api.TEXT_SIZE)[1]
            channels = api.call("GetMediaSourceNumChannels", source)
            found[-1].update(path=path, length=seconds, is_beats=bool(is_beats), channels=channels)
            return found
        source = parent
    return []


def _read_markers(take: str) -> list[list[float]]:
    markers = []
    for number in range(api.call("GetTakeNumStretchMarkers", take)):
        one = api.call("GetTakeStretchMarker", take, number, 0, 0)
        markers.append([one[3], one[4], api.call("GetTakeStretchMarkerSlope", take, number)])
    return markers


def read_tracks(wanted: Collection[str]) -> Generator[None, None, tuple[list[Document], list[Document]]]:
    """Read the tracks of these GUIDs and those with a tag of ours; returns them, and the tagged items on the latter."""
    tracks: list[Document] = []
    stems: list[Document] = []
    for pointer in api.all_tracks():
        tag = api.text("MediaTrack", pointer, EXTENSION)
        if tag or api.guid("MediaTrack", pointer) in wanted:
            track = _read_track(pointer, tag)
            tracks.append(track)
            yield
            for item in api.items_of(pointer) if tag else ():
                _add_stem(stems, item, track["guid"])
                yield
        yield
    return tracks, stems


def _read_track(pointer: str, tag: str) -> Document:
    return {
        "guid": api.guid("MediaTrack", pointer),
        "tag": tag,
        "name": api.text("MediaTrack", pointer, "P_NAME"),
        "values": {key: api.value("MediaTrack", pointer, key) for key in TRACK_KEYS},
        "extras": {
            "track FX": api.call("TrackFX_GetCount", pointer),
            "sends": api.call("GetTrackNumSends", pointer, 0),
            "envelopes": api.call("CountTrackEnvelopes", pointer),
        },
    }


def _add_stem(stems: list[Document], item: str, track: str, is_whole: bool = False) -> None:
    tag = api.text("MediaItem", item, EXTENSION)
    if tag:
        track = track or api.guid("MediaTrack", api.call("GetMediaItem_Track", item))
        stems.append({"guid": api.guid("MediaItem", item), "track": track, "tag": tag, "pointer": item})
    tags = [one for one in _read_tags(item) if one] if is_whole else []
    stems.extend({"guid": api.guid("MediaItem", item), "track": track, "tag": one, "pointer": item} for one in tags)


def read_all() -> Generator[None, None, tuple[list[Document], list[Document], dict[str, str]]]:
    """Look through the whole project; returns its tracks, the items with a tag of ours, and pointers by GUID."""
    tracks: list[Document] = []
    stems: list[Document] = []
    pointers: dict[str, str] = {}
    for pointer in api.all_tracks():
        tracks.append({"guid": api.guid("MediaTrack", pointer), "tag": api.text("MediaTrack", pointer, EXTENSION)})
        yield
    for pointer in api.all_items():
        pointers[api.guid("MediaItem", pointer)] = pointer
        _add_stem(stems, pointer, "", is_whole=True)
        yield
    return tracks, stems, pointers


def find_items(guids: Iterable[str], known: dict[str, str]) -> Generator[None, None, dict[str, str]]:
    """Look for items by GUID; returns pointers of those that are there. ``known`` pointers may be stale."""
    found: dict[str, str] = {}
    missing = set()
    for guid in guids:
        pointer = known.get(guid, "")
        if pointer and api.guid("MediaItem", pointer) == guid:
            found[guid] = pointer
        else:
            missing.add(guid)
        yield
    for pointer in api.all_items() if missing else ():
        guid = api.guid("MediaItem", pointer)
        if guid in missing:
            found[guid] = pointer
        yield
    return found


def clear_notes(guids: list[str], known: dict[str, str], tracks: Collection[str] = ()) -> Generator[Any, None, None]:
    """Take our line out of the notes of items, and on these tracks of what was copied or split off with it."""
    found = yield from find_items(guids, known)
    for pointer in found.values():
        clear_note(pointer)
        yield
    for track in api.all_tracks() if tracks else ():
        for pointer in api.items_of(track) if api.guid("MediaTrack", track) in tracks else ():
            clear_note(pointer)
            yield
        yield


def clear_note(item: str) -> None:
    """Take our line out of the notes of an item."""
    notes = api.text("MediaItem", item, "P_NOTES")
    if MARK in notes:
        api.set_text("MediaItem", item, "P_NOTES", without_line(notes))


def project_facts() -> Document:
    """Return where the active project lies, and what else is open."""
    start, end = api.call("GetSet_LoopTimeRange2", api.ACTIVE, 0, 0, 0.0, 0.0, 0)[3:5]
    facts = {"path": api.active_project()[1], "media": api.media_folder(), "open": api.open_paths()}
    return dict(facts, selection=[start, end] if end > start else None)
