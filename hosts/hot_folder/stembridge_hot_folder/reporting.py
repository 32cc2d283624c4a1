"""How a watch is shown: plain lines, JSON lines, or live on a terminal. Every decision is a line in the log as well."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.cli.display.base import Display
from plugin_core.cli.display.json_lines import JsonDisplay
from plugin_core.cli.display.plain import PlainDisplay
from plugin_core.cli.display.records import write_record
from plugin_core.cli.display.summary import Summary
from plugin_core.cli.display.words import clean, encodable, show
from plugin_core.model import Job

log = logging.getLogger("plugin_core.hot_folder")

QUIET_WORDS: Final = frozenset({"settling", "queued"})
"""What people see as counts, and programs as events."""


class Counts(msgspec.Struct):
    """How many songs are where."""

    settling: int = 0
    queued: int = 0
    working: int = 0
    waiting: int = 0
    done: int = 0
    skipped: int = 0
    failed: int = 0
    unconfirmed: int = 0

    def __str__(self) -> str:
        told = [f"{getattr(self, name)} {name}" for name in self.__struct_fields__ if getattr(self, name)]
        return ", ".join(told)


class Reporter:
    """Shows a watch on a display.

    Args:
        display: shows the jobs.
        quiet: whether people see only what goes wrong.
        as_json: whether programs read along.
    """

    def __init__(self, display: Display, *, quiet: bool = False, as_json: bool = False) -> None:
        self.display = display
        self._quiet = quiet
        self._as_json = as_json

    def tell(self, word: str, path: bytes, text: str = "", *, is_trouble: bool = False) -> None:
        """Tell a decision about a song, with its reason; trouble reaches standard error through the log."""
        source = Path(os.fsdecode(path))
        reason = f", {clean(text)}" if text else ""
        log.log(logging.WARNING if is_trouble else logging.INFO, "%s: %s%s", clean(show(source)), word, reason)
        if self._as_json:
            write_record({"event": "song", "state": word, "source": source, "reason": encodable(text)})
        elif word not in QUIET_WORDS and not is_trouble and not self._quiet:
            self.display.say(f"{show(source)}: {word}{f', {text}' if text else ''}")

    def warn(self, path: bytes, text: str) -> None:
        """Tell of trouble: with a song, or with a whole folder."""
        source = Path(os.fsdecode(path))
        # The log's handler writes it to standard error, whatever the display.
        log.warning("%s: %s", clean(show(source)), clean(text))
        if self._as_json:
            write_record({"event": "warning", "source": source, "reason": encodable(text)})

    def say(self, text: str) -> None:
        """Tell of the whole watch."""
        log.info("%s", clean(text))
        self.display.say(text)

    def log_defect(self, error: Exception) -> None:
        """Keep an unexpected error's traceback in the log."""
        log.error("unexpected error", exc_info=error)

    def change(self, job: Job, previous: Job | None) -> None:
        """Show a job's new state or progress."""
        self.display.change(job, previous)

    def finish(self, counts: Counts, seconds: float, exit_code: int) -> None:
        """Show how the watch ended."""
        if self._as_json:
            write_record({"event": "summary"} | msgspec.structs.asdict(counts) | {"exit_code": int(exit_code)})
        else:
            self.display.finish(Summary(seconds=seconds))
            if str(counts):
                self.display.say(str(counts))


def choose_reporter(*, as_json: bool, quiet: bool, counts: Callable[[], Counts]) -> Reporter:
    """Return the reporter that fits: JSON on request, live on a terminal, plain lines elsewhere."""
    if as_json:
        return Reporter(JsonDisplay(), as_json=True)
    if not quiet and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        from stembridge_hot_folder.live import LiveWatch

        return Reporter(LiveWatch(counts))
    return Reporter(PlainDisplay(quiet=quiet), quiet=quiet)
