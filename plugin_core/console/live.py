"""The display for terminals: a line for each job in work, totals below, finished songs above."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from plugin_core.console.display import Display, Summary, TimeLeft, Troubles, describe_left
from plugin_core.console.phrases import (
    clean,
    describe_outages,
    describe_place,
    describe_price,
    describe_problem,
    describe_result,
    describe_standing,
    describe_wait,
    list_notes,
    percent,
    plural,
    say_of,
    short_span,
)
from plugin_core.errors import StembridgeError
from plugin_core.model import Job, JobState, show_path
from plugin_core.purchases.purchase import Offer

MAX_LINES = 8
REFRESH_PER_SECOND = 8
NAME_WIDTH = 28
BAR_WIDTH = 14
WIDE = 70
"""Columns of a terminal that has room for whole names and bars."""
NARROW_BAR = 6
NARROW_NOTE = len(" 42 % 59 min left")
STATE_WIDTH = max(len(state) for state in JobState)


class LiveLines(Live):
    """Lines that a thread draws again and again."""

    def refresh(self) -> None:
        """Draw; that the terminal is gone is told by what is printed on it, which no thread of drawing can stop."""
        with contextlib.suppress(OSError):
            super().refresh()


class LiveDisplay(Display):
    """Draws the jobs in work and scrolls what is settled.

    Args:
        console: default standard output.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, markup=False, emoji=False)
        self._active: dict[str, Job] = {}
        self._looking = ""
        self._troubles = Troubles()
        self._time_left = TimeLeft()
        self._all = 0
        self._counts: dict[JobState, int] = {}
        self._live = LiveLines(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=REFRESH_PER_SECOND,
            transient=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        self._print(Text(clean(text)))

    def look(self, done: int, count: int) -> None:
        self._looking = f"looking at {done + 1} of {count}" if done < count else ""
        if done == count:
            self._live.stop()
        elif done == 0:
            self._live.start()

    def quote(self, offers: Sequence[Offer], *, is_asked: bool) -> None:
        if not is_asked and (price := describe_price(offers)):
            self.say(price)

    def refuse(self, source: Path, error: StembridgeError) -> None:
        self._print_line("failed", "red", source, str(error))

    def reuse(self, job: Job) -> None:
        self._print_line("before", "green", job.source.path, describe_standing(job).removeprefix("made before, "))

    def begin(self, jobs: Sequence[Job]) -> None:
        self._active = {job.id: job for job in jobs}
        self._all = len(jobs)
        self._counts = {}
        if jobs:
            self._live.start()

    def change(self, job: Job, previous: Job | None) -> None:
        if job.state.is_active:
            self._active[job.id] = job
            self._time_left.note(job)
            if self._troubles.is_new(job):
                self._print_line("waits", "yellow", job.source.path, describe_wait(job).removeprefix("waits: "))
        elif previous is None or previous.state.is_active:
            self._active.pop(job.id, None)
            self._counts[job.state] = self._counts.get(job.state, 0) + 1
            self._tell_settled(job)

    def pause(self) -> None:
        self._live.stop()

    def finish(self, summary: Summary) -> None:
        self._live.stop()
        if str(summary):
            self.say(str(summary))
        if left := describe_left(summary.unfinished, has_workers=self.has_workers):
            self.say(left)

    def _tell_settled(self, job: Job) -> None:
        match job.state:
            case JobState.DONE:
                self._print_line("done", "green", job.source.path, describe_result(job))
                for note in list_notes(job):
                    self._print(Text(f"        note: {clean(note)}", "dim"))
            case JobState.CANCELLED:
                self._print_line("cancelled", "yellow", job.source.path, "")
            case _:
                colour = "yellow" if job.state is JobState.UNCONFIRMED else "red"
                self._print_line(job.state, colour, job.source.path, describe_problem(job))

    def _print_line(self, word: str, colour: str, source: Path, text: str) -> None:
        self._print(Text.assemble((f"{word:<7} ", colour), clean(say_of(source, text))))

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)

    def _draw(self) -> Group:
        if self._looking:
            return Group(Text(self._looking, "dim"))
        jobs = list(self._active.values())
        # Where something is away, how far a job came last is no news.
        working = [job for job in jobs if job.state is not JobState.QUEUED and not describe_wait(job)]
        waiting = [job for job in jobs if job.state is JobState.QUEUED and not describe_wait(job)]
        outages = [Text(line, "yellow") for line in describe_outages(jobs)]
        width = self._console.width
        name_width = NAME_WIDTH if width >= WIDE else max(8, width - STATE_WIDTH - NARROW_BAR - NARROW_NOTE - 4)
        bar_width = BAR_WIDTH if width >= WIDE else NARROW_BAR
        table = Table.grid(padding=(0, 1))
        table.add_column(width=name_width, no_wrap=True, overflow="ellipsis")
        table.add_column(width=STATE_WIDTH, no_wrap=True)
        table.add_column(width=bar_width)
        note_width = max(NARROW_NOTE, width - name_width - STATE_WIDTH - bar_width - 4)
        table.add_column(width=note_width, no_wrap=True, overflow="ellipsis", style="dim")
        for job in working[:MAX_LINES]:
            note = _note(job, self._time_left.of(job))
            table.add_row(
                Text(show_path(Path(job.source.path.name))), Text(job.state), _bar(job, bar_width), Text(note)
            )
        totals = self._totals(working, len(waiting))
        return Group(table, *outages, Text(totals, "dim")) if totals else Group(table, *outages)

    def _totals(self, working: Sequence[Job], waiting: int) -> str:
        settled = sum(self._counts.values())
        words = [f"{settled} of {plural(self._all, 'job')} settled"] if self._all > 1 else []
        words += [f"{count} {state}" for state, count in self._counts.items() if state is not JobState.DONE]
        if len(working) > MAX_LINES:
            words.append(f"{len(working) - MAX_LINES} more in work")
        if waiting:
            words.append(f"{waiting} waiting")
        return ", ".join(words)


def _bar(job: Job, width: int) -> ProgressBar:
    fraction = job.progress.fraction if job.progress else None
    # A pulsing bar says "unknown" without pretending to a number.
    return ProgressBar(total=1.0, completed=fraction or 0.0, pulse=fraction is None, width=width)


def _note(job: Job, left: float | None) -> str:
    progress = job.progress
    if progress is None:
        return ""
    share = percent(progress.fraction)
    time_left = "" if left is None else f"{short_span(left)} left"
    return " ".join(filter(None, (share and f"{share:>5}", time_left, describe_place(job), clean(progress.note))))
