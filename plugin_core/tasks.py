"""The one way to begin work beside the caller: what it raises is always looked at, also when nobody asks for it.

For a task whose error nobody asked for, since its owner was cancelled or failed first, asyncio prints a traceback.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

_log = logging.getLogger(__name__)

T = TypeVar("T")


def start(work: Awaitable[T]) -> asyncio.Task[T]:
    """Begin work whose owner awaits it; an error that no owner is left for goes to the log of a verbose run."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(_observe)
    return task


def start_alone(work: Awaitable[T], what: str) -> asyncio.Task[T]:
    """Begin work that nobody awaits.

    Args:
        work: what is done.
        what: its name, for the line that tells of an error.
    """
    task = asyncio.ensure_future(work)

    def tell(ended: asyncio.Task[T]) -> None:
        if (error := _error_of(ended)) is not None:
            _log.error("%s broke: %s: %s", what, type(error).__name__, error, exc_info=error)

    task.add_done_callback(tell)
    return task


def start_in_thread(work: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
    """Begin blocking work in a thread; its owner awaits it, as with ``start``."""
    future = asyncio.get_running_loop().run_in_executor(None, work, *arguments)
    future.add_done_callback(_observe)
    return future


def _observe(ended: asyncio.Future[Any]) -> None:
    if (error := _error_of(ended)) is not None:
        _log.debug("a task ended with %s: %s", type(error).__name__, error)


def _error_of(ended: asyncio.Future[Any]) -> BaseException | None:
    """Return what the work raised; asking is what makes it observed."""
    return None if ended.cancelled() else ended.exception()
