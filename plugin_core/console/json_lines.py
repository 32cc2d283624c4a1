"""The display for programs: one JSON object a line on standard output."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from plugin_core.console.prices import list_prices
from plugin_core.console.records import describe_error, describe_job, describe_plan, write_record
from plugin_core.console.summary import Summary
from plugin_core.console.throttle import Throttle, Troubles
from plugin_core.errors import StembridgeError
from plugin_core.model import Job
from plugin_core.offer import Offer

PROGRESS_FRACTION = 0.01
PROGRESS_SECONDS = 0.25


class JsonDisplay:
    """Writes each change as an object; progress at most four times a second for each job."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._throttle = Throttle(PROGRESS_FRACTION, PROGRESS_SECONDS, together=True, clock=clock)
        self._troubles = Troubles()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: the guard tells every error that ends a command."""

    def say(self, text: str) -> None:
        """Say nothing: this is for people."""

    def look(self, done: int, count: int) -> None:
        """Say nothing: this is for people."""

    def quote(self, offers: Sequence[Offer], *, is_asked: bool) -> None:  # noqa: ARG002 - a program reads no question
        """Write a ``price`` event for each provider that costs money, or may."""
        for price in list_prices(offers):
            write_record({"event": "price"} | msgspec.structs.asdict(price))

    def preview(self, offer: Offer) -> None:
        """Write a ``plan`` event."""
        write_record(describe_plan(offer))

    def refuse(self, source: Path, error: StembridgeError) -> None:
        """Write an ``error`` event."""
        write_record(describe_error(source, error))

    def reuse(self, job: Job) -> None:
        """Write the done job as a ``job`` event."""
        write_record(describe_job(job))

    def begin(self, jobs: Sequence[Job]) -> None:
        """Write every job once, so that the reader knows all ids at the start."""
        for job in jobs:
            self._throttle.start(job)
            write_record(describe_job(job))

    def change(self, job: Job, previous: Job | None) -> None:
        """Write a ``job`` event for each new state, each new trouble, and for progress that is due."""
        if previous is None or previous.state is not job.state or self._troubles.is_new(job):
            self._throttle.start(job)
        elif not self._throttle.is_due(job):
            return
        if job.state.is_settled:
            self._throttle.stop(job)
        write_record(describe_job(job))

    def pause(self) -> None:
        """Do nothing: programs are not asked."""

    def finish(self, summary: Summary) -> None:
        """Write the ``summary`` event, the last one."""
        write_record({"event": "summary"} | msgspec.structs.asdict(summary))
