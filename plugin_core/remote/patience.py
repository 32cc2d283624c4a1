"""Answers that say nothing of a job that can be understood: borne for long, then the job waits for its user's word."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

from plugin_core.errors import UnclearAnswerError, UnresolvedError
from plugin_core.remote.timestamps import forget, remember

T = TypeVar("T")

PATIENCE_HOURS: Final = 24.0

_SINCE: Final = "unclear-since"


def bear(folder: Path, service: str, said: str, now: float, *, hours: float = PATIENCE_HOURS) -> None:
    """Bear an answer about a job that cannot be understood; the network's silence is none.

    Args:
        folder: the job's own.
        service: its name for people.
        said: what the answer was.
        now: seconds since the epoch.
        hours: how long.

    Raises:
        UnresolvedError: there was no other for so long. The next look begins anew.
    """
    if now - remember(folder, _SINCE, now) < hours * 3600:
        return
    forget(folder, _SINCE)
    raise UnresolvedError(
        f"{service} has said nothing of the job that can be understood for {hours:g} hours, last: {said}",
        remedy="look at the job in the service's console",
    )


def end_vagueness(folder: Path) -> None:
    """Note that an answer was understood."""
    forget(folder, _SINCE)


async def hear(
    folder: Path, service: str, ask: Callable[[], Awaitable[T]], unclear: Callable[[T], str], clock: Callable[[], float]
) -> T:
    """Return an answer about a job, noting whether it could be understood.

    Args:
        folder: the job's own.
        service: its name for people.
        ask: asks the service.
        unclear: returns what of an answer cannot be understood; "" for nothing.
        clock: seconds since the epoch.

    Raises:
        UnclearAnswerError: as ``ask``; it may pass.
        UnresolvedError: there was no other answer for too long.
    """
    try:
        answer = await ask()
    except UnclearAnswerError as error:
        await asyncio.to_thread(bear, folder, service, error.message, clock())
        raise
    if said := unclear(answer):
        await asyncio.to_thread(bear, folder, service, said, clock())
    else:
        await asyncio.to_thread(end_vagueness, folder)
    return answer
