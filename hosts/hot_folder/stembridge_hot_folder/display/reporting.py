"""How a watch is shown: plain lines, JSON lines, or live on a terminal. Every decision is a line in the log as well."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import msgspec

from plugin_core.console.base import Display
from plugin_core.console.formatting import clean, encodable, show
from plugin_core.console.json_lines import JsonDisplay
from plugin_core.console.records import write_record
from plugin_core.console.summary import Summary
from plugin_core.model import Job
from stembridge_hot_folder.display.counts import Counts
from stembridge_hot_folder.display.plain import PlainWatch

log = logging.getLogger(__name__)

QUIET_WORDS: Final = frozenset({"settling", "queued", "cancelling"})
"""What people see as counts, and programs as events."""


@runtime_checkable
class TellsSongs(Protocol):
    """A display that has a line for a song, however many jobs it has."""

    def tell_song(self, word: str, source: Path, text: str) -> None:
        """Show a decision about a song."""
        ...


class Reporter:
    """Shows a watch on a display.

    Args:
        display: shows the jobs.
        quiet: whether people see only what goes wrong.
        as_json: whether programs read along.
        is_live: whether the display has the terminal for itself.
    """

    def __init__(self, display: Display, *, quiet: bool = False, as_json: bool = False, is_live: bool = False) -> None:
        self.display = display
        self._is_live = is_live
        self._quiet = quiet
        self._as_json = as_json
        self.failure: BrokenPipeError | None = None
        """Set once nobody reads any more: no song is to blame, so that whoever watches has to end."""

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """Keep what the output says from whoever tells something."""
        try:
            yield
        except BrokenPipeError as error:
            self.failure = error
        except OSError:
            # A full disk under the output: it takes the next line or does not, and the log is another file.
            return

    def tell(self, word: str, path: bytes, text: str = "", *, is_trouble: bool = False) -> None:
        """Tell a decision about a song, with its reason; trouble is told even if quiet."""
        source = Path(os.fsdecode(path))
        text = shorten(text, source)
        # The log's handler writes trouble to standard error; a live display has a line of its own for it.
        level = logging.WARNING if is_trouble and not self._is_live else logging.INFO
        with self._shown():
            log.log(level, "%s: %s%s", clean(show(source)), word, f", {clean(text)}" if text else "")
            if self._as_json:
                write_record({"event": "song", "state": word, "source": source, "reason": encodable(text)})
            elif isinstance(self.display, TellsSongs) and self._is_worth(word, level):
                self.display.tell_song(word, source, text)

    def _is_worth(self, word: str, level: int) -> bool:
        return word not in QUIET_WORDS and level < logging.WARNING and not self._quiet

    def warn(self, path: bytes, text: str) -> None:
        """Tell of trouble: with a song, or with a whole folder."""
        source = Path(os.fsdecode(path))
        with self._shown():
            # The log's handler writes it to standard error, whatever the display.
            log.warning("%s: %s", clean(show(source)), clean(text))
            if self._as_json:
                write_record({"event": "warning", "source": source, "reason": encodable(text)})

    def say(self, text: str) -> None:
        """Tell of the whole watch."""
        with self._shown():
            log.info("%s", clean(text))
            say_on(self.display, text, as_json=self._as_json)

    def log_defect(self, error: Exception) -> None:
        """Keep an unexpected error's traceback in the log."""
        with self._shown():
            log.error("unexpected error", exc_info=error)

    def change(self, job: Job, previous: Job | None) -> None:
        """Show a job's new state or progress."""
        with self._shown():
            self.display.change(job, previous)

    def finish(self, counts: Counts, seconds: float, exit_code: int) -> None:
        """Show how the watch ended."""
        if self._as_json:
            write_record({"event": "summary"} | msgspec.structs.asdict(counts) | {"exit_code": int(exit_code)})
        else:
            self.display.finish(Summary(seconds=seconds))
            if str(counts):
                self.display.say(str(counts))


def say_on(display: Display, text: str, *, as_json: bool) -> None:
    """Tell of the whole watch: people in a line, programs in a ``note`` event."""
    if as_json:
        write_record({"event": "note", "reason": encodable(text)})
    else:
        display.say(text)


def choose_reporter(*, as_json: bool, quiet: bool, counts: Callable[[], Counts]) -> Reporter:
    """Return the reporter that fits: JSON on request, live on a terminal, plain lines elsewhere."""
    if as_json:
        return Reporter(JsonDisplay(), as_json=True)
    if not quiet and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        from stembridge_hot_folder.display.live import LiveWatch

        return Reporter(LiveWatch(counts), is_live=True)
    return Reporter(PlainWatch(quiet=quiet), quiet=quiet)


def shorten(text: str, source: Path) -> str:
    """Leave out a song's name where the line begins with it already."""
    for name in (str(source), show(source)):
        text = text.removeprefix(f"{name} ")
    return text
