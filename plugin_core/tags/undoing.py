"""What a field is to be once our part of it is taken back, and what somebody did to it since stays."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugin_core.model import Written

Values = tuple[str, ...]


@dataclass(frozen=True)
class TakenBack:
    """What is to be done about one change."""

    fields: dict[str, Values] = field(default_factory=dict)
    """What its fields are to be; only those that change."""
    kept: tuple[str, ...] = ()
    """The fields that hold nothing of ours any more, nor what stood there before."""


def take_back(found: Mapping[str, Values], written: Written, forced: Collection[str] = ()) -> TakenBack:
    """Find out how to take back what was written.

    Args:
        found: the fields as they are.
        written: what was written, and what stood there before.
        forced: the fields that are put back as well where somebody changed them since.
    """
    fields: dict[str, Values] = {}
    kept = []
    for name, ours in written.fields.items():
        here, before = found.get(name, ()), written.previous.get(name, ())
        if here == before:
            continue
        values = before if name in forced else without(here, ours, before)
        if values is None:
            kept.append(name)
        else:
            fields[name] = values
    return TakenBack(fields, tuple(kept))


def find_strange(found: Mapping[str, Values], changes: Iterable[Written]) -> tuple[str, ...]:
    """Return the fields that are not what they were before all changes.

    Args:
        found: the fields as they are.
        changes: of one file, the last one first.
    """
    first = {name: one.previous.get(name, ()) for one in changes for name in one.fields}
    return tuple(name for name, before in first.items() if found.get(name, ()) != before)


def without(here: Values, ours: Values, before: Values) -> Values | None:
    """Return a field's values without what we wrote and with what we replaced; None where ours are gone.

    Args:
        here: the values now.
        ours: all values as we wrote them.
        before: all values as they were.
    """
    added = [value for value in ours if value not in before]
    if here == ours:
        return before
    if not added or not set(added) <= set(here):
        return None
    replaced = [value for value in before if value not in ours]
    return tuple(dict.fromkeys((*replaced, *(value for value in here if value not in added))))
