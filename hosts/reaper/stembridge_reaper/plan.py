"""The insertion plan: what a launcher inside REAPER does, step by step; it decides nothing.

A plan is a file of lines, each a JSON array: the name of a step, then its fields in order. Launchers read it line by
line, in as many ticks as it takes. Objects stand in numbered slots, 1 and up; a slot is filled once, before it is used.
Up to ``commit`` a plan only adds, and what it added is not heard: muted, or takes beside the active one. What follows,
which changes what was there before, is done in one tick and one undo step. Found objects are given back their numbers
where REAPER refuses a step.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from plugin_core.files.placement import write_durably

VERSION = 1

Number = int | float


class _Step(msgspec.Struct, frozen=True, array_like=True):
    """One line."""


class Head(_Step, frozen=True, tag="plan"):
    """First of all steps."""

    version: int
    undo: str
    """Name of the undo step."""


class Find(_Step, frozen=True, tag="find"):
    """Fill a slot with a ``MediaTrack`` or ``MediaItem`` that is there; one that is not makes the plan stale."""

    slot: int
    kind: str
    guid: str


class AddTrack(_Step, frozen=True, tag="track"):
    """Fill a slot with a new track right below another; slot 0 means the end of the project."""

    slot: int
    above: int


class AddItem(_Step, frozen=True, tag="item"):
    """Fill a slot with a new item on a track."""

    slot: int
    track: int


class AddTake(_Step, frozen=True, tag="take"):
    """Fill a slot with a new take of an item, which plays a file."""

    slot: int
    item: int
    path: Path


class SetSection(_Step, frozen=True, tag="section"):
    """Put the file of an item's only take into a section; the take is another object then, in the same slot.

    The interface cannot make a section: it is written as text, within the item's state.
    """

    slot: int
    item: int
    lines: tuple[str, ...]
    """What stands in the block of the section, in front of that of the file."""


class SplitItem(_Step, frozen=True, tag="split"):
    """Split an item at a second of the project, behind ``Commit`` alone; fill a slot with its right part."""

    slot: int
    item: int
    position: float


class SetNumbers(_Step, frozen=True, tag="numbers"):
    """Set numbers of an object, in this order."""

    slot: int
    values: tuple[tuple[str, Number], ...]


class SetText(_Step, frozen=True, tag="text"):
    """Set a text of an object."""

    slot: int
    key: str
    words: str


class SetColour(_Step, frozen=True, tag="colour"):
    """Set the colour of a track or item; red, green and blue, 0 to 255."""

    slot: int
    red: int
    green: int
    blue: int


class AddMarker(_Step, frozen=True, tag="marker"):
    """Add a stretch marker to a take."""

    slot: int
    position: float
    source: float
    slope: float


class Delete(_Step, frozen=True, tag="delete"):
    """Delete a track that an insertion which was cut short had left, or a stem item whose source item has changed."""

    slot: int


class Commit(_Step, frozen=True, tag="commit"):
    """All that follows is done in one tick, and is one undo step with all that came before."""


class End(_Step, frozen=True, tag="end"):
    """Last of all steps; says how many lines are in front of it."""

    lines: int


Step = (
    Head
    | Find
    | AddTrack
    | AddItem
    | AddTake
    | SetSection
    | SplitItem
    | SetNumbers
    | SetText
    | SetColour
    | AddMarker
    | Delete
    | Commit
    | End
)


def write_plan(path: Path, steps: Iterable[Step]) -> None:
    """Write a plan in one step; without ``End``, which is added."""
    lines = [msgspec.json.encode(step, enc_hook=str) for step in steps]
    write_durably(path, b"\n".join([*lines, msgspec.json.encode(End(len(lines)))]) + b"\n")
