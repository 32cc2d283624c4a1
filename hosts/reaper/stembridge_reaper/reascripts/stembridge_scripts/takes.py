"""The mathematics of takes: which part of a file an item plays, and the section around a stem that plays the same.

An item plays, at project time t, its source at ``D_STARTOFFS + (t - D_POSITION) * D_PLAYRATE``. The offset of a take on
a section counts from the section's start. Times are seconds; a file's time counts from its first sample.

The interface cannot make a section, so a stem item whose source is one is written as text. A block starts with
``<NAME`` and ends with ``>`` on a line of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .documents import Document, Item, Span


SLACK = 1e-9
"""Seconds that rounding may add to a span."""


def used_span(item: Item, length: float) -> Span:
    """Return ``[start, end]``, the seconds of the root file that an item plays, or None for the whole file.

    ``length`` is that of the root file.
    """
    section = item["section"]
    if item["markers"]:
        return None
    if needs_section(item):
        return (
            _clamp(section["offset"], section["offset"] + section["length"], length) if section["length"] > 0 else None
        )
    start, end = _reach(item)
    if section:
        start, end = start + section["offset"], end + section["offset"]
    if item["item_values"]["B_LOOPSRC"] and (start < -SLACK or end > length + SLACK):
        return None
    return _clamp(start, end, length)


def needs_section(item: Item) -> bool:
    """Tell whether a stem item needs a section of its own: the source's is reversed, looped or left."""
    section = item["section"]
    if not section:
        return False
    start, end = _reach(item)
    return bool(section["reversed"]) or start < -SLACK or end > section["length"] + SLACK or bool(item["markers"])


def place_take(item: Item, part_start: float) -> Document:
    """Return how a stem item is set: ``offset``, ``markers``, and ``shift`` of the section it needs, or None.

    ``part_start`` is the second of the root file at which the stem file begins.
    """
    values, section = item["take_values"], item["section"]
    if needs_section(item):
        return {"offset": values["D_STARTOFFS"], "markers": item["markers"], "shift": -part_start}
    shift = (section["offset"] if section else 0.0) - part_start
    markers = [[position, source + shift] for position, source in item["markers"]]
    return {"offset": values["D_STARTOFFS"] + shift, "markers": markers, "shift": None}


def choose_part(parts: list[Document], span: Span) -> Document | None:
    """Return the part of a file's result that covers a span (None: all of it), or None when none does."""
    for part in parts:
        is_whole = part["start"] == 0 and part.get("end") is None
        if is_whole or (span and part["start"] <= span[0] + SLACK and part["end"] >= span[1] - SLACK):
            return part
    return None


def _reach(item: Item) -> tuple[float, float]:
    """Return the span an item plays in the time of its own source, section or file."""
    start = item["take_values"]["D_STARTOFFS"]
    return start, start + item["item_values"]["D_LENGTH"] * item["take_values"]["D_PLAYRATE"]


def _clamp(start: float, end: float, length: float) -> Span:
    start, end = max(0.0, start), min(length, end)
    return [start, end] if end > start else None


def find_sources(chunk: str) -> list[tuple[int, int, bool]]:
    """Return ``(first, last, is_active)`` by line for each outermost SOURCE block, in the order of the takes."""
    found: list[tuple[int, int, bool]] = []
    is_active, depth, first = True, 0, -1
    lines = chunk.splitlines()
    has_choice = any(line.strip() == "TAKE SEL" or line.strip().startswith("TAKE SEL ") for line in lines)
    for number, line in enumerate(lines):
        words = line.strip()
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


def section_lines(chunk: str) -> list[str]:
    """Return what the section of an item's active take says of itself; empty when it is no plain section of a file."""
    lines = chunk.splitlines()
    for first, last, is_active in find_sources(chunk):
        if is_active and lines[first].split()[:2] == ["<SOURCE", "SECTION"]:
            inner = [line.strip() for line in lines[first + 1 : last]]
            starts = [number for number, line in enumerate(inner) if line.startswith("<")]
            if len(starts) == 1 and inner[starts[0]].startswith("<SOURCE"):
                return inner[: starts[0]] + inner[_end_of(inner, starts[0]) + 1 :]
    return []


def wrap_source(chunk: str, section: list[str], shift: float) -> str:
    """Return an item's chunk with its one source inside a section; empty when that cannot be done.

    ``section`` is what ``section_lines`` gave, ``shift`` the seconds to add to its start.
    """
    lines = chunk.splitlines()
    sources = find_sources(chunk)
    if len(sources) != 1:
        return ""
    first, last, _ = sources[0]
    block = ["<SOURCE SECTION", *(_shifted(line, shift) for line in section), *lines[first : last + 1], ">"]
    return "\n".join(lines[:first] + block + lines[last + 1 :]) + "\n"


def _end_of(lines: list[str], start: int) -> int:
    depth = 0
    for number in range(start, len(lines)):
        if lines[number].startswith("<"):
            depth += 1
        elif lines[number] == ">":
            depth -= 1
            if depth == 0:
                return number
    return len(lines)


def _shifted(line: str, shift: float) -> str:
    words = line.split()
    if len(words) > 1 and words[0] == "STARTPOS":
        return "STARTPOS %.14f" % (float(words[1]) + shift)
    return line
