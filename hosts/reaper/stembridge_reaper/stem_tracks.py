"""Stem tracks below their source track: what they say of themselves, the depths of their folder, which are silent."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

EXTENSION: Final = "P_EXT:stembridge"
FOLDER: Final = "folder"
PENDING: Final = "pending"
FOLDER_COLOUR: Final = (160, 160, 160)

CLOSE: Final = 1e-5
"""Seconds by which what people split may lie beside where it was cut."""


class Tag(msgspec.Struct, frozen=True, omit_defaults=True):
    """What our tracks and items say of themselves in the project."""

    run: str = ""
    source: str = ""
    """Of a track: GUID of the source track."""
    stem: str = ""
    """Name of the stem, or ``folder``."""
    item: str = ""
    """Of an item: GUID of the source item."""
    job: str = ""
    file: str = ""
    """Of an item or take: a few letters that say which file it plays."""
    like: str = ""
    """Of an item: digest of how the source item played."""
    at: float = 0.0
    """Of an item: second of the project at which its file would begin."""
    is_silent: bool = False
    """Of an item: whether its source item did not sound, before any stems of it stood."""
    state: str = ""
    """``pending`` while an insertion is at work."""


def read_tag(words: str) -> Tag:
    """Return what a tag says; nothing where it is none of ours."""
    try:
        return msgspec.json.decode(words or "{}", type=Tag)
    except msgspec.DecodeError:
        return Tag()


def write_tag(tag: Tag) -> str:
    """Return the words of a tag; REAPER keeps ASCII."""
    return json.dumps(msgspec.to_builtins(tag))


def name_file(path: Path) -> str:
    """Return a few letters that say which file this is; a path need not be text."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def own_guid(tag: Tag) -> str:
    """Return the GUID of the item that an insertion made with a tag; what people copy or split off has another."""
    return f"{{{str(uuid.uuid5(uuid.NAMESPACE_OID, write_tag(tag))).upper()}}}"


def meet(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Tell whether two items sound at the same time, by their values; empty ones never do."""
    spans = [(values["D_POSITION"], values["D_POSITION"] + values["D_LENGTH"]) for values in (one, other) if values]
    return len(spans) > 1 and max(span[0] for span in spans) < min(span[1] for span in spans) - CLOSE


def choose_depths(source_depth: int, count: int, *, is_inside: bool = False) -> tuple[int, list[int]]:
    """Return the folder depth of the source track and those of a folder track with ``count`` children below it.

    Where the source track closes folders, the last child closes them instead. A source track that is no folder becomes
    one for ``is_inside``.
    """
    closing = min(0, source_depth)
    opens = is_inside and source_depth <= 0
    children = [0] * (count - 1) + [closing - 1 - opens]
    return 1 if opens else max(0, source_depth), [1, *children]


def folder_name(names: Collection[str], track_name: str) -> str:
    """Return the name of a folder without its ending: that of the take, or of the track where the takes differ."""
    return next(iter(names)) if len(set(names)) == 1 else track_name or "Items"


def doubled(jobs: Sequence[tuple[str, str]]) -> set[str]:
    """Return the names of stems that others make up together: heard with these, they would sound twice.

    Args:
        jobs: name and job of each stem of one part, in the order they were wished for.
    """
    names = [name for name, _ in jobs]
    first = [name for name, job in jobs if job == jobs[0][1]]
    mixes = [name for name in names if name.startswith("no-") or name == "instrumental"]
    twice = set(mixes if "other" in names else [name for name in mixes[1:] if name.startswith("no-")])
    if _is_whole(first):
        twice |= set(names) - set(first)
    return twice


def sounds_twice(name: str, names: Collection[str]) -> bool:
    """Tell whether a stem that stands would be heard twice beside newer ones of its item."""
    mixed = {"instrumental": "no-vocals"}
    own, others = mixed.get(name, name), {mixed.get(one, one) for one in names}
    return own in others or _is_whole(names) or any(_holds(one, own) or _holds(own, one) for one in others)


def _holds(mix: str, name: str) -> bool:
    """Tell whether a mix has a stem in it: ``no-vocals`` has all but the vocals, the leading ones as well."""
    return mix.startswith("no-") and not name.endswith(mix.removeprefix("no-"))


def _is_whole(names: Collection[str]) -> bool:
    pairs = (("vocals", "instrumental"), *((name.removeprefix("no-"), name) for name in names))
    return "other" in names or any(one != other and one in names and other in names for one, other in pairs)
