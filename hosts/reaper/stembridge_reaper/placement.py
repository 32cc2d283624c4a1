"""From finished stems, and what a project is like now, to the steps of an insertion plan."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from plugin_core import colour_of, sort_stems
from plugin_core.console.phrases import plural
from stembridge_reaper.plan import (
    VERSION,
    AddItem,
    AddMarker,
    AddTake,
    AddTrack,
    Commit,
    Delete,
    Find,
    Head,
    Number,
    SetColour,
    SetNumbers,
    SetSection,
    SetText,
    Step,
)
from stembridge_reaper.protocol import FileStatus, PartStatus, Request, StemResult, TrackFacts
from stembridge_reaper.selection import UsableItem, read_item
from stembridge_reaper.settings import ReaperSettings
from stembridge_reaper.stem_tracks import FOLDER_COLOUR, choose_depths, doubled, folder_name
from stembridge_reaper.takes import NotUsableError, choose_part, place_take

EXTENSION: Final = "P_EXT:stembridge"
FOLDER: Final = "folder"
PENDING: Final = "pending"

MIX_KEYS: Final = (
    "D_VOL",
    "D_PAN",
    "I_PANMODE",
    "D_WIDTH",
    "D_DUALPANL",
    "D_DUALPANR",
    "B_PHASE",
    "B_MAINSEND",
    "C_MAINSEND_OFFS",
    "I_SOLO",
)
"""What the folder takes over from the source track, so that its stems sound as the source did."""

_FIXED_LANES: Final = 2


class FinishedItem(NamedTuple):
    """An item whose stems are finished."""

    item: UsableItem
    """As it is now, or was where it is gone."""
    is_there: bool
    part: PartStatus


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
    like: str = ""
    """Of an item: digest of how the source item played."""
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


def find_finished(run: Request, files: Sequence[FileStatus], now: Request) -> tuple[list[FinishedItem], Counter[str]]:
    """Return the items with stems that stand on the disk, and how many have none that fit, by reason.

    Args:
        run: the run's request.
        files: of its status.
        now: the project, with the items as they are by now.
    """
    present = {facts.guid: facts for facts in now.items}
    found: list[FinishedItem] = []
    left: Counter[str] = Counter()
    for file in files:
        parts = [part for part in file.parts if part.stems]
        for number in file.items if parts else ():
            was = read_item(run.project, run.items[number], number)
            facts = present.get(was.facts.guid)
            try:
                item = was if facts is None else read_item(now.project, facts, number)
            except NotUsableError:
                left["changed"] += 1
                continue
            part = choose_part(parts, item.span)
            if part is None or item.path != was.path:
                left["changed"] += 1
            elif not all(stem.path.is_file() for stem in part.stems):
                left["moved"] += 1
            else:
                found.append(FinishedItem(item, facts is not None, part))
    return sorted(found, key=lambda one: one.item.number), left


class Placement:
    """The steps that put the finished stems of one run into a project.

    Args:
        run: name of the run.
        names: of all its items, finished or not, by track.
        now: the project as it is.
        settings: whether sources are muted, and where stem tracks stand.
    """

    def __init__(self, run: str, names: Mapping[str, set[str]], now: Request, settings: ReaperSettings) -> None:
        self._run = run
        self._names = names
        self._settings = settings
        self._tracks = {track.guid: track for track in now.tracks}
        self._tags = {track.guid: read_tag(track.tag) for track in now.tracks}
        self._standing: dict[str, dict[tuple[str, str], tuple[str, Tag]]] = {}
        """By item: GUID and tag of each stem that stands, by stem and job."""
        for stem in now.standing:
            tag = read_tag(stem.tag)
            self._standing.setdefault(tag.item, {})[tag.stem, tag.job] = stem.guid, tag
        self._slots = 0
        self._found: dict[str, int] = {}
        self._steps: list[Step] = [Head(VERSION, "stembridge: insert stems")]
        self._last: list[Step] = []
        """What changes the project as it was, behind the rest."""
        self.placed = 0
        """Items that get stems."""
        self.standing = 0
        """Items whose stems stand already, by another run."""
        self.notes: list[str] = []
        """What does not hold for the stems, in words."""

    def plan(self, finished: Iterable[FinishedItem]) -> list[Step]:
        """Return the steps; none where all stands already."""
        groups: dict[str, list[FinishedItem]] = {}
        for one in finished:
            groups.setdefault(one.item.facts.track, []).append(one)
        for guid, tag in self._tags.items():
            if tag.state == PENDING and tag.run == self._run:
                self._last.append(Delete(self._find("MediaTrack", guid)))
        for track, group in groups.items():
            wanted = [one for one in group if self._is_wanted(one)]
            self.standing += sum(one not in wanted and not self._is_own(one) for one in group)
            if wanted:
                self._place_group(self._tracks.get(track), wanted)
        return [*self._steps, Commit(), *self._last] if self.placed else []

    def _slot(self) -> int:
        self._slots += 1
        return self._slots

    def _find(self, kind: str, guid: str) -> int:
        """Return the slot of something that is there; to look it up takes time, so none of that is done at the end."""
        if guid not in self._found:
            self._found[guid] = self._slot()
            self._steps.append(Find(self._found[guid], kind, guid))
        return self._found[guid]

    def _stems_of(self, one: FinishedItem) -> dict[tuple[str, str], tuple[str, Tag]]:
        return self._standing.get(one.item.facts.guid, {})

    def _is_own(self, one: FinishedItem) -> bool:
        return any(tag.run == self._run for _, tag in self._stems_of(one).values())

    def _is_wanted(self, one: FinishedItem) -> bool:
        standing, like = self._stems_of(one), _digest(one.item)
        known = [standing.get((stem.name, stem.job)) for stem in one.part.stems]
        return not all(found is not None and found[1].like == like for found in known)

    def _is_heard(self, source: TrackFacts | None, one: FinishedItem) -> bool:
        """Tell whether an item sounded before stems of it muted it."""
        if standing := self._stems_of(one):
            return not any(tag.is_silent for _, tag in standing.values())
        return _is_heard(source, one)

    def _place_group(self, source: TrackFacts | None, group: Sequence[FinishedItem]) -> None:
        stems = {stem.name: stem.title for one in group for stem in one.part.stems}
        names = sort_stems(stems)
        said = self._names.get(group[0].item.facts.track) or {one.item.name for one in group}
        base = folder_name(said, source.name if source else "")
        above = self._find("MediaTrack", source.guid) if source else 0
        tracks = self._join(source, names, stems, base) or self._make_tracks(source, above, names, stems, base)
        muted = doubled([(stem.name, stem.job) for stem in group[0].part.stems])
        for name in names:
            slot, is_new = tracks[name]
            if is_new:
                self._last.append(SetNumbers(slot, (("B_MUTE", int(name in muted)),)))
        self._widen(source, group, [slot for slot, is_new in tracks.values() if is_new])
        for one in group:
            self._place_item(source, one, {name: slot for name, (slot, _) in tracks.items()})
        if source is not None:
            self._note_what_is_lost(source, group)
        if silent := sum(not _is_heard(source, one) and not self._stems_of(one) for one in group):
            self.notes.append(f"{plural(silent, 'item')} did not sound, and the stems are muted likewise")

    def _join(
        self, source: TrackFacts | None, names: Sequence[str], stems: dict[str, str], base: str
    ) -> dict[str, tuple[int, bool]]:
        """Return the tracks of an earlier insertion below the same track, with new ones beside them; or none."""
        if source is None:
            return {}
        there = {
            tag.stem: guid for guid, tag in self._tags.items() if tag.source == source.guid and tag.state != PENDING
        }
        if FOLDER not in there or self._tracks[there[FOLDER]].values.get("I_FOLDERDEPTH", 0) < 1:
            return {}
        tracks = {name: (self._find("MediaTrack", there[name]), False) for name in names if name in there}
        above = self._find("MediaTrack", there[FOLDER])
        for name in names:
            if name not in tracks:
                # The first children of a folder need no depth of their own, whatever the user did to the rest.
                above = self._make_track(source.guid, above, name, f"{base} - {stems[name]}")
                tracks[name] = (above, True)
        return tracks

    def _make_tracks(
        self, source: TrackFacts | None, above: int, names: Sequence[str], stems: dict[str, str], base: str
    ) -> dict[str, tuple[int, bool]]:
        guid = source.guid if source else ""
        folder = above = self._make_track(guid, above, FOLDER, f"{base} - Stems")
        tracks = {}
        for name in names:
            above = self._make_track(guid, above, name, f"{base} - {stems[name]}")
            tracks[name] = (above, True)
        depth = int(source.values["I_FOLDERDEPTH"]) if source else 0
        is_inside = self._settings.stem_tracks == "inside"
        own, depths = choose_depths(depth, len(names), is_inside=is_inside and source is not None)
        mix: tuple[tuple[str, Number], ...] = (("B_MUTE", 0),)
        if source is not None:
            if own != depth:
                self._last.append(SetNumbers(self._find("MediaTrack", source.guid), (("I_FOLDERDEPTH", own),)))
            # Inside a source track that is a folder itself, its own settings apply to the stems already.
            if own == 0:
                mix = tuple((key, source.values[key]) for key in (*MIX_KEYS, "B_MUTE") if key in source.values)
        self._last.append(SetNumbers(folder, mix))
        for slot, each in zip((folder, *(tracks[name][0] for name in names)), depths, strict=True):
            self._last.append(SetNumbers(slot, (("I_FOLDERDEPTH", each),)))
        self._widen(source, (), [folder])
        return tracks

    def _make_track(self, source: str, above: int, stem: str, title: str) -> int:
        slot = self._slot()
        tag = Tag(run=self._run, source=source, stem=stem)
        self._steps += (
            AddTrack(slot, above),
            SetNumbers(slot, (("B_MUTE", 1),)),
            SetText(slot, EXTENSION, _write(msgspec.structs.replace(tag, state=PENDING))),
            SetText(slot, "P_NAME", title),
            SetColour(slot, *(FOLDER_COLOUR if stem == FOLDER else colour_of(stem))),
        )
        self._last.append(SetText(slot, EXTENSION, _write(tag)))
        return slot

    def _widen(self, source: TrackFacts | None, group: Sequence[FinishedItem], slots: Sequence[int]) -> None:
        """Give new tracks the channels and the timebase of the source track."""
        values = source.values if source else {}
        widest = max([1, *(one.item.facts.sources[-1].channels for one in group)])
        wanted: list[tuple[str, Number]] = []
        if (channels := max(int(values.get("I_NCHAN", 2)), widest + widest % 2)) > 2:
            wanted.append(("I_NCHAN", channels))
        if (timebase := values.get("C_BEATATTACHMODE", -1)) != -1:
            wanted.append(("C_BEATATTACHMODE", timebase))
        for slot in slots if wanted else ():
            self._steps.append(SetNumbers(slot, tuple(wanted)))

    def _place_item(self, source: TrackFacts | None, one: FinishedItem, tracks: dict[str, int]) -> None:
        standing, like, is_heard = self._stems_of(one), _digest(one.item), self._is_heard(source, one)
        for stem in one.part.stems:
            guid, tag = standing.get((stem.name, stem.job), ("", Tag()))
            if guid and tag.like == like:
                continue
            if guid:
                # The source item was changed since: its stems follow it.
                self._last.append(Delete(self._find("MediaItem", guid)))
            own = Tag(
                run=self._run, item=one.item.facts.guid, stem=stem.name, job=stem.job, like=like, is_silent=not is_heard
            )
            self._place_stem(one, stem, tracks[stem.name], own)
        if one.is_there and self._settings.mute_source and not one.item.facts.item_values.get("B_MUTE"):
            slot = self._find("MediaItem", one.item.facts.guid)
            self._last.append(SetNumbers(slot, (("B_MUTE", 1),)))
        self.placed += 1

    def _place_stem(self, one: FinishedItem, stem: StemResult, track: int, tag: Tag) -> None:
        item, facts = self._slot(), one.item.facts
        take = self._slot()
        placed = place_take(facts, one.item.section, stem.start)
        self._steps += (AddItem(item, track), AddTake(take, item, stem.path))
        if placed.section:
            self._steps.append(SetSection(take, item, placed.section))
        values: dict[str, Number] = {key: facts.item_values[key] for key in facts.item_values if key not in _NOT_COPIED}
        if tag.is_silent:
            values["B_MUTE"] = 1
        takes: dict[str, Number] = dict(facts.take_values.items())
        # Channel 3 of a source says nothing about a stem that has two.
        if facts.take_values.get("I_CHANMODE") and _channels(stem.path) != facts.sources[-1].channels:
            del takes["I_CHANMODE"]
        takes["D_STARTOFFS"] = placed.offset
        self._steps += (
            SetNumbers(item, tuple(values.items())),
            SetNumbers(take, tuple(takes.items())),
            *(AddMarker(take, *marker) for marker in placed.markers),
            SetText(take, "P_NAME", f"{one.item.name} - {stem.title}"),
            SetText(item, EXTENSION, _write(tag)),
        )

    def _note_what_is_lost(self, source: TrackFacts, group: Sequence[FinishedItem]) -> None:
        lost = [word for word, count in source.extras.items() if count and self._settings.stem_tracks != "inside"]
        if lost and source.values["I_FOLDERDEPTH"] <= 0:
            self.notes.append(
                f"{', '.join(lost)} of track '{source.name}' do not act on its stems;"
                ' stem_tracks = "inside" below [reaper] in config.toml puts stems below the track, where they do'
            )
        takes = sorted({word for one in group for word, count in one.item.facts.extras.items() if count})
        if takes:
            self.notes.append(f"{', '.join(takes)} of items on track '{source.name}' were not copied to their stems")


_NOT_COPIED: Final = {"B_MUTE", "C_LANEPLAYS"}


def _is_heard(source: TrackFacts | None, one: FinishedItem) -> bool:
    """Tell whether an item sounds: a muted one does not, nor one on a lane that does not play."""
    values = one.item.facts.item_values
    has_lanes = source is not None and source.values.get("I_FREEMODE") == _FIXED_LANES
    lane = values.get("C_LANEPLAYS", 1)
    return not values.get("B_MUTE") and not (lane < 0 or (has_lanes and lane == 0))


def _digest(item: UsableItem) -> str:
    """Return a few letters that say how an item plays its file."""
    facts = item.facts
    values = {key: number for key, number in facts.item_values.items() if key != "B_MUTE"}
    played = (facts.track, facts.take, values, facts.take_values, facts.markers, item.section, str(item.path))
    return hashlib.sha256(msgspec.json.encode(played, order="sorted")).hexdigest()[:12]


def _write(tag: Tag) -> str:
    # REAPER keeps ASCII.
    return json.dumps(msgspec.to_builtins(tag))


def _channels(path: Path) -> int:
    from plugin_core import open_reader

    with open_reader(path) as reader:
        return int(reader.info.channels)
