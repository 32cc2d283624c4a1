"""What a failure costs: whether a failed job keeps what it has, and where a retry goes on.

============  ==============================  =============  ==============
failed in     with                            at a service   on this machine
============  ==============================  =============  ==============
queued        anything                        start          start
submitting    anything                        start          start
running       ServiceError, ResultError       start          start
running       RefusedError, anything else     running        start
fetching      ServiceError, ResultError       start          start
fetching      RefusedError, anything else     fetching       start
publishing    ResultError (staging is gone)   fetching       start
publishing    anything else                   publishing     publishing
============  ==============================  =============  ==============

``start`` is today's price once more, so it is only for jobs that cost nothing yet and for results that are no good. A
refused account, a folder that may not be written, a source that moved and a defect of a plugin all say nothing about
the result, which is paid for. A result that has expired at its service is a ServiceError there, so that the retry after
that one buys it anew; ``--force`` always does.
"""

from __future__ import annotations

from typing import Final

import msgspec

from plugin_core.errors import PlacementError, RefusedError, ResultError, ServiceError, StembridgeError
from plugin_core.model import Job, JobState, Problem

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
    if state not in _AT_SERVICE or not is_bought:
        return None
    is_bad = isinstance(error, (ServiceError, ResultError)) and not isinstance(error, RefusedError)
    return None if is_bad else state


def explain_resuming(problem: Problem, error: StembridgeError, job_id: str) -> Problem:
    """Say in a problem's remedy that a retry goes on without buying again."""
    # Another place would be another job, paid for once more.
    first = "put that right" if isinstance(error, PlacementError) else problem.remedy or "put that right"
    remedy = f"{first}, then `stembridge jobs retry {job_id}`: what is done is kept, nothing is bought again"
    return msgspec.structs.replace(problem, remedy=remedy)


def put_back(job: Job, now: float) -> Job:
    """Return a job that ended badly as it goes on: at ``job.resume`` with what it has, or empty at its start."""
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
    )
    if job.resume is JobState.PUBLISHING:
        return fresh
    fresh = msgspec.structs.replace(fresh, staged=())
    return fresh if job.resume else msgspec.structs.replace(fresh, ticket=None, results=(), labels=(), notes=())
