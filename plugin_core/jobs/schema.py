"""The tables of the job store."""

from __future__ import annotations

from typing import Final

from plugin_core.files.database import Schema
from plugin_core.jobs.adoption import adopt_jobs
from plugin_core.purchases.ledger import TABLE as PURCHASES
from plugin_core.recordings.tables import RECORDINGS

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

SCHEMA: Final = Schema(
    "job store",
    (_FIRST, _SECOND, _THIRD, adopt_jobs),
    setup="CREATE TEMP TABLE wanted (id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID",
)
