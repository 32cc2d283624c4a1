"""The mathematics of takes: which part of a file an item plays, and how a stem item must be set to play the same.

An item plays, at project time t, its source at ``D_STARTOFFS + (t - D_POSITION) * D_PLAYRATE``. The offset of a take on
a section counts from the section's start. Times are seconds; a file's time counts from its first sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .shapes import Document, Item, Span

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
