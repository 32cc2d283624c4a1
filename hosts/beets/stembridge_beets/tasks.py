"""What beets wants done to its songs, what the core says of it, and the note on a song of what is still to be done."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from plugin_core.errors import StembridgeError
from plugin_core.model import Job, Operation, disarm, from_json, to_json
from plugin_core.run import Want
from stembridge_beets.fields import Having

if TYPE_CHECKING:
    from beets.library import Item, Library


class Task(Want, frozen=True, kw_only=True):
    """One operation on one song of the library; its path is read in beets' own thread, where alone it is whole."""

    item_id: int
    name: str
    """The song as beets writes it."""
    write: bool | None = None
    """Whether tags are written; None for what ``import.write`` says."""


class Added(msgspec.Struct, frozen=True):
    """The task has a job."""

    task: Task
    job: Job


class Changed(msgspec.Struct, frozen=True):
    """The job moved on, settled, or met trouble."""

    task: Task
    job: Job
    goes_on: bool = False
    """Whether it ended badly and would go on from what it has: nothing of it is bought again."""


class Refused(msgspec.Struct, frozen=True):
    """The task cannot become a job."""

    task: Task
    error: StembridgeError


Event = Added | Changed | Refused


def make_task(
    item: Item, operation: Operation, *, force: bool = False, write: bool | None = None, job: str = ""
) -> Task:
    """Describe what is to be done to an item; called in beets' own thread."""
    assert item.id is not None, "what comes from the library has an id"
    return Task(
        item_id=item.id,
        name=name_item(item),
        path=path_of(item),
        operation=operation,
        force=force,
        write=write,
        job=job,
    )


def name_item(item: Item) -> str:
    """Return an item as the user's ``format_item`` writes it, on one line; by its file where that says nothing."""
    name = format(item)
    return disarm(name if any(map(str.isalnum, name)) else path_of(item).name)


def path_of(item: Item) -> Path:
    """Return an item's file, absolute, whatever bytes its name has."""
    return Path(os.fsdecode(bytes(item.path)))


TODO_FIELDS: Final = {"moods": "labels_todo", "stems": "stems_todo"}
"""The field of each kind of work; labels come first, as they change the file that is separated."""


class Todo(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work, kept on the song itself: a run that is killed leaves it, and ``resume`` reads it.

    It is written before the first job is made and removed when its result stands in the library, so the process can be
    killed at any moment: what the core's job store has done by then is taken from there, never bought again.
    """

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
            item[TODO_FIELDS[kind]] = to_json(todo).decode()
            item.store()


def find_marked(lib: Library, kind: str, query: Sequence[str] = ()) -> list[tuple[Item, Todo]]:
    """Return the songs with work left, of those that match, and what it is."""
    matching = {item.id for item in lib.items(list(query))} if query else None
    items = (item for item in lib.items(Having(TODO_FIELDS[kind])) if matching is None or item.id in matching)
    found = ((item, read_todo(item, kind)) for item in items)
    return [(item, todo) for item, todo in found if todo is not None]


def read_todo(item: Item, kind: str) -> Todo | None:
    """Return what is to be done to an item; what cannot be read is done as the settings say."""
    text = item.get(TODO_FIELDS[kind], with_album=False)
    if not text:
        return None
    try:
        return from_json(str(text), Todo)
    except msgspec.MsgspecError:
        return Todo()


def unmark(item: Item, kind: str) -> None:
    """Take the note off; whoever calls stores the item."""
    if item.get(TODO_FIELDS[kind], with_album=False):
        del item[TODO_FIELDS[kind]]
