"""How a run is shown: the promise of a display, and which of them a command gets."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from plugin_core.console.summary import Summary
from plugin_core.errors import StembridgeError
from plugin_core.model import Job
from plugin_core.offer import Offer


class Display(Protocol):
    """Shows one run. Entered before anything is said and left after the summary, or on the error that ended it."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        ...

    def say(self, text: str) -> None:
        """Tell people, and only people, something about the whole run."""
        ...

    def look(self, done: int, count: int) -> None:
        """Show how many of the files have been looked at; called with ``done`` from 0 to ``count``."""
        ...

    def quote(self, offers: Sequence[Offer], *, is_asked: bool) -> None:
        """Say what the run will cost, before anything is begun.

        Args:
            offers: everything that will be done.
            is_asked: whether a question that names the price follows.
        """
        ...

    def preview(self, offer: Offer) -> None:
        """Show what would be made of one source."""
        ...

    def refuse(self, source: Path, error: StembridgeError) -> None:
        """Show that a source cannot be used; the run goes on."""
        ...

    def reuse(self, job: Job) -> None:
        """Show that the results stand already."""
        ...

    def begin(self, jobs: Sequence[Job]) -> None:
        """Show the jobs that the run will work on."""
        ...

    def change(self, job: Job, previous: Job | None) -> None:
        """Show a job's new state or progress; cheap, called in the engine's loop."""
        ...

    def pause(self) -> None:
        """Leave the terminal to a question; ``begin`` goes on."""
        ...

    def finish(self, summary: Summary) -> None:
        """Show how the run ended."""
        ...


def choose_display(*, as_json: bool, quiet: bool) -> Display:
    """Return the display that fits: JSON on request, live on a terminal, plain lines elsewhere."""
    if as_json:
        from plugin_core.console.json_lines import JsonDisplay

        return JsonDisplay()
    if not quiet and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        from plugin_core.console.live import LiveDisplay

        return LiveDisplay()
    from plugin_core.console.plain import PlainDisplay

    return PlainDisplay(quiet=quiet)
