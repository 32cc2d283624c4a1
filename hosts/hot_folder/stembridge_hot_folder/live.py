"""The watch on a terminal: a line for each song at work, and counts of the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

from plugin_core.cli.display.live import LiveDisplay
from plugin_core.model import Job

if TYPE_CHECKING:
    from rich.console import Console

    from stembridge_hot_folder.reporting import Counts


class LiveWatch(LiveDisplay):
    """The core's live display, with the counts of a folder in place of those of a batch.

    Args:
        counts: tells how many songs are where.
        console: default standard output.
    """

    def __init__(self, counts: Callable[[], Counts], console: Console | None = None) -> None:
        super().__init__(console)
        self._ask_counts = counts

    def __enter__(self) -> Self:
        """Draw from the start: an empty folder is worth a line."""
        super().__enter__()
        self._live.start()
        return self

    def _totals(self, working: Sequence[Job], waiting: int) -> str:  # noqa: ARG002 - the counts know them
        return str(self._ask_counts()) or "waiting for songs"
