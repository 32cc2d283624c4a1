"""Work beside the caller: its errors are always looked at, and a thread stops soon after its task is cancelled.

For a task whose error nobody asked for, since its owner was cancelled or failed first, asyncio prints a traceback.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Executor

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


async def finish(work: asyncio.Future[T]) -> T:
    """Wait for the end of work that must not be left half seen; a cancellation counts from the next wait on."""
    task, is_cancelled = asyncio.current_task(), False
    while not work.done():
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            if task is None or not task.cancelling():
                raise
            task.uncancel()
            is_cancelled = True
        except BaseException:  # noqa: BLE001 - it is raised below
            break
    if is_cancelled and task is not None:
        task.cancel()
    return work.result()


async def outlast(work: asyncio.Future[Any]) -> None:
    """Wait for the end of work whose owner is cancelled already, however often more; what the work says is moot."""
    while not work.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([work])
    _error_of(work)


def start_in_thread(work: Callable[..., T], *arguments: Any, pool: Executor | None = None) -> asyncio.Future[T]:
    """Begin blocking work in a thread, one of ``pool`` where it is given; its owner awaits it, as with ``start``."""
    future = asyncio.get_running_loop().run_in_executor(pool, work, *arguments)
    future.add_done_callback(_observe)
    return future


@contextlib.contextmanager
def beside(work: Callable[[T], object]) -> Iterator[Callable[[T], None]]:
    """Give what hands things to a thread that works on one while the caller makes the next, and no further ahead.

    What fails is raised when the next thing is handed over, or at the end; an error of the caller comes before it.
    """
    from concurrent.futures import Future, ThreadPoolExecutor

    last: Future[object] = Future()
    last.set_result(None)
    with ThreadPoolExecutor(1) as thread:

        def hand_over(thing: T) -> None:
            nonlocal last
            last.result()
            last = thread.submit(work, thing)

        yield hand_over
        last.result()


def _observe(ended: asyncio.Future[Any]) -> None:
    if (error := _error_of(ended)) is not None:
        _log.debug("a task ended with %s: %s", type(error).__name__, error)


def _error_of(ended: asyncio.Future[Any]) -> BaseException | None:
    """Return what the work raised; asking is what makes it observed."""
    return None if ended.cancelled() else ended.exception()


class StoppedError(Exception):
    """The work was asked to stop; never leaves ``run_stoppable``."""


class Stopper:
    """A request to stop, checked between blocks."""

    def __init__(self) -> None:
        self._requested = threading.Event()

    def request(self) -> None:
        """Ask the work to stop; any thread may."""
        self._requested.set()

    def check(self) -> None:
        """Go on, or raise StoppedError."""
        if self._requested.is_set():
            raise StoppedError


async def run_stoppable(work: Callable[[Stopper], T]) -> T:
    """Run blocking work in a thread; when cancelled, stop it between two blocks and wait until it has stopped."""
    stopper = Stopper()
    working = start_in_thread(work, stopper)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        stopper.request()
        # Nothing may write into staging any more once the caller goes on.
        await outlast(working)
        raise
