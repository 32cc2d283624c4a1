"""Forgetting old jobs, and what they left on the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from plugin_core.abilities import KeepsFiles
from plugin_core.files.hidden import HiddenNotes, find_scratch, remove
from plugin_core.jobs.engine import Engine
from plugin_core.jobs.store import JobStore
from plugin_core.model import JobState
from plugin_core.protocols import Provider
from plugin_core.purchases.shelf import PurchasesSettings, Shelf
from plugin_core.stems.staging_folder import find_stale, remove_staging


def prune(
    store: JobStore,
    engine: Engine,
    home: Path,
    shelf: Shelf,
    settings: PurchasesSettings,
    providers: Iterable[Provider],
    *,
    older_than: float,
    now: float,
) -> int:
    """Forget jobs that were done, failed or cancelled more than ``older_than`` seconds ago; return how many.

    Results that such a job kept for a retry go, what providers kept for it, whatever killed processes left in the home
    and beside songs that no job needs, and what is kept of purchases for too long; purchases themselves are never
    forgotten.

    Args:
        store: the jobs.
        engine: cleans up after them.
        home: stembridge's home, on this machine.
        shelf: where results are kept, and in whose home they are worked on.
        settings: how long they are.
        providers: who may keep files of their own.
        older_than: seconds.
        now: seconds since the epoch.
    """
    shelf.tidy(store.purchases, settings, lambda: now)
    if store.give_up(older_than):
        # The caller may be inside an event loop of its own.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(lambda: asyncio.run(engine.discard_leftovers())).result()
    forgotten = store.prune(older_than)
    for folder in _unneeded(store, shelf.home, now=now):
        remove_staging(folder)
    for path in [*find_scratch(home, now=now), *_kept(store, providers, now=now)]:
        remove(path)
    HiddenNotes(home).sweep()
    return forgotten


def find_leftovers(store: JobStore, home: Path, work: Path, providers: Iterable[Provider], *, now: float) -> list[Path]:
    """Return the files and folders of ours in the home, in the folder of results and beside songs that no job needs."""
    scratch = [*find_scratch(home, now=now), *_kept(store, providers, now=now)]
    return [*_unneeded(store, work, now=now), *scratch, *HiddenNotes(home).find()]


def _kept(store: JobStore, providers: Iterable[Provider], *, now: float) -> list[Path]:
    """Return what providers kept in the home for jobs that are forgotten, or never came."""
    owners = [one for one in providers if isinstance(one, KeepsFiles)]
    return [path for one in owners for path in one.unneeded(lambda path: bool(store.placed_at(path)), now)]


def _unneeded(store: JobStore, work: Path, *, now: float) -> list[Path]:
    # Looked for before the jobs are asked: a job that is added meanwhile makes its folder later.
    stale = find_stale(work, now=now)
    # A job that is settled but not yet cleaned up may keep an earlier result of the user's there.
    unclean = {job.id for job in store.leftovers()}
    return [folder for folder in stale if folder.name not in unclean and not _needs_staging(store, folder.name)]


def _needs_staging(store: JobStore, job_id: str) -> bool:
    job = store.find(job_id)
    if job is None:
        return False
    return not job.state.is_settled or job.state is JobState.UNCONFIRMED or job.resume is not None
