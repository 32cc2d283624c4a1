"""The tables of the job store, and what its second version knew, brought into the world of recordings and purchases."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from plugin_core.files.database import Connection, Schema, new_id
from plugin_core.jobs.keys import dedupe_key, forced_key, is_forced
from plugin_core.jobs.queries import to_row
from plugin_core.model import Job, JobState, Quote, Separation, from_json
from plugin_core.purchases import ledger
from plugin_core.purchases.ledger import TABLE as PURCHASES
from plugin_core.purchases.purchase import ALL, Purchase, PurchaseState, purchase_key
from plugin_core.recordings import tables
from plugin_core.recordings.tables import RECORDINGS
from plugin_core.stems.staging_folder import choose_staging

# ``active`` is a column of its own because a partial index is only used when the query repeats its condition.
# ``base`` is the dedupe key without the mark of a forced job. ``submitter`` is who may still send the paid call.
# ``written`` is the hash of the file a done tagging left, by which it is found again wherever that file has gone.
# ``litter`` says that the job is settled and its staging folder not yet removed (1), or kept for a retry (2).
_FIRST = """
CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    active INTEGER NOT NULL,
    account TEXT NOT NULL,
    base TEXT NOT NULL,
    dedupe TEXT NOT NULL,
    occupies INTEGER NOT NULL DEFAULT 1,
    cancel INTEGER NOT NULL DEFAULT 0,
    litter INTEGER NOT NULL DEFAULT 0,
    due REAL NOT NULL,
    updated REAL NOT NULL,
    owner TEXT,
    lease REAL,
    submitter TEXT,
    ticket TEXT,
    progress TEXT,
    body TEXT NOT NULL
);
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE INDEX jobs_by_base ON jobs (base, state);
CREATE INDEX jobs_active ON jobs (account, state, due, id) WHERE active = 1;
CREATE INDEX jobs_started ON jobs (state, due) WHERE active = 1;
CREATE INDEX jobs_due ON jobs (due) WHERE active = 1;
CREATE INDEX jobs_cancelling ON jobs (id) WHERE active = 1 AND cancel = 1;
CREATE INDEX jobs_owned ON jobs (owner) WHERE owner IS NOT NULL;
CREATE INDEX jobs_litter ON jobs (id) WHERE litter = 1;
"""

_SECOND = """
ALTER TABLE jobs ADD COLUMN written TEXT;
CREATE INDEX jobs_written ON jobs (written, updated) WHERE written IS NOT NULL;
"""

# ``moved`` is the source as its song lies now, where it was moved after the job was made. ``path`` is where the song
# is, ``place`` the folder of the first stem, for those who say that they moved either.
_THIRD = f"""
ALTER TABLE jobs ADD COLUMN moved TEXT;
ALTER TABLE jobs ADD COLUMN path TEXT;
ALTER TABLE jobs ADD COLUMN place TEXT;
CREATE INDEX jobs_settled ON jobs (updated) WHERE active = 0 AND litter = 0 AND state <> 'unconfirmed';
CREATE INDEX jobs_by_path ON jobs (path);
CREATE INDEX jobs_by_place ON jobs (place) WHERE place IS NOT NULL;
{PURCHASES};
{RECORDINGS}
"""

_OUTPUTS: Final = {"0": "mp3", "1": "wav16", "2": "flac16", "3": "m4a", "4": "wav32f", "5": "flac24"}
"""``output_format`` as MVSEP's plans had it in that version."""

_STATES: Final = {
    JobState.SUBMITTING: PurchaseState.SENT,
    JobState.UNCONFIRMED: PurchaseState.UNKNOWN,
    JobState.RUNNING: PurchaseState.RUNNING,
}
_PLACE: Final = "place"
"""What Tencent CI noted in that version, in a file of its own: where the objects of a job are."""

_AT_SERVICE: Final = frozenset({JobState.RUNNING, JobState.FETCHING})


def adopt_jobs(connection: Connection) -> None:
    """Give every job its recording and new key, and make purchases of what services had."""
    origins = _origins(connection)
    home = Path(connection.execute("PRAGMA database_list").fetchone()["file"]).parent
    # Not row by row while rows change.
    for row in connection.execute("SELECT rowid, occupies, body FROM jobs ORDER BY id").fetchall():
        job = from_json(row["body"], Job)
        recording = _recording(connection, job, origins)
        job = _adopt(connection, job, recording, home) if row["occupies"] else _rekey(job, recording)
        values = {**to_row(job), "row": row["rowid"]}
        connection.execute(
            "UPDATE jobs SET base = :base, dedupe = :dedupe, litter = :litter, path = :path, place = :place,"
            " body = :body WHERE rowid = :row",
            values,
        )


def _origins(connection: Connection) -> dict[str, str]:
    """Return the hash each file that we tagged had before, by the one it has now."""
    found = connection.execute("SELECT body FROM jobs WHERE written IS NOT NULL ORDER BY updated DESC")
    written = [job.written for job in (from_json(row["body"], Job) for row in found) if job.written is not None]
    return {one.after: one.before for one in reversed(written) if one.after != one.before}


def _recording(connection: Connection, job: Job, origins: dict[str, str]) -> str:
    """Return the recording of a job's source, put in where it is new."""
    chain = [job.source.content]
    while (before := origins.get(chain[-1])) is not None and before not in chain:
        chain.append(before)
    if job.written is not None:
        chain += [job.written.before, job.written.after]
    digests = [f"raw1:{content}" for content in dict.fromkeys(chain) if content]
    known = next((one for one in (tables.find_by_digest(connection, each) for each in digests) if one), None)
    if known is None:
        source = job.source
        known = new_id(lambda: job.created)
        tables.new(
            connection,
            tables.Recording(
                id=known,
                rate=source.sample_rate,
                channels=source.channels,
                frames=source.frames,
                duration=source.duration,
            ),
        )
    return tables.remember(connection, known, digests)


def _rekey(job: Job, recording: str) -> Job:
    key = dedupe_key(recording, job.operation, job.account)
    return msgspec.structs.replace(job, recording=recording, dedupe=forced_key(key) if is_forced(job.dedupe) else key)


def _adopt(connection: Connection, job: Job, recording: str, home: Path) -> Job:
    quote = _quote(job)
    key = purchase_key(job.operation.provider, job.account, recording, quote)
    state = _state(job)
    job = msgspec.structs.replace(
        job,
        recording=recording,
        quote=quote,
        dedupe=forced_key(key) if is_forced(job.dedupe) else key,
        purchase=job.id if state is not None else "",
        # What is paid for is found through the purchase now.
        resume=None if job.resume in _AT_SERVICE else job.resume,
    )
    if state is not None:
        ledger.put(
            connection,
            Purchase(
                id=job.id,
                key=key,
                state=state,
                provider=job.operation.provider,
                account=job.account,
                recording=recording,
                quote=quote,
                song=job.source.path,
                created=job.created,
                updated=job.updated,
                ticket=job.ticket,
                results=job.results,
                labels=job.labels,
                note=_note(job, home),
                sent=job.updated if job.ticket is not None else 0.0,
                ended=job.updated if state is PurchaseState.READY else 0.0,
            ),
        )
    return job


def _note(job: Job, home: Path) -> dict[str, str]:
    """Return what a job's provider noted; a ticket holds as much."""
    wish = job.operation
    if job.ticket is not None or not isinstance(wish, Separation):
        return {}
    staging = job.staging or choose_staging(home, job.id, wish.to or job.source.path.parent)
    try:
        return {_PLACE: (staging / "parts" / f"{_PLACE}.json").read_text("utf-8")}
    except (OSError, UnicodeError):
        return {}


def _state(job: Job) -> PurchaseState | None:
    """Return what a job's purchase is; None where nothing was bought."""
    if job.ticket is None:
        return _STATES.get(job.state)
    if job.state is JobState.RUNNING or not (job.results or job.labels):
        return PurchaseState.RUNNING
    return PurchaseState.READY


def _quote(job: Job) -> Quote:
    wish = job.operation
    if not isinstance(wish, Separation):
        return Quote(dimensions=tuple(sorted(wish.dimensions)) or (ALL,))
    # MVSEP's number of a format was an option like any other.
    output = _OUTPUTS.get(wish.options.get("output_format", ""), "") if wish.provider == "mvsep" else ""
    options = {name: value for name, value in wish.options.items() if not (output and name == "output_format")}
    return Quote(
        sent={"model": wish.model, **{f"option.{name}": value for name, value in options.items()}}, output=output
    )


# ``server`` tells which start of the server a process's session belongs to: of an earlier one it proves nothing.
# ``process`` is what the machine knows the process by.
_SESSIONS: Final = (
    "CREATE TABLE sessions (token TEXT NOT NULL PRIMARY KEY, server TEXT NOT NULL, process TEXT NOT NULL)"
)

SHARED: Final = Schema("job store", (";".join((_FIRST, _SECOND, _THIRD, _SESSIONS)),))
"""The same tables where machines share them."""

SCHEMA: Final = Schema(
    "job store",
    (_FIRST, _SECOND, _THIRD, adopt_jobs),
    setup="CREATE TEMP TABLE wanted (id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID",
)
