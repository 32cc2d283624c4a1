"""The display for pipes, files and simple terminals: one line for what matters, no more."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from plugin_core.console.display import Summary, Throttle, Troubles
from plugin_core.console.phrases import (
    clean,
    describe_offer,
    describe_place,
    describe_price,
    describe_problem,
    describe_result,
    describe_standing,
    describe_wait,
    has_price,
    list_notes,
    percent,
    plural,
    say_of,
    show,
)
from plugin_core.errors import StembridgeError
from plugin_core.model import Job, JobState
from plugin_core.purchases.purchase import Offer

PROGRESS_FRACTION = 0.25
PROGRESS_SECONDS = 10.0
MANY_FILES = 20


class PlainDisplay:
    """Writes lines: what goes well to standard output, what goes wrong to standard error.

    Args:
        quiet: whether to write only what goes wrong.
        clock: monotonic seconds.
    """

    repeats = True
    """Whether progress that does not move is told all the same, as a sign of life."""

    def __init__(self, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._quiet = quiet
        self._told: dict[str, str] = {}
        """What was told of each job's progress last."""
        self._throttle = Throttle(PROGRESS_FRACTION, PROGRESS_SECONDS, clock=clock)
        self._troubles = Troubles()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: whoever called tells the error."""

    def say(self, text: str) -> None:
        if not self._quiet:
            print(clean(text), flush=True)

    def look(self, done: int, count: int) -> None:
        if done == 0 and count > MANY_FILES:
            self.say(f"looking at {plural(count, 'file')}")

    def quote(self, offers: Sequence[Offer], *, is_asked: bool) -> None:
        price = describe_price(offers)
        if not price or is_asked:
            return
        if not self._quiet:
            self.say(price)
        elif has_price(offers):
            print(clean(price), file=sys.stderr, flush=True)

    def preview(self, offer: Offer) -> None:
        for line in describe_offer(offer):
            self.say(line)

    def refuse(self, source: Path, error: StembridgeError) -> None:
        self._complain(source, str(error))

    def reuse(self, job: Job) -> None:
        self.say(f"{show(job.source.path)}: {describe_standing(job)}")

    def begin(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._throttle.start(job)

    def change(self, job: Job, previous: Job | None) -> None:
        if self._troubles.is_new(job):
            self._complain(job.source.path, describe_wait(job))
        if previous is not None and previous.state is job.state:
            self._tell_progress(job)
            return
        self._throttle.start(job)
        if job.state is JobState.RUNNING:
            self.say(f"{show(job.source.path)}: running")
        elif job.state.is_settled:
            self._throttle.stop(job)
            self._told.pop(job.id, None)
            self._tell_settled(job)

    def pause(self) -> None:
        """Do nothing: lines stand."""

    def finish(self, summary: Summary) -> None:
        if str(summary):
            self.say(str(summary))
        if summary.unfinished:
            told = f"stopped; {plural(summary.unfinished, 'job')} unfinished: stembridge jobs resume"
            print(clean(told), file=sys.stderr)

    def _tell_progress(self, job: Job) -> None:
        progress = job.progress
        if progress is None:
            return
        # The note first: each of a job's steps counts from 0, and 98 % before 59 % would look like a step back.
        words = " ".join(filter(None, (progress.note, percent(progress.fraction))))
        told = ", ".join(filter(None, (words, describe_place(job))))
        is_news = self.repeats or told != self._told.get(job.id)
        if told and is_news and self._throttle.is_due(job):
            self._told[job.id] = told
            self.say(f"{show(job.source.path)}: {told}")

    def _tell_settled(self, job: Job) -> None:
        match job.state:
            case JobState.DONE:
                self.say(f"{show(job.source.path)}: {describe_result(job)}")
                for note in list_notes(job):
                    self.say(f"  note: {note}")
            case JobState.CANCELLED:
                self.say(f"{show(job.source.path)}: cancelled")
            case _:
                self._complain(job.source.path, f"{job.state}: {describe_problem(job)}")

    def _complain(self, source: Path, text: str) -> None:
        sys.stdout.flush()
        print(f"stembridge: {clean(say_of(source, text))}", file=sys.stderr, flush=True)
