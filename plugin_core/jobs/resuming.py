"""What a failure costs: whether a failed job keeps what it has, and where a retry goes on.

============  ==============================  =============  ==============
failed in     with                            at a service   on this machine
============  ==============================  =============  ==============
queued        anything                        start          start
submitting    a defect after the call         search         start
submitting    anything else                   start          start
running       UnchargedError                  start          start
running       anything else                   running        start
fetching      anything                        fetching       start
publishing    ResultError (staging is gone)   fetching       start
publishing    anything else                   publishing     publishing
============  ==============================  =============  ==============

What a service was paid for outlives the failure of its job, and the cancel that the service refused: whatever asks for
the job again looks there first, by its ticket (running) or by its key (search). ``start`` is for what cost nothing.
Where the look finds nothing, or nothing that is any good, the job ends as ``Bought.GONE``: only the user's word
(``force``) makes it start anew then.
"""

from __future__ import annotations

from typing import Final

import msgspec

from plugin_core.errors import (
    PlacementError,
    RefusedError,
    ResultError,
    ServiceError,
    SpoiltFileError,
    StembridgeError,
    UnchargedError,
)
from plugin_core.model import Bought, Job, JobState, Problem

_AT_SERVICE: Final = frozenset({JobState.RUNNING, JobState.FETCHING})


def resume_state(state: JobState, error: StembridgeError, *, is_bought: bool) -> JobState | None:
    """Return where a job that fails now can go on later, with what it has; None: only from its start.

    Args:
        state: where the job is.
        error: why it fails.
        is_bought: whether a service has the job, so that its results can be fetched again.
    """
    if state is JobState.PUBLISHING:
        if not isinstance(error, ResultError):
            return state
        return JobState.FETCHING if is_bought else None
    is_kept = state in _AT_SERVICE and is_bought and not isinstance(error, UnchargedError)
    return state if is_kept else None


def is_about_result(error: StembridgeError) -> bool:
    """Tell whether an error says that the result is gone or no good, and not that something else is in its way."""
    return isinstance(error, (ServiceError, ResultError, SpoiltFileError)) and not isinstance(error, RefusedError)


def is_lost(state: JobState, error: StembridgeError) -> bool:
    """Tell whether a job that fails so at its service has nothing to go on with."""
    return state in _AT_SERVICE and is_about_result(error)


def is_owed(job: Job) -> bool:
    """Tell whether a service has a job, or may have it, so that it is looked for before it is bought again."""
    if job.bought is Bought.NO:
        return False
    return job.ticket is not None or job.state is JobState.UNCONFIRMED or job.bought is Bought.MAYBE


def explain_resuming(problem: Problem, error: StembridgeError, job_id: str) -> Problem:
    """Say in a problem's remedy that a retry goes on without buying again."""
    # Another place would be another job, paid for once more.
    first = "put that right" if isinstance(error, PlacementError) else problem.remedy or "put that right"
    remedy = f"{first}, then `stembridge jobs retry {job_id}`: what is done is kept, nothing is bought again"
    return msgspec.structs.replace(problem, remedy=remedy)


def explain_loss(problem: Problem, job_id: str) -> Problem:
    """Say in a problem's remedy that a retry looks again, and what buys anew."""
    again = f"`stembridge jobs retry {job_id}` looks again, with --force it is bought again if need be"
    return msgspec.structs.replace(problem, remedy=f"{problem.remedy}; {again}" if problem.remedy else again)


def put_back(job: Job, now: float, *, is_remote: bool, force: bool = False) -> Job:
    """Return a job that ended badly as it goes on: where it was kept, with a look at its service, or at its start.

    Args:
        job: failed, cancelled or unconfirmed.
        now: seconds since the epoch.
        is_remote: whether it lives at a service.
        force: the user's word that it may be bought again if it is not to be had.
    """
    is_sought = is_remote and is_owed(job)
    state = job.resume or JobState.QUEUED
    bought = Bought.BY_TICKET
    if is_sought:
        state = job.resume or (JobState.SUBMITTING if job.ticket is None else JobState.RUNNING)
        # A job that failed before it was ever given up is still at its first purchase.
        is_parked = job.ticket is None and job.state is not JobState.FAILED
        bought = Bought.AGAIN if force else Bought.MAYBE if is_parked else Bought.BY_TICKET
    fresh = msgspec.structs.replace(
        job,
        state=state,
        due=now,
        updated=now,
        attempts=0,
        refetches=0,
        cancel=False,
        progress=None,
        target=None,
        stems=(),
        problem=None,
        resume=None,
        bought=bought,
    )
    if state is JobState.PUBLISHING:
        return fresh
    if state is JobState.QUEUED:
        return empty(fresh)
    return msgspec.structs.replace(fresh, staged=(), notes=job.notes if job.resume else ())


def empty(job: Job) -> Job:
    """Return a job without anything of its purchase, as it starts."""
    return msgspec.structs.replace(job, ticket=None, results=(), labels=(), staged=(), notes=())
