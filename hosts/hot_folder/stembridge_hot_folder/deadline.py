"""The end of the process after a signal, whatever its main thread hangs in: a locked store, a share that is away.

Python calls a signal's handler between two steps of the main thread; what waits in the system for long takes none.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from plugin_core.console.interrupt import exit_at_once

WITHIN: Final = 4.5
"""Seconds from a signal to the end of the process, whatever still runs: the stores are safe at every moment."""

_SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGTERM})


@contextmanager
def deadline(within: float = WITHIN, leave: Callable[[], None] = exit_at_once) -> Iterator[None]:
    """End the process so many seconds after Ctrl-C or SIGTERM, and at once when another one comes.

    Somebody else must handle the signals. Once one came, the time runs on after the context.

    Args:
        within: seconds.
        leave: ends the process.
    """
    if threading.current_thread() is not threading.main_thread():
        # Signals reach the main thread only; an embedding host has its own way to stop.
        yield
        return
    heard, told = socket.socketpair()
    told.setblocking(False)
    before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_guard, args=(heard, within, leave), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        told.close()


def _guard(heard: socket.socket, within: float, leave: Callable[[], None]) -> None:
    """Wait for a signal, then for another one or the end of the time."""
    with heard:
        if not _hears(heard):
            return
        end = time.monotonic() + within
        heard.settimeout(within)
        try:
            is_told_again = _hears(heard)
        except TimeoutError:
            is_told_again = True
    if not is_told_again:
        # The context is over, the process is not.
        time.sleep(max(end - time.monotonic(), 0.0))
    leave()


def _hears(heard: socket.socket) -> bool:
    """Wait for one of the signals; tell whether one came before the context was over."""
    while told := heard.recv(1):
        if told[0] in _SIGNALS:
            return True
    return False
