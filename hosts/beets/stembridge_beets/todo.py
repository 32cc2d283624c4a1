"""What is still to be done to a song, kept on the song itself: a run that is killed leaves it, and ``resume`` reads it.

It is written before the first job is made and removed when its result stands in the library, so the process can be
killed at any moment: what the core's job store has done by then is taken from there, never bought again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from plugin_core.model import Operation, from_json, to_json
from stembridge_beets.fields import Having

if TYPE_CHECKING:
    from beets.library import Item, Library


FIELDS: Final = {"moods": "labels_todo", "stems": "stems_todo"}
"""The field of each kind of work; labels come first, as they change the file that is separated."""


class Todo(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work."""

    operation: Operation | None = None
    """As it was asked for; None for what the settings say when it is done."""
    force: bool = False
    write: bool | None = None
    """Whether tags are written; None for what ``import.write`` says."""
    job: str = ""


def mark(items: Iterable[tuple[Item, Todo]], lib: Library, kind: str) -> None:
    """Note what is to be done, all in one transaction."""
    with lib.transaction():
        for item, todo in items:
            item[FIELDS[kind]] = to_json(todo).decode()
            item.store()


def find_marked(lib: Library, kind: str, query: Sequence[str] = ()) -> list[tuple[Item, Todo]]:
    """Return the songs with work left, of those that match, and what it is."""
    matching = {item.id for item in lib.items(list(query))} if query else None
    items = (item for item in lib.items(Having(FIELDS[kind])) if matching is None or item.id in matching)
    found = ((item, read(item, kind)) for item in items)
    return [(item, todo) for item, todo in found if todo is not None]


def read(item: Item, kind: str) -> Todo | None:
    """Return what is to be done to an item; what cannot be read is done as the settings say."""
    text = item.get(FIELDS[kind], with_album=False)
    if not text:
        return None
    try:
        return from_json(str(text), Todo)
    except msgspec.MsgspecError:
        return Todo()


def unmark(item: Item, kind: str) -> None:
    """Take the note off; whoever calls stores the item."""
    if item.get(FIELDS[kind], with_album=False):
        del item[FIELDS[kind]]
