"""The beginning of a job."""

from __future__ import annotations

from collections.abc import Callable

from plugin_core.ids import new_id
from plugin_core.jobs.dedupe import forced_key
from plugin_core.model import Job, JobState, Plan, Source
from plugin_core.purchases.quotes import Bill


def make_job(
    source: Source,
    plan: Plan,
    *,
    bill: Bill,
    host: str,
    preset: str,
    force: bool,
    may_buy: bool,
    clock: Callable[[], float],
) -> Job:
    """Return a job that nobody has stored yet.

    Args:
        source: what is worked on.
        plan: what is done to it.
        bill: what it is found by, and what it would buy.
        host: who asks for it.
        preset: by which preset, if any.
        force: whether it is made and bought whatever there is.
        may_buy: the user's word that it may be bought again where what was bought before is gone.
        clock: seconds since the epoch.
    """
    now = clock()
    return Job(
        id=new_id(clock),
        state=JobState.QUEUED,
        operation=plan.operation,
        source=source,
        account=bill.account,
        dedupe=forced_key(bill.key) if force else bill.key,
        recording=bill.recording,
        quote=bill.quote,
        may_buy=may_buy or force,
        host=host,
        preset=preset,
        created=now,
        updated=now,
        notes=plan.notes,
    )
