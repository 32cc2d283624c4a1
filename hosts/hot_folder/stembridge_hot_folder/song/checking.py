"""What must be right on the disk before a song is taken: nothing is asked of a service until it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from plugin_core.errors import TransientError
from plugin_core.model import Operation, Separation, Tagging, show_path
from plugin_core.offer import Offer
from plugin_core.session import Session
from stembridge_hot_folder.pausing import Gate


class Trouble(NamedTuple):
    """Why nothing can be placed."""

    reason: str
    gate: Gate | None
    """Whose songs all wait; None where it is this song's alone."""


def why_not_readable(path: bytes) -> str:
    """Return why a file cannot be read by this user; empty when it can."""
    return "" if os.access(path, os.R_OK) else "it may not be read; check its permissions"


def find_no_access(path: bytes, operations: Sequence[Operation], root: bytes, recipe: str) -> Trouble | None:
    """Return which folder results cannot be written to; asked before a song is read.

    Args:
        path: the song.
        operations: what is to be done to it.
        root: its hot folder.
        recipe: the key of the operations.

    Raises:
        TransientError: the disk or share does not answer.
    """
    parent = Path(os.fsdecode(path)).parent
    for operation in operations:
        if isinstance(operation, Tagging) and not operation.write:
            continue
        place = operation.to if isinstance(operation, Separation) and operation.to is not None else parent
        if not os.access(place, os.W_OK | os.X_OK):
            is_shared = place != parent or _is_read_only(place)
            gate = _gate_of(place, parent, root, recipe) if is_shared else None
            return Trouble(f"nothing can be written in {show_path(place)}", gate)
    return None


async def find_no_room(session: Session, offers: Sequence[Offer], root: bytes, recipe: str) -> Trouble | None:
    """Return how much room is missing for the results that do not stand yet.

    Args:
        session: the core.
        offers: what is to be done to one song.
        root: its hot folder.
        recipe: the key of the operations.

    Raises:
        StembridgeError: a provider cannot say how much it gives.
        TransientError: the disk or share does not answer.
    """
    from plugin_core.files.disk import free_bytes

    for offer in offers:
        source, wish = offer.source, offer.plan.operation
        if offer.standing is not None or not isinstance(wish, Separation):
            continue
        place = wish.to or source.path.parent
        needed = await session.bytes_needed(source, offer.plan)
        free = free_bytes(place)
        if free < needed:
            gate = _gate_of(place, source.path.parent, root, recipe)
            missing = f"{free // 2**20} MiB free and the stems may take {-(-needed // 2**20)} MiB"
            return Trouble(f"{show_path(place)} has {missing}", gate)
    return None


def _gate_of(place: Path, parent: Path, root: bytes, recipe: str) -> Gate | None:
    """Return whose songs wait for a disk: all of the folder on it, or of a recipe that places elsewhere."""
    if place != parent:
        return recipe
    try:
        is_same = os.stat(place).st_dev == os.stat(root).st_dev  # noqa: PTH116 - one of them bytes
    except OSError as error:
        raise TransientError(f"the disk or share does not answer: {error.strerror}") from error
    # Another disk may be mounted below the folder; the others are none the worse for it.
    return root if is_same else None


def _is_read_only(place: Path) -> bool:
    if not hasattr(os, "statvfs"):
        return False
    try:
        return bool(os.statvfs(place).f_flag & os.ST_RDONLY)
    except OSError:
        # Away by now: that is told when it is looked at.
        return False
