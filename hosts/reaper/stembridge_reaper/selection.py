"""From what a script read of items to the files they play: each once, with the seconds that are used of it."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from stembridge_reaper.protocol import (
    FileStatus,
    ItemFacts,
    PartStatus,
    Request,
    RequestProject,
    StandingStem,
    TrackFacts,
    read_tag,
)
from stembridge_reaper.takes import NotUsableError, Section, Span, choose_part, find_section, meet, narrow, used_span

_CLOSE = 1e-6
"""Seconds by which two ends may differ that are meant to be one."""


_FIXED_LANES: Final = 2

_NOT_HEARD: Final = {"B_MUTE", "D_SNAPOFFSET", "I_CUSTOMCOLOR", "I_GROUPID"}


class UsableItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item that plays a file."""

    number: int
    """Of the item in the request, from 0."""
    facts: ItemFacts
    """As far as it is used."""
    whole: ItemFacts
    path: Path
    section: Section | None
    span: Span | None
    """Seconds of the file that it plays; None for the whole file."""

    @property
    def guid(self) -> str:
        """Of the part that is used; where the item is split for it, that is a new item behind the rest."""
        start, whole = self.facts.item_values["D_POSITION"], self.whole.item_values["D_POSITION"]
        if start == whole:
            return self.whole.guid
        # Within the item, for it may be moved.
        return f"{{{str(uuid.uuid5(uuid.NAMESPACE_OID, f'{self.whole.guid} {start - whole:.6f}')).upper()}}}"

    @property
    def name(self) -> str:
        """The take's name, without the suffix where REAPER took it from the file."""
        said = self.facts.name
        return said if said and said != self.path.name else self.path.stem

    @property
    def likeness(self) -> str:
        """A few letters that say how it plays its file."""
        # REAPER counts on where it splits an item, and need not come to the same last digit.
        heard = self.facts.item_values | {f"take {key}": number for key, number in self.facts.take_values.items()}
        values = {key: round(number, 9) for key, number in heard.items() if key.split()[-1] not in _NOT_HEARD}
        played = (self.facts.track, values, self.facts.markers, self.section, str(self.path))
        return hashlib.sha256(msgspec.json.encode(played, order="sorted")).hexdigest()[:12]


class UsedFile(msgspec.Struct, frozen=True, kw_only=True):
    """One root file."""

    path: Path
    spans: tuple[Span, ...]
    """Seconds that its items play; empty when one of them needs the whole file."""
    items: tuple[int, ...]


def read_items(
    project: RequestProject, items: Iterable[ItemFacts], *, is_limited: bool = True
) -> tuple[list[UsableItem], Counter[str]]:
    """Return the items that can be separated, and how many cannot, by reason; limited to what is selected of them."""
    usable: list[UsableItem] = []
    skipped: Counter[str] = Counter()
    items = list(items)
    limits, outside = find_limits(project, items) if is_limited else ([None] * len(items), "")
    for number, (facts, limit) in enumerate(zip(items, limits, strict=True)):
        try:
            if outside and limit is None:
                raise NotUsableError(outside)
            usable.append(read_item(project, facts, number, limit))
        except NotUsableError as reason:
            skipped[str(reason)] += 1
    return usable, skipped


def find_limits(project: RequestProject, items: Sequence[ItemFacts]) -> tuple[list[Span | None], str]:
    """Return the seconds of the project that limit each item, and why those without are passed over.

    Razor edits limit the items of their tracks, or else the time selection all; what touches none of the items is not
    meant for them, and nothing limits them then.
    """
    selected = [project.selection] if project.selection else []
    found = [_touched(one, one.razors) for one in items]
    if any(found):
        return found, "outside the razor edits"
    found = [_touched(one, selected) for one in items]
    return found, "outside the time selection" if any(found) else ""


def _touched(item: ItemFacts, areas: Sequence[Span]) -> Span | None:
    """Return what reaches from the first to the last area that touches an item."""
    if not item.item_values:
        return None
    touching = [area for area in areas if narrow(msgspec.structs.replace(item, markers=()), area)]
    return (min(start for start, _ in touching), max(end for _, end in touching)) if touching else None


def read_item(
    project: RequestProject, whole: ItemFacts, number: int = 0, limit: Span | None = None, *, is_played: bool = True
) -> UsableItem:
    """Return an item with its file, as far as it lies within a limit; ``is_played`` where the file must be there.

    Raises:
        NotUsableError: there is no file to separate.
    """
    facts = narrow(whole, limit) if whole.item_values else whole
    if facts is None:
        raise NotUsableError("moved away")
    if facts.fault:
        raise NotUsableError(facts.fault)
    if facts.is_midi:
        raise NotUsableError("MIDI")
    if not facts.take or not facts.sources:
        raise NotUsableError("empty")
    if facts.item_values.get("B_ALLTAKESPLAY") and len(facts.tags) > 1:
        raise NotUsableError("playing all its takes (explode them first)")
    path = _path_of(project, facts)
    if is_played and not path.is_file():
        raise NotUsableError("with a missing file")
    if facts.sources[-1].is_beats or facts.sources[-1].length <= 0:
        raise NotUsableError("without length (offline media?)")
    section = find_section(facts)
    span = used_span(facts, section)
    return UsableItem(number=number, facts=facts, whole=whole, path=path, section=section, span=span)


def _path_of(project: RequestProject, facts: ItemFacts) -> Path:
    root = facts.sources[-1]
    match root.kind.upper():
        case "MIDI" | "MIDIPOOL":
            raise NotUsableError("MIDI")
        case "RPP_PROJECT" | "RPP":
            raise NotUsableError("project in project")
        case "EMPTY":
            raise NotUsableError("empty")
    if root.path.lower().endswith((".rpp", ".rpp-bak")):
        raise NotUsableError("project in project")
    if not root.path:
        raise NotUsableError("empty")
    # A project may name its media from where it lies itself.
    return Path(os.path.abspath(os.path.join(os.path.dirname(project.path), root.path)))  # noqa: PTH100, PTH120


def group_by_file(items: Sequence[UsableItem]) -> list[UsedFile]:
    """Return each root file once, in the order in which items first play it."""
    groups: dict[str, list[UsableItem]] = {}
    for item in items:
        groups.setdefault(os.path.normcase(item.path), []).append(item)
    return [
        UsedFile(
            path=group[0].path,
            spans=tuple(sorted({item.span for item in group if item.span})) if all(i.span for i in group) else (),
            items=tuple(item.number for item in group),
        )
        for group in groups.values()
    ]


class FinishedItem(NamedTuple):
    """An item whose stems are finished."""

    item: UsableItem
    """As it is now, or was where it is gone."""
    is_there: bool
    part: PartStatus


def find_finished(run: Request, files: Sequence[FileStatus], now: Request) -> tuple[list[FinishedItem], Counter[str]]:
    """Return the items with stems that stand on the disk, and how many have none that fit, by reason.

    Args:
        run: the run's request.
        files: of its status.
        now: the project, with the items as they are by now.
    """
    parts_of, (limits, _) = _find_parts(run, now), find_limits(run.project, run.items)
    found: list[FinishedItem] = []
    left: Counter[str] = Counter()
    for file in files:
        parts = [part for part in file.parts if part.stems]
        for number in file.items if parts else ():
            if run.items[number].guid in now.placed:
                continue
            was = read_item(run.project, run.items[number], number, limits[number], is_played=False)
            pieces, is_changed = _read_pieces(was, limits[number], now, parts_of.get(was.whole.guid, []))
            left["changed"] += is_changed
            chosen = [choose_part(parts, piece.item.span) if piece.item.path == was.path else None for piece in pieces]
            is_whole = all(part for piece, part in zip(pieces, chosen, strict=True) if piece.is_needed)
            for piece, part in zip(pieces, chosen, strict=True):
                if part is None or (piece.is_needed and not is_whole):
                    left["changed"] += 1
                elif not all(stem.path.is_file() for stem in part.stems):
                    left["moved"] += 1
                else:
                    found.append(FinishedItem(piece.item, piece.is_there, part))
    return sorted(found, key=lambda one: one.item.number), left


class _Piece(NamedTuple):
    """What an item of a run is by now, or a part of that."""

    item: UsableItem
    is_there: bool
    is_needed: bool = True
    """Whether none of its kind has stems unless all have."""


def _read_pieces(
    was: UsableItem, limit: Span | None, now: Request, parts: Iterable[tuple[ItemFacts, bool]]
) -> tuple[list[_Piece], bool]:
    """Return what an item is by now, and whether it cannot be used; where all of it is gone, what it was."""
    found: list[_Piece] = []
    for facts, is_shared in parts:
        with suppress(NotUsableError):
            item = read_item(now.project, facts, was.number, _move(limit, was.whole, facts), is_played=False)
            # What was glued plays another file.
            found += [_Piece(item, is_there=True, is_needed=is_shared)] if item.path == was.path else []
    here = next((facts for facts in now.items if facts.guid == was.whole.guid), None)
    if here is None:
        return found or [_Piece(was, is_there=False)], False
    moved = _move(limit, was.whole, here)
    try:
        return [_Piece(read_item(now.project, here, was.number, moved, is_played=False), is_there=True), *found], False
    except NotUsableError:
        # What a split for these stems left of it is no item that was changed.
        return found, not (moved and (found or _ends_at(here, moved[0])))


def _find_parts(run: Request, now: Request) -> dict[str, list[tuple[ItemFacts, bool]]]:
    """Return what was one with an item of the run once and is none of them, by that item.

    That is what was split off or copied since the run began; and what shares a stem with that item, which is replaced
    (True): it has stems together with that item, or would be silent.
    """
    found: dict[str, list[tuple[ItemFacts, bool]]] = {}
    present, own = {facts.guid: facts for facts in now.items}, {item.guid for item in run.items}
    relatives: dict[str, list[ItemFacts]] = {}
    for item in run.items:
        for guid in item.family:
            relatives.setdefault(guid, []).append(present.get(item.guid, item))
    stems: dict[str, list[StandingStem]] = {}
    for stem in now.standing:
        stems.setdefault(read_tag(stem.tag).item, []).append(stem)
    for facts in now.items:
        shared, since = "", ""
        for guid in facts.family if facts.guid not in own else ():
            for item in relatives.get(guid, ()):
                is_shared = any(
                    meet(stem.values, facts.item_values) and meet(stem.values, item.item_values)
                    for stem in stems.get(guid, ())
                )
                shared = shared or item.guid * is_shared
                since = since or item.guid * (f"{run.id}{item.guid}" in facts.marks)
        if shared or since:
            found.setdefault(shared or since, []).append((facts, bool(shared)))
    return found


def _move(limit: Span | None, was: ItemFacts, now: ItemFacts) -> Span | None:
    """Return the seconds of the project where an item plays by now what it played in a limit."""
    if limit is None or not now.item_values:
        return limit
    seconds = ((one - was.item_values["D_POSITION"]) * was.take_values["D_PLAYRATE"] for one in limit)
    shift = was.take_values["D_STARTOFFS"] - now.take_values["D_STARTOFFS"]
    places = [now.item_values["D_POSITION"] + (one + shift) / now.take_values["D_PLAYRATE"] for one in seconds]
    return places[0], places[1]


def _ends_at(item: ItemFacts, second: float) -> bool:
    values = item.item_values
    return bool(values) and abs(values["D_POSITION"] + values["D_LENGTH"] - second) < _CLOSE


def is_heard(source: TrackFacts | None, one: FinishedItem) -> bool:
    """Tell whether an item sounds: a muted one does not, nor one on a lane that does not play."""
    values = one.item.facts.item_values
    has_lanes = source is not None and source.values.get("I_FREEMODE") == _FIXED_LANES
    lane = values.get("C_LANEPLAYS", 1)
    return not values.get("B_MUTE") and not (lane < 0 or (has_lanes and lane == 0))
