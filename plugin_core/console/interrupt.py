"""Ctrl-C, SIGTERM and SIGHUP: the first stops at the next safe point, the second exits at once, as does time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import click

from plugin_core.errors import ExitCode

_SHOW_CURSOR = "\x1b[?25h"
HANGUP: Final[signal.Signals | None] = getattr(signal, "SIGHUP", None)
"""What a terminal that closes says; Windows has no such signal."""

WITHIN: Final = 4.5
"""Seconds from a signal to the end of the process, whatever still runs: the stores are safe at every moment."""

_IMPATIENT: Final = frozenset({signal.SIGINT, signal.SIGTERM})
_SIGNALS: Final = _IMPATIENT | ({HANGUP} if HANGUP is not None else frozenset())


class NothingBegunError(click.Abort):
    """The user ended the command before there was any job."""


@contextmanager
def stop_on_signals(stop: asyncio.Event, tell: Callable[[], None]) -> Iterator[None]:
    """Set ``stop`` and call ``tell``, in the running loop, on the first signal; must be entered inside the loop."""
    if threading.current_thread() is not threading.main_thread():
        # Signals reach the main thread only; an embedding host has its own way to stop.
        yield
        return
    loop = asyncio.get_running_loop()

    def handle(number: int, _frame: FrameType | None) -> None:
        # A terminal that closes may say so twice, and nobody is impatient.
        if stop.is_set() and number != HANGUP:
            exit_at_once()
        loop.call_soon_threadsafe(_stop)

    def _stop() -> None:
        if not stop.is_set():
            stop.set()
            tell()

    with handled_by(handle):
        yield


@contextmanager
def handled_by(handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Give Ctrl-C, SIGTERM and a terminal's end to a handler while inside; in the main thread only."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    # Under nohup the terminal's end is nothing to hear of.
    if HANGUP is not None and signal.getsignal(HANGUP) is not signal.SIG_IGN:
        numbers.append(HANGUP)
    before = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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


@contextmanager
def nothing_begun() -> Iterator[None]:
    """Say that nothing was begun when a question is answered with Ctrl-C or no."""
    try:
        yield
    except click.Abort as answer:
        raise NothingBegunError from answer


@contextmanager
def plain_interrupt() -> Iterator[None]:
    """Let Ctrl-C end a question at once; inside a running loop asyncio would keep it until the next await."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def exit_at_once() -> None:
    """Leave without waiting for threads; the job store is safe at every moment."""
    if sys.stdout.isatty():
        # The terminal may be gone.
        with contextlib.suppress(OSError):
            os.write(sys.stdout.fileno(), _SHOW_CURSOR.encode())
    os._exit(ExitCode.INTERRUPTED)
