"""Lines that only a program's author can read, printed past everything that turns errors into words."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

MARKS = ("exception was never retrieved", "--- Logging error ---", "shutil.Error", "Error: [('")
"""A task that nobody observed, a log that could not be written, a list that ``shutil`` raises."""


class RawLines(logging.Handler):
    """What was heard of such lines: in this process, and from children whose output was read."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Hear what asyncio logs, since nobody else would."""
        self.look(record.getMessage())

    def look(self, text: Any) -> None:
        """Look through what somebody printed."""
        words = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text or "")
        self.heard += [line for line in words.splitlines() if any(mark in line for mark in MARKS)]

    def take(self) -> list[str]:
        """Return what was heard, and forget it."""
        heard, self.heard = self.heard, []
        return heard


@contextmanager
def listening() -> Iterator[RawLines]:
    """Hear every such line meanwhile."""
    lines = RawLines()
    log = logging.getLogger(asyncio.__name__)
    handle_error, communicate = logging.Handler.handleError, subprocess.Popen.communicate

    def hear_error(handler: logging.Handler, record: logging.LogRecord) -> None:
        lines.look("--- Logging error ---")
        handle_error(handler, record)

    def hear_child(process: subprocess.Popen[Any], *arguments: Any, **named: Any) -> tuple[Any, Any]:
        said = communicate(process, *arguments, **named)
        for text in said:
            lines.look(text)
        return said

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.Handler, "handleError", hear_error)
        patch.setattr(subprocess.Popen, "communicate", hear_child)
        log.addHandler(lines)
        try:
            yield lines
        finally:
            log.removeHandler(lines)


def collect_garbage() -> None:
    """Let go of tasks that hold themselves through their own traceback; only then asyncio complains."""
    gc.collect()
    gc.freeze()  # what is left lives on: the next look is for what comes after it
