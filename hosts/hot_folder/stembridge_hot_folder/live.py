"""The watch on a terminal: a line for each song at work, and counts of the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from plugin_core.console.live import REFRESH_PER_SECOND, LiveDisplay
from plugin_core.console.phrases import list_notes
from plugin_core.model import Job, JobState

if TYPE_CHECKING:
    from rich.console import Console

    from stembridge_hot_folder.display import Counts


_CALM_PER_SECOND: Final = 4
_IDLE_PER_SECOND: Final = 1
_CALM_DRAWINGS: Final = 40
"""Drawings alike after which the folder is idle."""

_COLOURS: Final = {"done": "green", "failed": "red", "unconfirmed": "yellow", "waits": "yellow", "note": "dim"}


class LiveWatch(LiveDisplay):
    """The core's live display, with the counts of a folder in place of those of a batch.

    Args:
        counts: tells how many songs are where.
        console: default standard output.
    """

    def __init__(self, counts: Callable[[], Counts], console: Console | None = None) -> None:
        # Asked for while the display is made, too.
        self._ask_counts = counts
        self._drawn = ""
        self._alike = 0
        self._is_over = threading.Event()
        self._drawer = threading.Thread(target=self._draw_at_own_pace, daemon=True)
        super().__init__(console)

    def __enter__(self) -> Self:
        """Draw from the start: an empty folder is worth a line."""
        super().__enter__()
        # Its own thread would draw as often as ever though nothing moves.
        self._live.auto_refresh = False
        self._live.start()
        self._drawer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._drawer.join()
        super().__exit__(kind, error, trace)

    def tell_song(self, word: str, source: Path, text: str) -> None:
        """Print a decision about a song above the live lines."""
        self._print_line(word, _COLOURS.get(word, ""), source, text)

    def _tell_settled(self, job: Job) -> None:
        """Print what only the job knows; the song tells its own end, once for all of its jobs."""
        for note in list_notes(job) if job.state is JobState.DONE else ():
            self.tell_song("note", job.source.path, note)

    def _totals(self, working: Sequence[Job], waiting: int) -> str:  # noqa: ARG002 - the counts know them
        drawn = str(self._ask_counts()) or "waiting for songs"
        self._alike = self._alike + 1 if drawn == self._drawn else 0
        self._drawn = drawn
        return drawn

    @property
    def drawings_per_second(self) -> int:
        """How often to draw: seldom where nothing moves."""
        if self._active:
            return REFRESH_PER_SECOND
        return _IDLE_PER_SECOND if self._alike >= _CALM_DRAWINGS else _CALM_PER_SECOND

    def _draw_at_own_pace(self) -> None:
        while not self._is_over.wait(1 / self.drawings_per_second):
            if self._live.is_started:
                self._live.refresh()
