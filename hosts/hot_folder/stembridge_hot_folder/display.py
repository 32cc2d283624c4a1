"""How a watch is shown: plain lines, JSON lines, or live on a terminal. Every decision is a line in the log as well."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import msgspec

from plugin_core.console.display import Display, PlainDisplay, Summary
from plugin_core.console.json_lines import Record, write_record
from plugin_core.console.phrases import clean, encodable, list_notes, show
from plugin_core.model import Job, JobState
from stembridge_hot_folder.files import path_of


class Counts(msgspec.Struct):
    """How many songs are where."""

    settling: int = 0
    left: int = 0
    """Never complete while ``--once`` waited."""
    queued: int = 0
    working: int = 0
    waiting: int = 0
    held: int = 0
    """Until their folder names a preset."""
    done: int = 0
    skipped: int = 0
    failed: int = 0
    unconfirmed: int = 0

    def __str__(self) -> str:
        told = [f"{getattr(self, name)} {name}" for name in self.__struct_fields__ if getattr(self, name)]
        return ", ".join(told)


class PlainWatch(PlainDisplay):
    """The core's plain display, with songs in place of jobs; it runs for months, and tells only what is new."""

    repeats = False

    def tell_song(self, word: str, source: Path, text: str) -> None:
        """Write a decision about a song."""
        self.say(f"{show(source)}: {word}{f', {text}' if text else ''}")

    def _tell_settled(self, job: Job) -> None:
        """Write what only the job knows; the song tells its own end, once for all of its jobs."""
        for note in list_notes(job) if job.state is JobState.DONE else ():
            self.tell_song("note", job.source.path, note)


log = logging.getLogger(__name__)


def write_event(record: Record) -> None:
    """Print one event with its time, in seconds since the epoch."""
    write_record(record | {"time": round(time.time(), 3)})


COUNTED: Final = frozenset({"settling", "queued", "held", "cancelling"})
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
        counted: decisions that people see as counts alone.
    """

    def __init__(
        self,
        display: Display,
        *,
        quiet: bool = False,
        as_json: bool = False,
        is_live: bool = False,
        counted: Collection[str] = COUNTED,
    ) -> None:
        self.display = display
        self._counted = counted
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

    def tell(self, word: str, path: bytes, text: str = "", *, is_trouble: bool = False, is_told: bool = False) -> None:
        """Tell a decision about a song.

        Args:
            word: the decision.
            path: the song.
            text: its reason.
            is_trouble: whether people are told even if quiet.
            is_told: whether people were told already, in one line for all songs that it is true of.
        """
        source = path_of(path)
        text = shorten(text, source)
        # The log's handler writes trouble to standard error; a live display has a line of its own for it.
        level = logging.WARNING if is_trouble and not self._is_live else logging.INFO
        with self._shown():
            log.log(level, "%s: %s%s", clean(show(source)), word, f", {clean(text)}" if text else "")
            if self._as_json:
                write_event({"event": "song", "state": word, "source": source, "reason": encodable(text)})
            elif isinstance(self.display, TellsSongs) and not is_told and self._is_worth(word, level):
                self.display.tell_song(word, source, text)

    def _is_worth(self, word: str, level: int) -> bool:
        return word not in self._counted and level < logging.WARNING and not self._quiet

    def warn(self, path: bytes, text: str) -> None:
        """Tell of trouble: with a song, or with a whole folder."""
        source = path_of(path)
        with self._shown():
            # The log's handler writes it to standard error, whatever the display.
            log.warning("%s: %s", clean(show(source)), clean(text))
            if self._as_json:
                write_event({"event": "warning", "source": source, "reason": encodable(text)})

    def say(self, text: str) -> None:
        """Tell of the whole watch."""
        with self._shown():
            log.info("%s", clean(text))
            if self._as_json:
                write_event({"event": "note", "reason": encodable(text)})
            else:
                self.display.say(text)

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
        with self._shown():
            if self._as_json:
                write_event({"event": "summary"} | msgspec.structs.asdict(counts) | {"exit_code": int(exit_code)})
                return
            self.display.finish(Summary(seconds=seconds))
            if str(counts):
                self.display.say(str(counts))


def shorten(text: str, source: Path) -> str:
    """Leave out a song's name where the line begins with it already."""
    for name in (str(source), show(source)):
        text = text.removeprefix(f"{name} ")
    return text


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
