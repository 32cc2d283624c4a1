"""Ctrl-C and SIGTERM while the core works: the first stops at the next safe point, the second ends the process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from plugin_core.console.interrupt import handled_by
from plugin_core.errors import ExitCode


@contextmanager
def stop_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` on the first signal; beets' thread is never torn out of a write to its database."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    has_stopped = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal has_stopped
        if has_stopped:
            os._exit(ExitCode.INTERRUPTED)
        has_stopped = True
        stop()

    with handled_by(handle):
        yield
