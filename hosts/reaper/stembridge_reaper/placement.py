"""From finished stems, and what a project is like now, to the steps of an insertion plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from plugin_core import colour_of, sort_stems
from plugin_core.console.phrases import plural
from stembridge_reaper.placed_stems import (
    PlacedStem,
    StandingStems,
    choose_depths,
    doubled,
    find_stem,
    folder_name,
    name_file,
    own_guid,
    sounds_twice,
    takes_of,
)
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
    SplitItem,
    Step,
)
from stembridge_reaper.protocol import (
    EXTENSION,
    FOLDER,
    PENDING,
    Request,
    StemResult,
    Tag,
    TrackFacts,
    read_tag,
    write_tag,
)
from stembridge_reaper.runs import ReaperSettings
from stembridge_reaper.selection import FinishedItem
from stembridge_reaper.takes import SLACK, UNFADED, place_take

FOLDER_COLOUR: Final = (160, 160, 160)

MIX_KEYS: Final = (
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
    "I_SOLO",
)
"""What the folder takes over from the source track, so that its stems sound as the source did."""

TRACK_KEYS: Final = ("B_SOLO_DEFEAT", "I_PLAY_OFFSET_FLAG", "D_PLAY_OFFSET")
"""What each new track takes over, where it is not as REAPER makes tracks."""


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
        self._standing = StandingStems(now, self._tags)
        self._deleted: set[str] = set()
        self._slots = 0
        self._found: dict[str, int] = {}
        self._steps: list[Step] = [Head(VERSION, "stembridge: insert stems")]
        self._last: list[Step] = []
        """What changes the project as it was, behind the rest."""
        self._silent = self._gone = 0
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
            if self._settings.stem_tracks == "takes":
                for one in [one for one in wanted if self._fits_takes(one)]:
                    self._add_takes(one)
                    wanted.remove(one)
                if wanted:
                    told = f"{plural(len(wanted), 'item')} cannot have stems as takes: they are on tracks"
                    self.notes.append(told)
            if wanted:
                self._place_group(self._tracks.get(track), wanted)
        if self._silent:
            self.notes.append(f"{plural(self._silent, 'item')} did not sound, and the stems are muted likewise")
        if self._gone:
            told = f"{plural(self._gone, 'item')} not in the project any more, deleted or glued: the stems are muted"
            self.notes.append(told)
        # What is deleted cannot be given back where a later step fails.
        last = sorted(self._last, key=lambda step: isinstance(step, Delete))
        return [*self._steps, Commit(), *last] if self.placed else []

    def _slot(self) -> int:
        self._slots += 1
        return self._slots

    def _find(self, kind: str, guid: str) -> int:
        """Return the slot of something that is there; to look it up takes time, so none of that is done at the end."""
        if guid not in self._found:
            self._found[guid] = self._slot()
            self._steps.append(Find(self._found[guid], kind, guid))
        return self._found[guid]

    def _tag(self, one: FinishedItem, stem: StemResult) -> Tag:
        return Tag(run=self._run, item=one.item.guid, stem=stem.name, job=stem.job, file=name_file(stem.path))

    def _is_own(self, one: FinishedItem) -> bool:
        return any(each.tag.run == self._run for each in self._standing.of(one))

    def _is_wanted(self, one: FinishedItem) -> bool:
        takes, standing = takes_of(one), self._standing.of(one)
        if all(find_stem(takes, stem) for stem in one.part.stems):
            return False
        found = [find_stem(standing, stem) for stem in one.part.stems]
        is_all = all(each and each.tag.like == one.item.likeness for each in found)
        return not is_all or self._standing.is_woken(self._tracks.get(one.item.facts.track), one)

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
            self._note_what_is_lost(source)
        self._note_takes_that_are_lost(group)
        new = [one for one in group if not self._standing.of(one)]
        self._silent += sum(one.is_there and not self._standing.was_heard(source, one) for one in new)
        self._gone += sum(not one.is_there for one in new)

    def _join(
        self, source: TrackFacts | None, names: Sequence[str], stems: dict[str, str], base: str
    ) -> dict[str, tuple[int, bool]]:
        """Return the tracks of an earlier insertion below the same track, with new ones beside them; or none."""
        if source is None:
            return {}
        # Of several the first: a copy stands below what it was made of.
        own = [one for one in reversed(self._tags.items()) if one[1].source == source.guid and one[1].state != PENDING]
        there = {tag.stem: guid for guid, tag in own}
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
        mix: tuple[tuple[str, Number], ...] = (("B_MUTE", 0), _EVEN)
        if source is not None:
            if own != depth:
                self._last.append(SetNumbers(self._find("MediaTrack", source.guid), (("I_FOLDERDEPTH", own),)))
            # Inside a source track that is a folder itself, its own settings apply to the stems already.
            if own == 0:
                mix = (_EVEN, *((key, source.values[key]) for key in (*MIX_KEYS, "B_MUTE") if key in source.values))
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
            SetNumbers(slot, (("B_MUTE", 1), _EVEN)),
            SetText(slot, EXTENSION, write_tag(msgspec.structs.replace(tag, state=PENDING))),
            SetText(slot, "P_NAME", title),
            SetColour(slot, *(FOLDER_COLOUR if stem == FOLDER else colour_of(stem))),
        )
        self._last.append(SetText(slot, EXTENSION, write_tag(tag)))
        return slot

    def _widen(self, source: TrackFacts | None, group: Sequence[FinishedItem], slots: Sequence[int]) -> None:
        """Give new tracks the channels, the timebase and the like of the source track."""
        values = source.values if source else {}
        widest = max([1, *(one.item.facts.sources[-1].channels for one in group)])
        wanted: list[tuple[str, Number]] = []
        if (channels := max(int(values.get("I_NCHAN", 2)), widest + widest % 2)) > 2:
            wanted.append(("I_NCHAN", channels))
        if (timebase := values.get("C_BEATATTACHMODE", -1)) != -1:
            wanted.append(("C_BEATATTACHMODE", timebase))
        wanted += [(key, values[key]) for key in TRACK_KEYS if values.get(key)]
        for slot in slots if wanted else ():
            self._steps.append(SetNumbers(slot, tuple(wanted)))

    def _place_item(self, source: TrackFacts | None, one: FinishedItem, tracks: dict[str, int]) -> None:
        standing, like, was_heard = self._standing.of(one), one.item.likeness, self._standing.was_heard(source, one)
        kept: set[str] = set()
        for stem in one.part.stems:
            found = find_stem(standing, stem)
            if found and found.tag.like == like and not (found.tag.is_silent and was_heard):
                kept.add(found.stem.guid)
                continue
            own = msgspec.structs.replace(self._tag(one, stem), like=like, is_silent=not was_heard)
            track = tracks[stem.name]
            # The source item was changed since: its stems follow it, on the track that they are on by now.
            for old in self._standing.replaced_by(one, stem):
                self._delete(old)
                track = self._find("MediaTrack", old.stem.track) if old is found else track
            self._place_stem(one, stem, track, own)
        names = {stem.name for stem in one.part.stems}
        for old in [*standing, *self._standing.shared_with(one)]:
            is_left = old.stem.guid not in kept | self._deleted and (old.is_own or old.is_in_place)
            if is_left and sounds_twice(old.tag.stem, names):
                self._last.append(SetNumbers(self._find("MediaItem", old.stem.guid), (("B_MUTE", 1),)))
        if one.is_there:
            self._silence(one)
        self.placed += 1

    def _delete(self, one: PlacedStem) -> None:
        if one.stem.guid not in self._deleted:
            self._deleted.add(one.stem.guid)
            self._last.append(Delete(self._find("MediaItem", one.stem.guid)))

    def _silence(self, one: FinishedItem) -> None:
        """Mute the part of the source item that its stems play, or take it away."""
        has_takes = len(one.item.whole.tags) > 1
        if self._settings.replace_source and not has_takes:
            self._last.append(Delete(self._part(one)))
        elif (self._settings.mute_source or self._settings.replace_source) and not one.item.facts.item_values.get(
            "B_MUTE"
        ):
            self._last.append(SetNumbers(self._part(one), (("B_MUTE", 1),)))
        if self._settings.replace_source and has_takes:
            self.notes.append(f"'{one.item.name}' has other takes, and was muted rather than deleted")

    def _part(self, one: FinishedItem) -> int:
        """Return the slot of the part of an item that is used; the item is split where that is not all of it."""
        used, whole = one.item.facts.item_values, one.item.whole.item_values
        slot = self._find("MediaItem", one.item.whole.guid)
        start, length = used["D_POSITION"], used["D_LENGTH"]
        # Whatever REAPER is set to do where an item is split, it sounds as before.
        if start + length < whole["D_POSITION"] + whole["D_LENGTH"] - SLACK:
            right = self._slot()
            self._last.append(SplitItem(right, slot, start + length))
            self._last.append(SetNumbers(right, tuple(UNFADED["IN"].items())))
            kept = (("D_LENGTH", start + length - whole["D_POSITION"]), *UNFADED["OUT"].items())
            self._last.append(SetNumbers(slot, kept))
        if start > whole["D_POSITION"]:
            right = self._slot()
            self._last.append(SplitItem(right, slot, start))
            self._last.append(SetNumbers(right, tuple(UNFADED["IN"].items())))
            self._last.append(SetText(right, "GUID", one.item.guid))
            kept = (("D_LENGTH", start - whole["D_POSITION"]), *UNFADED["OUT"].items())
            self._last.append(SetNumbers(slot, kept))
            return right
        return slot

    def _fits_takes(self, one: FinishedItem) -> bool:
        """Tell whether stems can be takes of the item: it is there, and plays no section that needs text of its own."""
        placed = [place_take(one.item.facts, one.item.section, stem.start) for stem in one.part.stems]
        is_alone = not one.item.facts.item_values.get("B_ALLTAKESPLAY")
        return one.is_there and is_alone and not any(each.section for each in placed)

    def _add_takes(self, one: FinishedItem) -> None:
        """Add the stems to their item as takes; the one that is heard stays so."""
        item = self._part(one)
        # To what is split first, in the last tick.
        steps = self._steps if one.item.facts == one.item.whole else self._last
        standing = takes_of(one)
        for stem in [stem for stem in one.part.stems if not find_stem(standing, stem)]:
            take = self._slot()
            steps += (
                AddTake(take, item, stem.path),
                *self._set_take(one, stem, take),
                SetColour(take, *colour_of(stem.name)),
                SetText(take, EXTENSION, write_tag(self._tag(one, stem))),
            )
        self._note_takes_that_are_lost([one])
        self.placed += 1

    def _set_take(self, one: FinishedItem, stem: StemResult, take: int) -> Iterator[Step]:
        facts = one.item.facts
        placed = place_take(facts, one.item.section, stem.start)
        values: dict[str, Number] = dict(facts.take_values.items())
        # Channel 3 of a source says nothing about a stem that has two.
        if facts.take_values.get("I_CHANMODE") and _channels(stem.path) != facts.sources[-1].channels:
            del values["I_CHANMODE"]
        values["D_STARTOFFS"] = placed.offset
        yield SetNumbers(take, tuple(values.items()))
        yield from (AddMarker(take, *marker) for marker in placed.markers)
        yield SetText(take, "P_NAME", f"{one.item.name} - {stem.title}")

    def _place_stem(self, one: FinishedItem, stem: StemResult, track: int, tag: Tag) -> None:
        item, facts = self._slot(), one.item.facts
        take = self._slot()
        placed = place_take(facts, one.item.section, stem.start)
        begins = facts.item_values["D_POSITION"] - placed.offset / facts.take_values["D_PLAYRATE"]
        tag = msgspec.structs.replace(tag, at=round(begins, 6))
        self._steps += (AddItem(item, track), AddTake(take, item, stem.path))
        if placed.section:
            self._steps.append(SetSection(take, item, placed.section))
        values: dict[str, Number] = {key: facts.item_values[key] for key in facts.item_values if key not in _NOT_COPIED}
        if tag.is_silent:
            values["B_MUTE"] = 1
        self._steps += (
            SetNumbers(item, tuple(values.items())),
            *self._set_take(one, stem, take),
            SetText(item, EXTENSION, write_tag(tag)),
            SetText(item, "GUID", own_guid(tag)),
        )

    def _note_what_is_lost(self, source: TrackFacts) -> None:
        lost = sorted(word for word, count in source.extras.items() if count)
        if lost and self._settings.stem_tracks != "inside" and source.values["I_FOLDERDEPTH"] <= 0:
            self.notes.append(
                f"{', '.join(lost)} of track '{source.name}' do not act on its stems;"
                ' stem_tracks = "inside" below [reaper] in config.toml puts stems below the track, where they do'
            )

    def _note_takes_that_are_lost(self, group: Sequence[FinishedItem]) -> None:
        takes = sorted({word for one in group for word, count in one.item.facts.extras.items() if count})
        track = self._tracks.get(group[0].item.facts.track)
        if takes and track:
            self.notes.append(f"{', '.join(takes)} of items on track '{track.name}' were not copied to their stems")


_NOT_COPIED: Final = {"B_MUTE", "C_LANEPLAYS", "B_ALLTAKESPLAY"}
_EVEN: Final = ("D_PANLAW", 1.0)
"""No pan law turns down what lies in the middle a second time."""


def _channels(path: Path) -> int:
    from plugin_core import open_reader

    with open_reader(path) as reader:
        return int(reader.info.channels)
