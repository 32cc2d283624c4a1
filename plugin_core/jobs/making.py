"""The beginning of a job."""

from __future__ import annotations

from collections.abc import Callable

from plugin_core.jobs.dedupe import forced_key
from plugin_core.jobs.ids import new_id
from plugin_core.model import Job, JobState, Plan, Source


def make_job(
    source: Source,
    plan: Plan,
    *,
    account: str,
    key: str,
    host: str,
    preset: str,
    force: bool,
    clock: Callable[[], float],
) -> Job:
    """Return a job that nobody has stored yet.

    Args:
        source: what is worked on.
        plan: what is done to it.
        account: whose slots it takes.
        key: what equal jobs have in common.
        host: who asks for it.
        preset: by which preset, if any.
        force: whether it is bought even where a finished one has the key.
        clock: seconds since the epoch.
    """
    now = clock()
    return Job(
        id=new_id(clock),
        state=JobState.QUEUED,
        operation=plan.operation,
        source=source,
        account=account,
        dedupe=forced_key(key) if force else key,
        host=host,
        preset=preset,
        created=now,
        updated=now,
        notes=plan.notes,
    )
