"""The stems that stand in a project, and what people made of them: whose they are, which a new one replaces."""

from __future__ import annotations

import hashlib
import math
import os
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from stembridge_reaper.protocol import PENDING, Request, StandingStem, StemResult, Tag, TrackFacts, read_tag, write_tag
from stembridge_reaper.selection import FinishedItem, is_heard
from stembridge_reaper.takes import SPLIT_CLOSE, meet, place_take

NO_STEM: Final = StandingStem(guid="", track="", tag="")


def name_file(path: Path) -> str:
    """Return a few letters that say which file this is; a path need not be text."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def own_guid(tag: Tag) -> str:
    """Return the GUID of the item that an insertion made with a tag; what people copy or split off has another."""
    return f"{{{str(uuid.uuid5(uuid.NAMESPACE_OID, write_tag(tag))).upper()}}}"


class PlacedStem(NamedTuple):
    """A stem that stands."""

    stem: StandingStem
    tag: Tag

    @property
    def is_own(self) -> bool:
        """Whether an insertion made it; else people split it off or copied it."""
        return self.stem.guid == own_guid(self.tag)

    @property
    def is_in_place(self) -> bool:
        """Whether it lies where it was put, or with what it was split off from."""
        return abs(self._begins - self.tag.at) < SPLIT_CLOSE

    @property
    def _begins(self) -> float:
        """Second of the project at which its file would begin."""
        values = self.stem.values
        return values["D_POSITION"] - values["D_STARTOFFS"] / (values["D_PLAYRATE"] or 1.0) if values else math.nan

    def is_of(self, stem: StemResult) -> bool:
        """Tell whether it is this one: of the same job, or another's that was placed in the same file."""
        own = self.tag
        return own.stem == stem.name and (own.job == stem.job or own.file == name_file(stem.path))

    def is_in_line(self, other: PlacedStem) -> bool:
        """Tell whether it continues another of the same file."""
        return abs(self._begins - other._begins) < SPLIT_CLOSE

    def plays_what(self, other: PlacedStem) -> bool:
        """Tell whether it plays something of the same file that another plays."""
        spans = [
            (one["D_STARTOFFS"], one["D_STARTOFFS"] + one["D_LENGTH"] * one["D_PLAYRATE"])
            for one in (self.stem.values, other.stem.values)
            if one
        ]
        return len(spans) > 1 and max(span[0] for span in spans) < min(span[1] for span in spans) - SPLIT_CLOSE


class StandingStems:
    """Those of one project.

    Args:
        now: the project as it is.
        tracks: tags of its tracks, by GUID.
    """

    def __init__(self, now: Request, tracks: Mapping[str, Tag]) -> None:
        self._items = {facts.guid: facts for facts in now.items}
        self._found: dict[str, list[PlacedStem]] = {}
        """By item, those that people made of ours behind the rest."""
        for stem in now.standing:
            one = PlacedStem(stem, read_tag(stem.tag))
            # What an insertion that was cut short had begun goes with its tracks.
            if tracks.get(stem.track, Tag()).state == PENDING:
                continue
            known = self._found.setdefault(one.tag.item, [])
            known.insert(0 if one.is_own else len(known), one)

    def of(self, one: FinishedItem) -> list[PlacedStem]:
        return self._found.get(one.item.guid, [])

    def shared_with(self, one: FinishedItem) -> list[PlacedStem]:
        """Return the stems of what an item was split off from, where that does not play by itself."""
        own, found = one.item.facts.item_values, []
        for guid in one.item.whole.family:
            former = self._items.get(guid)
            if guid != one.item.guid and not (former and meet(former.item_values, own)):
                found += [each for each in self._found.get(guid, ()) if meet(each.stem.values, own)]
        return found

    def is_woken(self, source: TrackFacts | None, one: FinishedItem) -> bool:
        """Tell whether an item sounds by now whose stems came muted: it was muted, or gone as a frozen one is."""
        own = self.of(one)
        return bool(own) and all(each.tag.is_silent for each in own) and one.is_there and is_heard(source, one)

    def was_heard(self, source: TrackFacts | None, one: FinishedItem) -> bool:
        """Tell whether an item sounded before stems of it muted it."""
        if self.is_woken(source, one):
            return True
        if standing := self.of(one) or self.shared_with(one):
            return not all(each.tag.is_silent for each in standing)
        # What took the place of an item that is gone sounds already.
        return one.is_there and is_heard(source, one)

    def replaced_by(self, one: FinishedItem, stem: StemResult) -> Iterator[PlacedStem]:
        """Yield what a new stem replaces: the one of its item, and where people split that, each piece it plays too."""
        facts = one.item.facts
        offset = place_take(facts, one.item.section, stem.start).offset
        new = msgspec.structs.replace(NO_STEM, values=facts.item_values | facts.take_values | {"D_STARTOFFS": offset})
        alike = [each for each in [*self.of(one), *self.shared_with(one)] if each.is_of(stem)]
        lines = [PlacedStem(new, Tag()), *(each for each in alike if each.is_own)]
        for each in alike:
            is_piece = each.is_in_place or any(each.is_in_line(other) for other in lines)
            if (each.is_own and each.tag.item == one.item.guid) or (is_piece and each.plays_what(lines[0])):
                yield each


def takes_of(one: FinishedItem) -> list[PlacedStem]:
    tags = [read_tag(words) for words in one.item.whole.tags]
    return [PlacedStem(NO_STEM, tag) for tag in tags if tag.item]


def find_stem(standing: Iterable[PlacedStem], stem: StemResult) -> PlacedStem | None:
    """Return the first that is a stem; None where none is."""
    return next((one for one in standing if one.is_of(stem)), None)


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
