"""Whether a song was done before, under whatever name."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from plugin_core.model import Job, JobState, show_path
from plugin_core.session import Session
from plugin_core.stems.layout import STEMS_SUFFIX
from plugin_core.tags.provenance import read_provenance
from stembridge_hot_folder.ledger import Ledger, Row, SongState


def why_done_before(session: Session, ledger: Ledger, path: bytes, hashes: Collection[str], recipe: str) -> str:
    """Return how it is known that this song was done the same way and its results still stand; empty if not so.

    Args:
        session: the core.
        ledger: what was done.
        path: the song.
        hashes: the SHA-256 of every file that counts as this song.
        recipe: the key of what would be done.
    """
    for row in (row for content in sorted(hashes) for row in ledger.with_content(content)):
        if row.state is SongState.DONE and row.recipe == recipe:
            if row.path != path and _has_results(session, row):
                return f"the same song as {_show(row.path)}, which is done"
            if row.place and os.path.lexists(row.place):
                return f"the same song as {_show(row.place)}, which is done"
    beside = Path(os.fsdecode(os.path.splitext(path)[0]) + STEMS_SUFFIX)  # noqa: PTH122 - bytes
    if _stand_in(beside, hashes):
        return f"its stems stand in {show_path(beside)}"
    return ""


def _has_results(session: Session, row: Row) -> bool:
    jobs = [session.store.find(job_id) for job_id in row.jobs]
    return bool(jobs) and all(job is not None and _has_result(job) for job in jobs)


def _has_result(job: Job) -> bool:
    if job.state is not JobState.DONE:
        return False
    if job.stems:
        return all(stem.path.exists() for stem in job.stems)
    return job.source.path.exists()


def _stand_in(folder: Path, hashes: Collection[str]) -> bool:
    """Tell whether a folder holds stems of this very song, also after it was moved or renamed."""
    try:
        stems = sorted(folder.iterdir())
    except OSError:
        # None there, or not to be read: then nothing is known of it.
        return False
    told = [read_provenance(stem) for stem in stems]
    return bool(told) and any(all(content in text for text in told) for content in hashes)


def _show(path: bytes) -> str:
    return show_path(Path(os.fsdecode(path)))
