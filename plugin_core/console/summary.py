"""How a run ended: its counts and its exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from plugin_core.console.formatting import span
from plugin_core.errors import ExitCode, StembridgeError
from plugin_core.model import Job, JobState


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
