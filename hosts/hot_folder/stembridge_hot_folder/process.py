"""The watch's own process: its end after a signal, its words to the service manager, whether it ran all the time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from plugin_core.console.interrupt import HANGUP, exit_at_once

WITHIN: Final = 4.5
"""Seconds from a signal to the end of the process, whatever still runs: the stores are safe at every moment."""

_IMPATIENT: Final = frozenset({signal.SIGINT, signal.SIGTERM})
_SIGNALS: Final = _IMPATIENT | ({HANGUP} if HANGUP is not None else frozenset())


@contextmanager
def deadline(within: float = WITHIN) -> Iterator[None]:
    """End the process so many seconds after Ctrl-C, SIGTERM or a terminal's end, and at once when another one comes.

    Whatever its main thread hangs in, a locked store or a share that is away: what waits in the system for long takes
    no handler of Python's. Somebody else must handle the signals. Once one came, the time runs on after the context.

    Args:
        within: seconds.
    """
    if threading.current_thread() is not threading.main_thread():
        # Signals reach the main thread only; an embedding host has its own way to stop.
        yield
        return
    heard, told = socket.socketpair()
    told.setblocking(False)
    before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_guard, args=(heard, within), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        told.close()


def _guard(heard: socket.socket, within: float) -> None:
    """Wait for a signal, then for another one or the end of the time."""
    with heard:
        if not _hears(heard, _SIGNALS):
            return
        end = time.monotonic() + within
        heard.settimeout(within)
        try:
            is_told_again = _hears(heard, _IMPATIENT)
        except TimeoutError:
            is_told_again = True
    if not is_told_again:
        # The context is over, the process is not.
        time.sleep(max(end - time.monotonic(), 0.0))
    exit_at_once()


def _hears(heard: socket.socket, signals: Collection[int]) -> bool:
    """Wait for one of the signals; tell whether one came before the context was over."""
    while told := heard.recv(1):
        if told[0] in signals:
            return True
    return False


class Notifier:
    """Says that the service is ready, and that it is alive.

    Args:
        environ: where ``NOTIFY_SOCKET`` and ``WATCHDOG_USEC`` are read.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # "@" stands for the null byte of an abstract address.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        every = environ.get("WATCHDOG_USEC", "")
        self.watchdog = int(every) / 1e6 / 2 if every.isdigit() and int(every) else None
        """Seconds between two signs of life, at most; None where none are wanted."""
        self._next_beat = float("-inf")

    def beat(self, now: float) -> None:
        """Give a sign of life, when it is wanted and time.

        Args:
            now: monotonic seconds.
        """
        if self.watchdog is not None and now >= self._next_beat:
            self._next_beat = now + self.watchdog / 2
            self.tell("WATCHDOG=1")

    def tell(self, *words: str) -> None:
        """Send words such as ``READY=1``."""
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return
        # A manager that went away must not take the service along.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            # Nor may one that does not read hold it up.
            sender.setblocking(False)
            sender.sendto("\n".join(words).encode(), self._address)


TICK: Final = 0.25
GAP: Final = 0.75
"""Seconds without a tick after which the process did not run; a busy loop is late by less."""

_MOST_IN_A_ROW: Final = 5
"""Gaps without a calm between them; then the machine is only slow, and nothing would ever settle."""
_CALM: Final = 10.0


class SleepDetector:
    """Counts the times the process did not run.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock()
        self._last_gap = float("-inf")
        self._in_a_row = 0
        self._gaps = 0

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            self.count()
            await asyncio.sleep(TICK)

    def count(self) -> int:
        """Return how many gaps there were so far."""
        now = self._clock()
        if now - self._last >= GAP:
            self._in_a_row = self._in_a_row + 1 if self._last - self._last_gap < _CALM else 1
            self._last_gap = now
            self._gaps += self._in_a_row <= _MOST_IN_A_ROW
        self._last = now
        return self._gaps
