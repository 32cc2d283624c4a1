"""Moving all that a job store holds into one of another kind: row by row, resumable, and compared at the end."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from plugin_core.errors import StoreError
from plugin_core.files.database import Connection
from plugin_core.files.path_map import PathMap, read_stored, stored_json, stored_path
from plugin_core.jobs.queries import CLEAN, LITTERED
from plugin_core.jobs.store import MOVED, JobStore
from plugin_core.model import Job, JobState, Source, to_json
from plugin_core.purchases.purchase import Purchase

_AT_ONCE: Final = 500
_HALF: Final = "the store that they come from, until `stembridge jobs migrate` is through"


class Table(NamedTuple):
    """A table whose rows move."""

    name: str
    keys: tuple[str, ...]
    body: type[msgspec.Struct] | None = None
    """What its column ``body`` holds, whose paths have other names in another store."""


TABLES: Final = (
    Table("recordings", ("id",)),
    Table("recording_aliases", ("digest",)),
    Table("recording_slices", ("parent", "rate", "start", "frames", "recording")),
    Table("purchases", ("id",), Purchase),
    Table("jobs", ("id",), Job),
)


def migrate(source: JobStore, target: JobStore) -> dict[str, int]:
    """Move everything; return how many rows of each table. What was moved already is not moved again.

    Raises:
        StoreError: somebody works on a job, the target holds something else, or what arrived is not what was sent.
    """
    # Whichever of them lies on a server that goes away meanwhile.
    return target.begin_anew(lambda: _migrate(source, target))


def _migrate(source: JobStore, target: JobStore) -> dict[str, int]:
    with source.everything() as here:
        if here.execute("SELECT 1 FROM jobs WHERE owner IS NOT NULL LIMIT 1").fetchone() is not None:
            raise StoreError("jobs are being worked on", remedy="end every stembridge that works on them, then migrate")
        _open_for(target, here)
        for table in TABLES:
            for some in _batches(here, table, source, target.paths):
                target.begin_anew(partial(_put, some, table, target))
        counts = {table.name: _compare(here, table, source, target) for table in TABLES}
        _mark(here, target.shown)
    with target.everything() as there:
        there.execute(f"DROP TABLE {MOVED}")
    return counts


def _put(some: list[dict[str, Any]], table: Table, target: JobStore) -> None:
    with target.everything() as there:
        there.executemany(_insert(table, some[0]), [_write(row, table) for row in some])


def _open_for(target: JobStore, here: Connection) -> None:
    """Let nobody work on what is half there; what was moved away from there before is no longer."""
    if target.is_elsewhere not in ("", _HALF):
        with target.everything() as there:
            for table in TABLES:
                there.execute(f"DELETE FROM {table.name}")  # noqa: S608 - names
    with target.everything() as there:
        for table in TABLES:
            _refuse_others(here, there, table)
        _mark(there, _HALF)


def _mark(connection: Connection, place: str) -> None:
    connection.execute(f"CREATE TABLE IF NOT EXISTS {MOVED} (place TEXT NOT NULL)")
    connection.execute(f"DELETE FROM {MOVED}")  # noqa: S608 - constant
    connection.execute(f"INSERT INTO {MOVED} VALUES (?)", (place,))  # noqa: S608 - constant


def _compare(here: Connection, table: Table, source: JobStore, target: JobStore) -> int:
    """Return how many rows there are, in both."""
    count, sent = _digest(here, table, source, target.paths)
    with target.everything() as there:
        number, arrived = _digest(there, table, target, target.paths)
    if (number, arrived) != (count, sent):
        raise StoreError(
            f"{table.name}: {number} of {count} arrived, or not as they were sent",
            remedy="nothing was removed: end whatever writes to either store, and migrate again",
        )
    return count


def _refuse_others(here: Connection, there: Connection, table: Table) -> None:
    """Refuse a target with rows of its own: two stores are not mixed."""
    known = " AND ".join(f"{key} = :{key}" for key in table.keys)
    for some in _pages(there, table):
        for row in some:
            values = {key: row[key] for key in table.keys}
            if here.execute(f"SELECT 1 FROM {table.name} WHERE {known}", values).fetchone() is None:  # noqa: S608 - names
                raise StoreError(
                    f"the store to move to holds {table.name} of its own",
                    remedy="move to an empty one: two cannot be mixed",
                )


def _pages(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    """Yield all rows in order of their keys, some at a time."""
    keys, last = ", ".join(table.keys), None
    while True:
        after = "" if last is None else f" WHERE ({keys}) > ({', '.join(':' + key for key in table.keys)})"
        query = f"SELECT * FROM {table.name}{after} ORDER BY {keys} LIMIT {_AT_ONCE}"  # noqa: S608 - names
        some = [{name: row[name] for name in row.keys()} for row in connection.execute(query, last or {})]  # noqa: SIM118
        if not some:
            return
        yield some
        last = {key: some[-1][key] for key in table.keys}


def _batches(connection: Connection, table: Table, store: JobStore, paths: PathMap) -> Iterator[list[dict[str, Any]]]:
    for some in _pages(connection, table):
        with store.paths.in_use():
            read = [_read(row, table, paths) for row in some]
        yield read


def _read(row: dict[str, Any], table: Table, paths: PathMap) -> dict[str, Any]:
    """Return a row with what its store calls by names of its own as it is here.

    What was staged where those who read it next do not look is left out: it is made again of what was fetched.

    Raises:
        StoreError: it is about to be placed.
    """
    if table.body is None:
        return row
    read = {**row, "body": read_stored(row["body"], table.body)}
    if table.body is Job:
        read["moved"] = None if row["moved"] is None else read_stored(row["moved"], Source)
        # Nobody works on it; who sent its paid call before is known by its old store alone.
        read |= {"owner": None, "lease": None}
        job: Job = read["body"]
        if not all(map(paths.sees, (*(stem.path for stem in job.staged), *filter(None, [job.staging])))):
            if job.state is JobState.PUBLISHING:
                raise StoreError(f"job {job.id} is being placed", remedy=f"`stembridge jobs resume {job.id}` ends that")
            read["body"] = msgspec.structs.replace(job, staged=(), staging=None, resume=None)
            read["litter"] = CLEAN if row["litter"] == CLEAN else LITTERED
    return read


def _write(row: dict[str, Any], table: Table) -> dict[str, Any]:
    """Return what was read as the store in use has it."""
    if table.body is None:
        return row
    written = {**row, "body": stored_json(row["body"])}
    if table.body is Job:
        job: Job = row["body"]
        place = job.stems[0].path.parent if job.stems else None
        written["path"] = stored_path((row["moved"] or job.source).path)
        written["place"] = None if place is None else stored_path(place)
        written["moved"] = None if row["moved"] is None else stored_json(row["moved"])
    return written


def _insert(table: Table, row: dict[str, Any]) -> str:
    names = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    return f"INSERT INTO {table.name} ({names}) VALUES ({values}) ON CONFLICT DO NOTHING"  # noqa: S608 - names


def _digest(connection: Connection, table: Table, store: JobStore, paths: PathMap) -> tuple[int, str]:
    """Return how many rows there are, and a digest of all they say, whatever the store calls a folder."""
    count, digest = 0, hashlib.sha256()
    for some in _batches(connection, table, store, paths):
        for row in some:
            plain = {name: row[name] for name in sorted(row) if name not in ("path", "place")}
            digest.update(to_json(plain))
            count += 1
    return count, digest.hexdigest()
