"""REAPER's functions with plain results; the calling rules of Python ReaScript stay in here.

Pointers are strings, also the null pointer, which is truthy. A stale pointer becomes null without a word, so what is
kept from one tick to the next is a GUID. Integer parameters refuse floats; results with outputs are tuples.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import reaper_python

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT_SIZE = 4096
CHUNK_SIZE = 4000000
"""Below the 4 MiB that every text buffer has behind it."""

ACTIVE = 0
"""Stands for the active project: anything but a pointer of a project does."""


def call(name: str, *arguments: object) -> Any:
    """Call one function by its name without ``RPR_``; KeyError or AttributeError where this REAPER lacks it."""
    return getattr(reaper_python, "RPR_" + name)(*arguments)


def is_null(pointer: str) -> bool:
    """Tell whether a pointer string leads nowhere."""
    return int(pointer.split("0x")[-1], 16) == 0


def value(kind: str, pointer: str, key: str) -> float:
    """Return a number of a ``MediaItem``, ``MediaItemTake`` or ``MediaTrack``."""
    return float(call("Get%sInfo_Value" % kind, pointer, key))


def set_value(kind: str, pointer: str, key: str, number: float) -> None:
    """Set a number of a ``MediaItem``, ``MediaItemTake`` or ``MediaTrack``."""
    call("Set%sInfo_Value" % kind, pointer, key, float(number))


def text(kind: str, pointer: str, key: str) -> str:
    """Return a text of a ``MediaItem``, ``MediaItemTake`` or ``MediaTrack``; empty where there is none."""
    result = call("GetSet%sInfo_String" % kind, pointer, key, "", 0)
    return str(result[3]) if result[0] else ""


def set_text(kind: str, pointer: str, key: str, words: str) -> None:
    """Set a text of a ``MediaItem``, ``MediaItemTake`` or ``MediaTrack``."""
    call("GetSet%sInfo_String" % kind, pointer, key, words, 1)


def guid(kind: str, pointer: str) -> str:
    """Return the GUID of a ``MediaItem``, ``MediaItemTake`` or ``MediaTrack``; empty for a stale pointer."""
    return text(kind, pointer, "GUID")


def selected_items() -> list[str]:
    """Return the selected items of the active project."""
    return [call("GetSelectedMediaItem", ACTIVE, i) for i in range(call("CountSelectedMediaItems", ACTIVE))]


def items_of(track: str) -> Iterator[str]:
    """Yield the items of a track, one by one: to fetch thousands at once takes a moment."""
    number = 0
    # Between two ticks the track may have gone, or another project come: it has no number then.
    while value("MediaTrack", track, "IP_TRACKNUMBER") and number < call("CountTrackMediaItems", track):
        yield call("GetTrackMediaItem", track, number)
        number += 1


def all_items() -> Iterator[str]:
    """Yield every item of the active project."""
    for track in all_tracks():
        yield from items_of(track)


def all_tracks() -> list[str]:
    """Return every track of the active project."""
    return [call("GetTrack", ACTIVE, i) for i in range(call("CountTracks", ACTIVE))]


def active_project() -> tuple[str, str]:
    """Return the pointer and the path of the active project; the path is empty when it was never saved."""
    result = call("EnumProjects", -1, "", TEXT_SIZE)
    return result[0], result[2]


def media_folder() -> str:
    """Return the folder that the active project records into."""
    return str(call("GetProjectPath", "", TEXT_SIZE)[0])


def open_paths() -> list[str]:
    """Return the path of every open project that was saved."""
    paths: list[str] = []
    index = 0
    while True:
        result = call("EnumProjects", index, "", TEXT_SIZE)
        if is_null(result[0]):
            return paths
        if result[2]:
            paths.append(result[2])
        index += 1


def change_count() -> int:
    """Return a number that grows with every change of the active project."""
    return int(call("GetProjectStateChangeCount", ACTIVE))


def chunk(item: str) -> str:
    """Return an item as REAPER writes it into a project file; empty when it cannot be had."""
    result = call("GetItemStateChunk", item, "", CHUNK_SIZE, 0)
    return result[2] if result[0] else ""


def set_chunk(item: str, words: str) -> bool:
    """Give an item a new state; return whether REAPER took it."""
    return bool(call("SetItemStateChunk", item, words, 0))


def remembered(key: str) -> str:
    """Return what was remembered under a key for every project, or an empty text."""
    return str(call("GetExtState", "stembridge", key))


def remember(key: str, words: str, is_lasting: bool = True) -> None:
    """Remember one line of ASCII for every project, until REAPER ends or for good."""
    call("SetExtState", "stembridge", key, words, int(is_lasting))


def box(message: str, kind: int = 0) -> int:
    """Show a message box and return what was pressed: 1 OK, 2 Cancel, 6 Yes, 7 No."""
    return int(call("ShowMessageBox", message, "stembridge", kind))


def ask(caption: str, answer: str) -> str | None:
    """Ask for one line; None when it was cancelled. The caption must hold no comma."""
    result = call("GetUserInputs", "stembridge", 1, caption + ",extrawidth=240", answer, TEXT_SIZE)
    return result[4] if result[0] else None


def tell(message: str) -> None:
    """Write a line to REAPER's console."""
    call("ShowConsoleMsg", message + "\n")


def choose(question: str, options: list[str]) -> tuple[str, str]:
    """Let people choose by number from what the console lists; returns the answer, and what it is said of."""
    tell(question + "\n")
    for number, option in enumerate(options, 1):
        tell("%d  %s" % (number, option))
    words = ask("Numbers, all, or no and numbers", "all")
    if words is None:
        return "cancel", ""
    said = words.replace(",", " ").lower().split()
    answer = "no" if said[:1] == ["no"] else "go"
    numbers = [int(word) - 1 for word in said if word.isdecimal()]
    is_right = len(numbers) == len([word for word in said if word not in ("all", "no")])
    if not is_right or not all(0 <= number < len(options) for number in numbers):
        box("There is no '%s' in the list; nothing was done." % words)
        return "cancel", ""
    return answer, json.dumps(numbers or list(range(len(options))))


def hint(message: str) -> None:
    """Show a line below the track panel, which waits for nobody."""
    call("Help_Set", message, 1)


def resource_path() -> str:
    """Return REAPER's folder of settings."""
    return str(call("GetResourcePath"))


def same_path(one: str, other: str) -> bool:
    """Tell whether two paths are one, in any case where the system knows none."""
    return os.path.normcase(one) == os.path.normcase(other)
