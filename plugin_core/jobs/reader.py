"""What is asked of the job store: nothing here changes it."""

from __future__ import annotations

import builtins
import json
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from plugin_core.errors import UsageError
from plugin_core.files.database import Database
from plugin_core.files.path_map import PathMap, stored_path
from plugin_core.jobs import changes, queries
from plugin_core.jobs.keys import base_key
from plugin_core.jobs.queries import from_row
from plugin_core.model import Job, JobState, source_key, stat_key
from plugin_core.purchases.purchase import Purchase
from plugin_core.recordings import tables
from plugin_core.recordings.content import bytes_of, is_of_bytes
from plugin_core.recordings.tables import known_as


def _status(path: Path) -> tuple[int, int, int, int] | None:
    with suppress(OSError):
        return stat_key(path.stat())
    return None


class JobReader:
    """Looks jobs up, and what is known of their songs.

    Args:
        database: the store's file.
        clock: seconds since the epoch.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self.clock = clock
        self._touched = 0

    @property
    def paths(self) -> PathMap:
        """The names that folders of this machine have in the store."""
        return self._database.paths

    def get(self, prefix: str) -> Job:
        """Return one job by its id or the unique beginning of it.

        Raises:
            UsageError: no job, or more than one.
        """
        with self._database.read() as connection:
            found = [from_row(row) for row in connection.execute(queries.BY_PREFIX, (prefix, prefix + "g"))]
        if found and found[0].id == prefix:
            found = found[:1]
        if not found or not prefix:
            raise UsageError(f"no job {prefix!r}", remedy="`stembridge jobs list` shows the ids")
        if len(found) > 1:
            raise UsageError(f"{prefix!r} is the beginning of several job ids", remedy="give more of the id")
        return found[0]

    def find(self, job_id: str) -> Job | None:
        """Return one job by its whole id; None if there is none."""
        with self._database.read() as connection:
            return queries.fetch(connection, job_id)

    def find_all(self, job_ids: Iterable[str]) -> builtins.list[Job]:
        """Return the jobs of these whole ids that exist, in their order."""
        ids = list(job_ids)
        with self._database.read() as connection:
            found = {row["id"]: from_row(row) for row in connection.execute(queries.THESE, (json.dumps(ids),))}
        return [found[job_id] for job_id in ids if job_id in found]

    def marks(self, job_ids: Iterable[str]) -> dict[str, tuple[object, ...]]:
        """Return of each of these jobs a value that is another once the job has changed; cheap."""
        with self._database.read() as connection:
            return {row["id"]: tuple(row) for row in connection.execute(queries.MARKS, (json.dumps(list(job_ids)),))}

    def list(self, states: Iterable[JobState] | None = None, limit: int | None = None, before: str = "") -> list[Job]:
        """Return jobs, newest first; with ``before``, the id of one, those that are older than it."""
        return self._jobs(*queries.listing(None if states is None else sorted(set(states)), limit, before))

    def _jobs(self, query: str, values: Sequence[object]) -> builtins.list[Job]:
        with self._database.read() as connection:
            return [from_row(row) for row in connection.execute(query, values)]

    def counts(self) -> dict[JobState, int]:
        """Return how many jobs are in each state."""
        with self._database.read() as connection:
            found = dict(connection.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
        return {state: found.get(state.value, 0) for state in JobState}

    def placed_at(self, path: Path) -> builtins.list[Job]:
        """Return the jobs whose song, or whose stems, lie at a path or below it, and those with stems in its folder."""
        with self._database.read() as connection:
            values = queries.below(stored_path(path), stored_path(path.parent))
            return [from_row(row) for row in connection.execute(queries.PLACED_AT, values)]

    def goes_on(self, job: Job) -> bool:
        """Tell whether a job that ended badly would go on from what it has, so that nothing is bought again."""
        with self._database.read() as connection:
            return changes.goes_on(connection, job)

    def is_wanted_elsewhere(self, job: Job) -> bool:
        """Tell whether another active job waits for the same purchase, or may yet."""
        values = {"base": base_key(job.dedupe), "id": job.id, "purchase": job.purchase}
        with self._database.read() as connection:
            return connection.execute(queries.WAITERS, values).fetchone() is not None

    def is_under_way(self, dedupe: str) -> bool:
        """Tell whether a job with the key is active and not being cancelled."""
        with self._database.read() as connection:
            return connection.execute(queries.UNDER_WAY, (base_key(dedupe),)).fetchone() is not None

    def written_as(self, content: str) -> builtins.list[Job]:
        """Return the done taggings that left a file with this SHA-256, the last one first."""
        return self._jobs(queries.WRITTEN_AS, (content,))

    def written_at(self, path: Path) -> builtins.list[Job]:
        """Return the done taggings of the file at a path, the last one first."""
        with self._database.read() as connection:
            return [from_row(row) for row in connection.execute(queries.WRITTEN_AT, (stored_path(path),))]

    def written_of(self, recording: str) -> builtins.list[Job]:
        """Return the done taggings of a recording, the last one first, wherever its file lay; goes through all."""
        return self._jobs(queries.WRITTEN_OF, (json.dumps(self.recordings_of(recording)),))

    def done_like(self, dedupe: str, *, limit: int = 100) -> builtins.list[Job]:
        """Return finished jobs with the key, forced or not, newest first: one song can lie in many places."""
        with self._database.read() as connection:
            return queries.done_like(connection, dedupe, limit)

    def placed_of(self, purchase: Purchase) -> builtins.list[Job]:
        """Return the finished jobs that hang on a purchase, or took their stems from such a one, newest first."""
        found, later = list[Job](), list[Job]()
        for job in self.done_like(purchase.key):
            if not job.purchase:
                later.append(job)
                continue
            if job.purchase == purchase.id:
                found += [*later, job]
            later.clear()
        return found

    def song_of(self, purchase: Purchase) -> Path:
        """Return where the song of a purchase lies: where a finished job of its like knows it, if it left its place."""
        if os.path.lexists(purchase.song):
            return purchase.song
        places = (job.source.path for job in self.done_like(purchase.key))
        return next((path for path in places if os.path.lexists(path)), purchase.song)

    def songs_of(self, purchases: Sequence[Purchase]) -> builtins.list[Path]:
        """Return where the songs of some purchases lie, also of those among them that changed names with each other."""
        found = [self.song_of(one) for one in purchases]
        there = {_status(path): path for path in found}
        for number, purchase in enumerate(purchases):
            keys = [source_key(job.source) for job in self.placed_of(purchase)]
            if _status(found[number]) not in keys:
                found[number] = next((there[key] for key in keys if key in there), found[number])
        return found

    def recordings_of(self, recording: str) -> builtins.list[str]:
        """Return every id under which a recording may have been bought, the present one first."""
        with self._database.read() as connection:
            return known_as(connection, recording)

    def sound_of(self, recording: str) -> str:
        """Return the digest of a recording's sound, "" where only bytes of files are known of it."""
        with self._database.read() as connection:
            ids = tables.ids_of(connection, recording)
            digests = tables.digests_of(connection, ids[0])
        return next((digest for digest in digests if not is_of_bytes(digest)), "")

    def hashes_of(self, recording: str) -> frozenset[str]:
        """Return the SHA-256 of every file in which a recording was met."""
        with self._database.read() as connection:
            return frozenset(filter(None, map(bytes_of, tables.digests_of(connection, recording))))

    def changes_token(self) -> tuple[int | str, int]:
        """Return a value that differs once another process, or a request in this one, changed the store; cheap."""
        return self._database.changes(), self._touched

    def has_active(self, ids: Collection[str] | None = None) -> bool:
        """Tell whether any of these jobs, or of all, is active."""
        if ids is not None:
            self._database.want(ids)
        with self._database.read() as connection:
            return connection.execute(queries.any_active(ids is not None)).fetchone() is not None

    def accounts(self, ids: Collection[str] | None = None) -> builtins.list[Job]:
        """Return one active job, of these or of all, for each account."""
        if ids is not None:
            self._database.want(ids)
        with self._database.read() as connection:
            found = connection.execute(queries.accounts(ids is not None)).fetchall()
            jobs = [queries.fetch(connection, row["id"]) for row in found if row["id"] is not None]
        return [job for job in jobs if job is not None]

    def next_due(self) -> float | None:
        """Return when the next waiting job is due that is not due yet."""
        with self._database.read() as connection:
            row = connection.execute(queries.NEXT_DUE, (self.clock(),)).fetchone()
        return None if row is None else float(row["due"])
