"""Stopping work in a thread soon after its task is cancelled, and not leaving before it has stopped."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from plugin_core.tasks import start_in_thread

T = TypeVar("T")


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
        # Nothing may write into staging any more once the caller goes on; what it was about to say is moot.
        with contextlib.suppress(BaseException):
            await asyncio.wait([working])
            working.exception()
        raise
