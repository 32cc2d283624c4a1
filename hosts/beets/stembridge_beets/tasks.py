"""What beets wants done to its songs, and what the core says about it; both cross from thread to thread."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from plugin_core.errors import StembridgeError
from plugin_core.model import Job, Operation, disarm
from plugin_core.run import Want

if TYPE_CHECKING:
    from beets.library import Item


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
