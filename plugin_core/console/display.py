"""How a run is shown: the promise of a display, the plain one, and the counts at the end."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import msgspec

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
    span,
)
from plugin_core.errors import ExitCode, StembridgeError
from plugin_core.model import Job, JobState
from plugin_core.purchases.purchase import Offer

_ENOUGH = 0.03
"""Of a step that must be seen before its end is foretold."""
_LONG_ENOUGH = 2.0
"""Seconds that it must have been seen for."""


class Display(Protocol):
    """Shows one run. Entered before anything is said and left after the summary, or on the error that ended it."""

    has_workers: bool = False
    """Whether workers go on with what a run that is stopped leaves."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was; whoever called tells the error."""
        return

    def say(self, text: str) -> None:
        """Tell people, and only people, something about the whole run."""

    def look(self, done: int, count: int) -> None:
        """Show how many of the files have been looked at; called with ``done`` from 0 to ``count``."""

    def quote(self, offers: Sequence[Offer], *, is_asked: bool) -> None:
        """Say what the run will cost, before anything is begun.

        Args:
            offers: everything that will be done.
            is_asked: whether a question that names the price follows.
        """

    def preview(self, offer: Offer) -> None:
        """Show what would be made of one source."""
        for line in describe_offer(offer):
            self.say(line)

    def refuse(self, source: Path, error: StembridgeError) -> None:
        """Show that a source cannot be used; the run goes on."""

    def reuse(self, job: Job) -> None:
        """Show that the results stand already."""

    def begin(self, jobs: Sequence[Job]) -> None:
        """Show the jobs that the run will work on."""

    def change(self, job: Job, previous: Job | None) -> None:
        """Show a job's new state or progress; cheap, called in the engine's loop."""

    def pause(self) -> None:
        """Leave the terminal to a question; ``begin`` goes on."""

    def finish(self, summary: Summary) -> None:
        """Show how the run ended."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of one run; every source and job is in exactly one of them."""

    done: int = 0
    failed: int = 0
    cancelled: int = 0
    unconfirmed: int = 0
    unfinished: int = 0
    reused: int = 0
    seconds: float = 0.0
    exit_code: int = 0

    def __str__(self) -> str:
        """Return the counts of what is settled, in words; empty when there is nothing to count."""
        counts = ("done", "reused", "failed", "cancelled", "unconfirmed")
        told = [f"{getattr(self, name)} {name}" for name in counts if getattr(self, name)]
        return f"{', '.join(told)} in {span(self.seconds)}" if told else ""


def describe_left(unfinished: int, *, has_workers: bool) -> str:
    """Say to whom what was stopped leaves so many jobs; empty where it leaves none."""
    if not unfinished:
        return ""
    jobs = plural(unfinished, "job")
    if has_workers:
        return f"stopped looking on; {jobs} left to the workers: stembridge jobs shows them, jobs cancel ends them"
    return f"stopped; {jobs} unfinished: stembridge jobs resume"


def summarise(
    jobs: Sequence[Job],
    *,
    reused: int = 0,
    errors: Sequence[StembridgeError] = (),
    interrupted: bool = False,
    seconds: float = 0.0,
) -> Summary:
    """Count jobs and errors that came before any job."""
    counts = Counter(job.state for job in jobs)
    unfinished = sum(count for state, count in counts.items() if state.is_active)
    return Summary(
        done=counts[JobState.DONE],
        failed=counts[JobState.FAILED] + len(errors),
        cancelled=counts[JobState.CANCELLED],
        unconfirmed=counts[JobState.UNCONFIRMED],
        unfinished=unfinished,
        reused=reused,
        seconds=round(seconds, 3),
        exit_code=choose_exit_code(jobs, errors, interrupted=interrupted and unfinished > 0),
    )


def choose_exit_code(jobs: Iterable[Job], errors: Iterable[StembridgeError], *, interrupted: bool) -> ExitCode:
    """Return the one exit code of a run: interrupted before refused before unconfirmed before failed."""
    if interrupted:
        return ExitCode.INTERRUPTED
    codes = {error.exit_code for error in errors}
    for job in jobs:
        if job.state is JobState.UNCONFIRMED:
            codes.add(ExitCode.UNCONFIRMED)
        elif job.state is not JobState.DONE:
            is_refused = job.problem is not None and job.problem.exit_code == ExitCode.REFUSED
            codes.add(ExitCode.REFUSED if is_refused else ExitCode.FAILED)
    for code in (ExitCode.REFUSED, ExitCode.UNCONFIRMED):
        if code in codes:
            return code
    return ExitCode.FAILED if codes else ExitCode.DONE


class Throttle:
    """Lets a job's progress through when it moved far enough or long enough ago.

    Args:
        fraction: how far (of 1) is far enough.
        seconds: how long is long enough.
        together: whether both must hold; else one of them does.
        clock: monotonic seconds.
    """

    def __init__(
        self, fraction: float, seconds: float, *, together: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._fraction = fraction
        self._seconds = seconds
        self._combine = all if together else any
        self._clock = clock
        self._last: dict[str, tuple[float, float]] = {}

    def start(self, job: Job) -> None:
        """Count from here: the job was just shown."""
        self._last[job.id] = (_fraction_of(job), self._clock())

    def stop(self, job: Job) -> None:
        """Forget a job that is settled."""
        self._last.pop(job.id, None)

    def is_due(self, job: Job) -> bool:
        """Tell whether the job's progress should be shown now, and if so count from here."""
        fraction, shown = self._last.get(job.id, (0.0, float("-inf")))
        moved = abs(_fraction_of(job) - fraction) >= self._fraction
        waited = self._clock() - shown >= self._seconds
        if not self._combine((moved, waited)):
            return False
        self.start(job)
        return True


class TimeLeft:
    """Says how long the present step of a job takes yet, by how far it came since it was seen first.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._first: dict[str, tuple[JobState, float, float]] = {}
        self._last: dict[str, tuple[float, float]] = {}

    def note(self, job: Job) -> None:
        """Take in how far a job is; a step that begins anew counts anew."""
        if not job.state.is_active or job.progress is None or job.progress.fraction is None:
            self._first.pop(job.id, None)
            self._last.pop(job.id, None)
            return
        fraction, now = _fraction_of(job), self._clock()
        state, started, _ = self._first.get(job.id, (None, 2.0, 0.0))
        if state is not job.state or fraction < max(started, self._last[job.id][0]):
            self._first[job.id] = job.state, fraction, now
        self._last[job.id] = fraction, now

    def of(self, job: Job) -> float | None:
        """Return seconds; None while too little is known."""
        if job.id not in self._first:
            return None
        _, started, since = self._first[job.id]
        fraction, seen = self._last[job.id]
        if fraction - started < _ENOUGH or seen - since < _LONG_ENOUGH:
            return None
        whole = (1.0 - fraction) * (seen - since) / (fraction - started)
        return max(0.0, whole - (self._clock() - seen))


class Troubles:
    """Lets each trouble of a job that waits through once, however often it is met again."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def is_new(self, job: Job) -> bool:
        """Tell whether the job waits for something not told yet, and if so count it as told."""
        if job.problem is None or not job.state.is_active:
            return False
        key = (job.id, job.problem.message)
        is_new = key not in self._told
        self._told.add(key)
        return is_new


def _fraction_of(job: Job) -> float:
    return (job.progress.fraction or 0.0) if job.progress else 0.0


PROGRESS_FRACTION = 0.25
PROGRESS_SECONDS = 10.0
MANY_FILES = 20


class PlainDisplay(Display):
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
        if self._quiet and (job.state.is_active or job.state in (JobState.DONE, JobState.CANCELLED)):
            # None of the words would be written.
            return
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
        if left := describe_left(summary.unfinished, has_workers=self.has_workers):
            print(clean(left), file=sys.stderr)

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
