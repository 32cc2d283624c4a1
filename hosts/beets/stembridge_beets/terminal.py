"""The terminal of a run: one line at the bottom that says how far it is, and the Ctrl-C or SIGTERM that stop it."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from plugin_core.console.interrupt import handled_by
from plugin_core.errors import ExitCode
from plugin_core.model import Job, disarm

_EVERY: Final = 0.2
_CLEAR: Final = "\r\x1b[K"


class ProgressLine:
    """How many songs are done, and how far those are that are in work.

    Args:
        count: songs in all.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._stream = sys.stderr
        self._drawn = float("-inf")
        self._done = 0
        self._shares: dict[str, float] = {}
        self._is_shown = self._stream.isatty() and sys.stdout.isatty()

    def look(self, done: int) -> None:
        """Say how many songs are read."""
        self._draw(f"reading {done}/{self.count}", is_last=done == self.count)

    def note(self, job: Job, name: str) -> None:
        """Say how far a job is."""
        if job.state.is_settled:
            self._shares.pop(job.id, None)
            self._done += 1
        else:
            self._shares[job.id] = (job.progress.fraction or 0.0) if job.progress else 0.0
        said = job.progress.note if job.progress else ""
        done = self._done + sum(self._shares.values())
        share = f"{done / max(1, self.count):.0%}".replace("%", " %")
        self._draw(f"{self._done}/{self.count}, {share}: {name}" + (f", {disarm(said)}" if said else ""))

    def clear(self) -> None:
        """Take the line away, before another is written or at the end."""
        if self._is_shown:
            self._stream.write(_CLEAR)
            self._stream.flush()
            self._drawn = float("-inf")

    def _draw(self, text: str, *, is_last: bool = False) -> None:
        if not self._is_shown or (time.monotonic() - self._drawn < _EVERY and not is_last):
            return
        self._drawn = time.monotonic()
        width = shutil.get_terminal_size().columns - 1
        self._stream.write(f"{_CLEAR}{text[:width]}")
        self._stream.flush()


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
