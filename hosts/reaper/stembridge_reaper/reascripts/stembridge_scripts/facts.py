"""Reading a project: items, their takes and sources, and tracks, as the worker wants them. Nothing is decided here.

What takes time is a generator: it yields after each object, so that it can be spread over ticks. Each text REAPER gives
costs a buffer of 4 MiB, so no more of them are read than are needed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from . import api
from .documents import NOTE, without_line, without_mark

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
    "B_ALLTAKESPLAY",
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
    "D_PANLAW",
    "F_STRETCHFADESIZE",
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
    "B_SOLO_DEFEAT",
    "I_PLAY_OFFSET_FLAG",
    "D_PLAY_OFFSET",
    "D_VOL",
    "D_PAN",
    "I_PANMODE",
    "D_WIDTH",
    "D_DUALPANL",
    "D_DUALPANR",
    "D_PANLAW",
    "B_PHASE",
    "B_MAINSEND",
    "C_MAINSEND_OFFS",
    "C_MAINSEND_NCH",
)
GROUPS = ("VOLUME", "VOLUME_VCA", "PAN", "WIDTH", "MUTE", "SOLO", "POLARITY")
"""What a track may follow another in."""

EXTENSION = "P_EXT:stembridge"
ORIGIN = "P_EXT:stembridge_origin"
"""On an item of a run: the run and the item. What is split off or copied has it too, and its own GUID."""

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
    item["marks"] = api.text("MediaItem", pointer, ORIGIN).split()
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


def read_tracks(wanted: Collection[str]) -> Generator[None, None, list[Document]]:
    """Read the tracks of these GUIDs and those with a tag of ours."""
    tracks: list[Document] = []
    for pointer in api.all_tracks():
        tag = api.text("MediaTrack", pointer, EXTENSION)
        if tag or api.guid("MediaTrack", pointer) in wanted:
            tracks.append(_read_track(pointer, tag))
        yield
    return tracks


def read_marked(items: Iterable[Document]) -> Generator[None, None, tuple[list[Document], list[str]]]:
    """Look for our tags; returns the stem items, and what was one with an item of these once and is none of them."""
    stems: list[Document] = []
    parts: list[str] = []
    own = {item["guid"] for item in items}
    family = own | {_origin(mark) for item in items for mark in item.get("marks", ())}
    tagged = [track for track in api.all_tracks() if api.text("MediaTrack", track, EXTENSION)]
    lengths = _lengths_of(items)
    for track in tagged:
        for pointer in api.items_of(track):
            _add_stem(stems, pointer, is_placed=True)
            lengths.add(_root_length(pointer))
            yield
    for track in api.all_tracks():
        for pointer in api.items_of(track):
            if _root_length(pointer) in lengths:
                if track not in tagged:
                    _add_stem(stems, pointer, is_placed=True)
                marks = api.text("MediaItem", pointer, ORIGIN)
                if not family.isdisjoint(map(_origin, marks.split())) and api.guid("MediaItem", pointer) not in own:
                    parts.append(pointer)
            yield
    return stems, parts


def _origin(mark: str) -> str:
    return mark[mark.rfind("{") :]


def _lengths_of(items: Iterable[Document]) -> set[float]:
    """Return how long the files are that items play: of others no text need be read, which costs many numbers."""
    return {source["length"] for item in items for source in item.get("sources", ())[-1:]}


def _root_length(item: str) -> float:
    """Return how long the file is that an item plays."""
    take = api.call("GetActiveTake", item)
    source = "0x0" if api.is_null(take) else api.call("GetMediaItemTake_Source", take)
    root = source
    while not api.is_null(source):
        root, source = source, api.call("GetMediaSourceParent", source)
    return -1.0 if api.is_null(root) else float(api.call("GetMediaSourceLength", root, 0)[0])


def _read_track(pointer: str, tag: str) -> Document:
    return {
        "guid": api.guid("MediaTrack", pointer),
        "tag": tag,
        "name": api.text("MediaTrack", pointer, "P_NAME"),
        "values": {key: api.value("MediaTrack", pointer, key) for key in TRACK_KEYS},
        "extras": {
            "track FX": api.call("TrackFX_GetCount", pointer),
            "sends": api.call("GetTrackNumSends", pointer, 0),
            "hardware outputs": api.call("GetTrackNumSends", pointer, 1),
            "envelopes": api.call("CountTrackEnvelopes", pointer),
            "groups": sum(
                api.call("GetSetTrackGroupMembership", pointer, group + "_FOLLOW", 0, 0) != 0 for group in GROUPS
            ),
        },
    }


def _add_stem(stems: list[Document], item: str, is_placed: bool = False) -> None:
    """Note a stem item, with where it lies for ``is_placed``, or else also the stems that are takes of an item."""
    tag = api.text("MediaItem", item, EXTENSION)
    tags = [] if is_placed else [one for one in _read_tags(item) if one]
    track = api.guid("MediaTrack", api.call("GetMediaItem_Track", item)) if tag else ""
    found = ([tag] if tag else []) + tags
    stems.extend({"guid": api.guid("MediaItem", item), "track": track, "tag": one, "pointer": item} for one in found)
    take = api.call("GetActiveTake", item) if is_placed and tag else ""
    if take and not api.is_null(take):
        stems[-1]["values"] = {key: api.value("MediaItem", item, key) for key in ("D_POSITION", "D_LENGTH")}
        stems[-1]["values"].update({key: api.value("MediaItemTake", take, key) for key in TAKE_KEYS[:2]})


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
        _add_stem(stems, pointer)
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


def mark_items(guids: Iterable[str], known: dict[str, str], run: str) -> Generator[Any, None, None]:
    """Write into items that they are of a run, which goes with what people split off or copy of them."""
    for guid in guids:
        if api.guid("MediaItem", known[guid]) == guid:
            marks = api.text("MediaItem", known[guid], ORIGIN).split()
            api.set_text("MediaItem", known[guid], ORIGIN, " ".join([*marks[-MOST:], run + guid]))
        yield


MOST = 7
"""Earlier marks that an item keeps."""


def clear_notes(
    items: Iterable[Document], known: dict[str, str], run: str, is_over: bool
) -> Generator[Any, None, None]:
    """Take our line out of the notes of the items of a run, and of what was split off or copied of them.

    A run that came to nothing leaves no marks (``is_over``); those of others say later what was one item once.
    """
    yield from clear_own_notes([item["guid"] for item in items], known)
    lengths, tracks = _lengths_of(items), {item["track"] for item in items}
    for track in api.all_tracks():
        is_own = api.guid("MediaTrack", track) in tracks
        for pointer in api.items_of(track):
            marks = api.text("MediaItem", pointer, ORIGIN) if is_own or _root_length(pointer) in lengths else ""
            if run in marks:
                clear_note(pointer)
                if is_over:
                    api.set_text("MediaItem", pointer, ORIGIN, without_mark(marks, run))
            yield
        yield


def clear_own_notes(guids: Iterable[str], known: dict[str, str]) -> Generator[Any, None, None]:
    """Take our line out of the notes of items."""
    found = yield from find_items(guids, known)
    for pointer in found.values():
        clear_note(pointer)
        yield


def clear_note(item: str) -> None:
    """Take our line out of the notes of an item."""
    notes = api.text("MediaItem", item, "P_NOTES")
    if NOTE in notes:
        api.set_text("MediaItem", item, "P_NOTES", without_line(notes))


def project_facts() -> Document:
    """Return where the active project lies, and what else is open."""
    start, end = api.call("GetSet_LoopTimeRange2", api.ACTIVE, 0, 0, 0.0, 0.0, 0)[3:5]
    facts = {"path": api.active_project()[1], "media": api.media_folder(), "open": api.open_paths()}
    return dict(facts, selection=[start, end] if end > start else None)
