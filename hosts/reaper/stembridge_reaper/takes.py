"""The mathematics of takes: which part of a file an item plays, and the section around a stem that plays the same.

An item plays, at project time t, its source at ``D_STARTOFFS + (t - D_POSITION) * D_PLAYRATE``. The offset of a take on
a section counts from the section's start. Times are seconds; a file's time counts from its first sample.

The interface cannot make a section, so a stem item whose source is one is written as text. A block starts with
``<NAME`` and ends with ``>`` on a line of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from stembridge_reaper.protocol import ItemFacts, PartStatus, SourceFacts

Span = tuple[float, float]

SLACK = 1e-9
"""Seconds that rounding may add to a span."""

CLOSE = 1e-3
"""Seconds from an item's edge within which it is not split: REAPER splits none at its edge."""
SPLIT_CLOSE: Final = 1e-5
"""Seconds by which what people split may lie beside where it was cut."""


class NotUsableError(Exception):
    """One item cannot be used; the text is the reason, as it is counted."""


class Section(msgspec.Struct, frozen=True):
    """The part of a file that a take has for its source."""

    offset: float
    length: float
    is_reversed: bool
    lines: tuple[str, ...] = ()
    """How REAPER writes it, where a stem item needs one of its own."""


class PlacedTake(msgspec.Struct, frozen=True, kw_only=True):
    """How the take of a stem item is set."""

    offset: float
    markers: tuple[tuple[float, float, float], ...]
    section: tuple[str, ...]
    """Lines of the section that it needs; none where it needs none."""


def narrow(item: ItemFacts, limit: Span | None) -> ItemFacts | None:
    """Return an item as it is between two seconds of the project; None where it is not there.

    What lies within a fade is left whole, and so is an item with stretch markers.
    """
    values, length = item.item_values, item.item_values["D_LENGTH"]
    if limit is None:
        return item
    start, end = limit[0] - values["D_POSITION"], limit[1] - values["D_POSITION"]
    if end <= SLACK or start >= length - SLACK:
        return None
    if item.markers or start <= max(CLOSE, _fade(values, "IN")):
        start = 0.0
    if item.markers or end >= length - max(CLOSE, _fade(values, "OUT")):
        end = length
    if (start, end) == (0.0, length):
        return item
    values = values | {"D_POSITION": values["D_POSITION"] + start, "D_LENGTH": end - start}
    snap = values.get("D_SNAPOFFSET", 0.0) - start
    values["D_SNAPOFFSET"] = snap if 0 <= snap <= end - start else 0.0
    values |= UNFADED["IN"] if start else {}
    values |= UNFADED["OUT"] if end < length else {}
    offset = item.take_values["D_STARTOFFS"] + start * item.take_values["D_PLAYRATE"]
    takes = item.take_values | {"D_STARTOFFS": offset}
    return msgspec.structs.replace(item, item_values=values, take_values=takes)


def meet(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Tell whether two items sound at the same time, by their values; empty ones never do."""
    spans = [(values["D_POSITION"], values["D_POSITION"] + values["D_LENGTH"]) for values in (one, other) if values]
    return len(spans) > 1 and max(span[0] for span in spans) < min(span[1] for span in spans) - SPLIT_CLOSE


UNFADED: Final = {side: {f"D_FADE{side}LEN": 0.0, f"D_FADE{side}LEN_AUTO": -1.0} for side in ("IN", "OUT")}


def _fade(values: Mapping[str, float], side: str) -> float:
    return max(values.get(f"D_FADE{side}LEN", 0.0), values.get(f"D_FADE{side}LEN_AUTO", 0.0))


def find_section(item: ItemFacts) -> Section | None:
    """Return the section around an item's file, one of a section as one of the file; None where there is none.

    Raises:
        NotUsableError: it cannot be told.
    """
    section: Section | None = None
    for source in item.sources:
        if source.section is not None:
            section = _inside(section, source)
    if section is None or not _needs_own(item, section):
        return section
    lines = section_lines(item.state)
    if not lines:
        raise NotUsableError("reversed" if section.is_reversed else "in nested sections that loop (glue it first)")
    return msgspec.structs.replace(section, lines=lines)


def _inside(outer: Section | None, source: SourceFacts) -> Section:
    offset, length, is_reversed = source.section or (0.0, 0.0, False)
    if outer is None:
        return Section(offset, length, is_reversed)
    if outer.is_reversed or is_reversed:
        raise NotUsableError("reversed inside another section (glue it first)")
    return Section(offset + outer.offset, min(outer.length, length - outer.offset), False)


def used_span(item: ItemFacts, section: Section | None) -> Span | None:
    """Return the seconds of the root file that an item plays, or None for the whole file."""
    length = item.sources[-1].length
    if section is not None and _needs_own(item, section):
        return _clamp(section.offset, section.offset + section.length, length) if section.length > 0 else None
    start, end = _reach(item)
    if section:
        start, end = start + section.offset, end + section.offset
    if item.item_values["B_LOOPSRC"] and (start < -SLACK or end > length + SLACK):
        return None
    return _clamp(start, end, length)


def _needs_own(item: ItemFacts, section: Section) -> bool:
    """Tell whether a stem item needs a section of its own: the source's is reversed, looped or left."""
    start, end = _reach(item)
    return section.is_reversed or start < -SLACK or end > section.length + SLACK or bool(item.markers)


def place_take(item: ItemFacts, section: Section | None, part_start: float) -> PlacedTake:
    """Return how the take of a stem item is set.

    Args:
        item: the source item.
        section: around its file.
        part_start: second of the root file at which the stem file begins.
    """
    offset = item.take_values["D_STARTOFFS"]
    if section is not None and _needs_own(item, section):
        lines = tuple(_shifted(line, -part_start) for line in section.lines)
        return PlacedTake(offset=offset, markers=item.markers, section=lines)
    shift = (section.offset if section else 0.0) - part_start
    markers = tuple((position, source + shift, slope) for position, source, slope in item.markers)
    return PlacedTake(offset=offset + shift, markers=markers, section=())


def choose_part(parts: Sequence[PartStatus], span: Span | None) -> PartStatus | None:
    """Return the part of a file's result that covers a span (None: all of it), or None when none does."""
    for part in parts:
        if part.end is None and part.start == 0:
            return part
        if span and part.end is not None and part.start <= span[0] + SLACK and part.end >= span[1] - SLACK:
            return part
    return None


def _reach(item: ItemFacts) -> Span:
    """Return the span an item plays in the time of its own source, section or file."""
    start, played = item.take_values["D_STARTOFFS"], item.item_values["D_LENGTH"] * item.take_values["D_PLAYRATE"]
    if not item.markers:
        return start, start + played
    # Between two markers it plays what lies between their places in the source, whatever the slope; outside them the
    # source runs on at its own rate.
    markers = sorted(item.markers)
    first, last = markers[0], markers[-1]
    places = [source for position, source, _ in markers if 0 <= position <= played]
    for place in (0.0, played):
        if place < first[0] or place > last[0]:
            nearest = first if place < first[0] else last
            places.append(nearest[1] + place - nearest[0])
    around = [(one, two) for one, two in pairwise(markers) if one[0] < played and two[0] > 0]
    places += [source for pair in around for _, source, _ in pair]
    return min(places), max(places)


def _clamp(start: float, end: float, length: float) -> Span | None:
    start, end = max(0.0, start), min(length, end)
    return (start, end) if end > start else None


def section_lines(state: str) -> tuple[str, ...]:
    """Return what the section of an item's active take says of itself; empty when it is no plain section of a file."""
    lines = state.splitlines()
    for first, last, is_active in find_sources(state):
        if is_active and lines[first].split()[:2] == ["<SOURCE", "SECTION"]:
            inner = [line.strip() for line in lines[first + 1 : last]]
            starts = [number for number, line in enumerate(inner) if line.startswith("<")]
            if len(starts) == 1 and inner[starts[0]].startswith("<SOURCE"):
                return tuple(inner[: starts[0]] + inner[inner.index(">", starts[0]) + 1 :])
    return ()


def find_sources(state: str) -> list[tuple[int, int, bool]]:
    """Return ``(first, last, is_active)`` by line for each outermost SOURCE block, in the order of the takes."""
    found: list[tuple[int, int, bool]] = []
    is_active, depth, first = True, 0, -1
    lines = [line.strip() for line in state.splitlines()]
    has_choice = any(words == "TAKE SEL" or words.startswith("TAKE SEL ") for words in lines)
    for number, words in enumerate(lines):
        if depth == 1 and (words == "TAKE" or words.startswith("TAKE ")):
            is_active = words.startswith("TAKE SEL")
        if words.startswith("<"):
            depth += 1
            if depth == 2 and words.startswith("<SOURCE"):
                first = number
        elif words == ">":
            if depth == 2 and first >= 0:
                found.append((first, number, is_active and not (has_choice and not found)))
                first = -1
            depth -= 1
    return found


def _shifted(line: str, shift: float) -> str:
    words = line.split()
    if len(words) > 1 and words[0] == "STARTPOS":
        return f"STARTPOS {float(words[1]) + shift:.14f}"
    return line
