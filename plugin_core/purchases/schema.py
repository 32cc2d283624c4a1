"""The table of purchases, which lies in the job store's file: a job and what it buys change in one transaction."""

from __future__ import annotations

from typing import Final

# ``kept_bytes`` is what lies in the purchase's folder, 0 when nothing does. ``purchases_spent`` has all that limits add
# up, so that no row is looked at.
TABLE: Final = """
CREATE TABLE purchases (
    id TEXT NOT NULL PRIMARY KEY,
    key TEXT NOT NULL,
    state TEXT NOT NULL,
    provider TEXT NOT NULL,
    account TEXT NOT NULL,
    recording TEXT NOT NULL,
    remote TEXT,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    credits REAL,
    kept_bytes INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL
);
CREATE INDEX purchases_by_key ON purchases (key, created);
CREATE INDEX purchases_by_recording ON purchases (recording, created);
CREATE INDEX purchases_by_remote ON purchases (remote) WHERE remote IS NOT NULL;
CREATE INDEX purchases_by_time ON purchases (created, id);
CREATE INDEX purchases_spent ON purchases (provider, created, state, credits, id);
CREATE INDEX purchases_kept ON purchases (updated) WHERE kept_bytes > 0
"""
