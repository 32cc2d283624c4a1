"""Where a job that ended badly goes on.

What is paid for stays with the job's purchase, so that a retry begins at ``queued`` and finds it there: running at its
service, ready, or kept at home. Stems that were finished and could not be placed wait in staging, and go on from
``publishing``.
"""

from __future__ import annotations

import msgspec

from plugin_core.errors import (
    BoughtBeforeError,
    PlacementError,
    RefusedError,
    ResultError,
    ServiceError,
    SpoiltFileError,
    StembridgeError,
    UnchargedError,
)
from plugin_core.model import Job, JobState, Problem


def explain_retrying(problem: Problem, error: StembridgeError, job_id: str) -> Problem:
    """Say in a problem's remedy that a retry goes on without buying again."""
    # Another place would be another job.
    first = "put that right" if isinstance(error, PlacementError) else problem.remedy or "put that right"
    remedy = f"{first}, then `stembridge jobs retry {job_id}`: what is done is kept, nothing is bought again"
    return msgspec.structs.replace(problem, remedy=remedy)


def is_about_result(error: StembridgeError) -> bool:
    """Tell whether an error says that a result is gone or no good, and not that something else is in its way."""
    about = (ServiceError, ResultError, SpoiltFileError, BoughtBeforeError)
    return isinstance(error, about) and not isinstance(error, (RefusedError, UnchargedError))


def explain_loss(problem: Problem, job_id: str) -> Problem:
    """Say in a problem's remedy that a retry looks again, and what buys anew."""
    again = f"`stembridge jobs retry {job_id}` looks again, with --force it is bought again if need be"
    remedy = f"{problem.remedy}; {again}" if problem.remedy else again
    return msgspec.structs.replace(problem, remedy=remedy, needs_word=True)


def put_back(job: Job, now: float, *, force: bool = False) -> Job:
    """Return a job that ended badly as it goes on.

    Args:
        job: failed, cancelled or unconfirmed.
        now: seconds since the epoch.
        force: the user's word that it may be bought again.
    """
    fresh = msgspec.structs.replace(
        job,
        state=job.resume or JobState.QUEUED,
        due=now,
        updated=now,
        attempts=0,
        cancel=False,
        progress=None,
        target=None,
        stems=(),
        problem=None,
        resume=None,
        may_buy=force,
    )
    if job.resume:
        return fresh
    return msgspec.structs.replace(fresh, staged=(), ticket=None, results=(), labels=(), notes=())
