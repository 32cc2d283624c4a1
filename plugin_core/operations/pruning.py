"""Forgetting old jobs, and what they left on the disk."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from plugin_core.jobs.engine import Engine
from plugin_core.jobs.store import JobStore
from plugin_core.model import JobState
from plugin_core.purchases.shelf import PurchasesSettings, Shelf
from plugin_core.stems.staging import find_stale, sweep


def prune(
    store: JobStore, engine: Engine, home: Path, settings: PurchasesSettings, *, older_than: float, now: float
) -> int:
    """Forget jobs that were done, failed or cancelled more than ``older_than`` seconds ago; return how many.

    Results that such a job kept for a retry go, staging that a crash left behind and no job needs, and what is kept of
    purchases for too long; purchases themselves are never forgotten.
    """
    Shelf(home).tidy(store.purchases, settings, lambda: now)
    if store.give_up(older_than):
        # The caller may be inside an event loop of its own.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: asyncio.run(engine.discard_leftovers())).result()
    forgotten = store.prune(older_than)
    # Looked for before the jobs are asked: a job that is added meanwhile makes its folder later.
    stale = find_stale(home, now=now)
    # A job that is settled but not yet cleaned up may keep an earlier result of the user's there.
    unclean = {job.id for job in store.leftovers()}
    sweep(stale, lambda job_id: job_id in unclean or _needs_staging(store, job_id))
    return forgotten


def _needs_staging(store: JobStore, job_id: str) -> bool:
    job = store.find(job_id)
    if job is None:
        return False
    return not job.state.is_settled or job.state is JobState.UNCONFIRMED or job.resume is not None
