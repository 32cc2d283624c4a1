"""The next job of a store that machines share: one statement takes it, behind the gate of each account.

What lives at a service takes a slot of its account, whichever machine works on it; what an engine on a machine works on
takes one of that machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from plugin_core.files.database import Connection
from plugin_core.jobs.owner import MACHINE, token_of

_GATE: Final = (
    "SELECT pg_advisory_xact_lock(lock) FROM (SELECT DISTINCT hashtextextended(account, 0) AS lock"
    " FROM unnest(?::text[]) AS slots (account) ORDER BY lock) AS locks"
)
"""Whoever asks for several accounts asks in one order, so that nobody waits for each other."""

_REAP: Final = """
UPDATE jobs SET owner = NULL, lease = NULL WHERE id IN (
    SELECT id FROM jobs WHERE owner IS NOT NULL AND lease <= :now AND split_part(owner, '-', 1) <> :token
    FOR UPDATE SKIP LOCKED)
"""

_CLAIM: Final = """
WITH held AS (
    SELECT account FROM jobs
    WHERE active = 1 AND account = ANY (:accounts) AND state IN ('submitting', 'running', 'fetching')
      AND (occupies = 1 OR left(owner, {machine}) = left(:token, {machine}))
    UNION ALL
    SELECT account FROM jobs
    WHERE owner IS NOT NULL AND active = 1 AND state = 'queued' AND cancel = 0 AND account = ANY (:accounts)
      AND (occupies = 1 OR left(owner, {machine}) = left(:token, {machine}))
), free AS (
    SELECT account FROM unnest(:accounts::text[], :slots::bigint[]) AS limits (account, slots)
    WHERE slots > (SELECT count(*) FROM held WHERE held.account = limits.account)
), cancelling AS (
    -- A job that waits in the queue needs no slot to be cancelled.
    SELECT 0 AS rank, j.due, j.id FROM jobs j
    WHERE j.active = 1 AND j.cancel = 1 AND j.state = 'queued' AND j.owner IS NULL AND {started}
      AND j.account <> ALL (:left::text[])
    LIMIT 1 FOR UPDATE OF j SKIP LOCKED
), started AS (
    -- One alive at its service holds its slot already; publishing and cancelling need none.
    SELECT 1 AS rank, j.due, j.id FROM jobs j
    WHERE j.active = 1 AND j.state IN ('submitting', 'running', 'fetching', 'publishing') AND j.due <= :now
      AND j.owner IS NULL AND {started} AND j.account <> ALL (:left::text[])
      AND (j.occupies = 1 OR j.state = 'publishing' OR j.cancel <> 0 OR j.account IN (SELECT account FROM free))
    ORDER BY j.due, j.id LIMIT 1 FOR UPDATE OF j SKIP LOCKED
), queued AS (
    SELECT 2 AS rank, oldest.due, oldest.id FROM free CROSS JOIN LATERAL (
        SELECT j.due, j.id FROM jobs j
        WHERE j.active = 1 AND j.account = free.account AND j.state = 'queued' AND j.due <= :now AND j.owner IS NULL
          -- One job at a time on each purchase: the next then goes on from what that has bought. The oldest begins,
          -- unless it was retried while a younger one was under way.
          AND NOT EXISTS (SELECT 1 FROM jobs t WHERE t.base = j.base AND t.active = 1 AND t.id <> j.id
                          AND (t.id < j.id OR t.state <> 'queued' OR t.owner IS NOT NULL))
          AND {queued}
        ORDER BY j.due, j.id LIMIT 1 FOR UPDATE OF j SKIP LOCKED
    ) AS oldest
    ORDER BY oldest.due, oldest.id LIMIT 1
), next AS (
    SELECT id FROM (SELECT * FROM cancelling UNION ALL SELECT * FROM started UNION ALL SELECT * FROM queued) AS every
    ORDER BY rank, due, id LIMIT 1
)
UPDATE jobs SET owner = :owner, lease = :now + :lease FROM next WHERE jobs.id = next.id RETURNING jobs.id
"""


def reap(connection: Connection, now: float, token: str) -> int:
    """Take jobs away from other processes whose lease ran out; return how many."""
    return connection.execute(_REAP, {"now": now, "token": token}).rowcount


def take(
    connection: Connection,
    owner: str,
    now: float,
    lease: float,
    slots: Mapping[str, int],
    started: str,
    queued: str,
    left: Sequence[str] = (),
) -> str | None:
    """Claim the job to work on next, in the order of a store of one machine; return its id.

    Args:
        connection: in a transaction.
        owner: who claims.
        now: the store's time.
        lease: seconds that the claim holds without a sign of life.
        slots: how many jobs of each account may be alive.
        started: the condition for jobs past ``queued``.
        queued: the condition for jobs in ``queued``.
        left: accounts whose jobs are left to others.
    """
    accounts = list(slots)
    connection.execute(_GATE, (accounts,))
    values = {
        "accounts": accounts,
        "slots": [slots[account] for account in accounts],
        "owner": owner,
        "token": token_of(owner),
        "now": now,
        "lease": lease,
        "left": list(left),
    }
    row = connection.execute(_CLAIM.format(started=started, queued=queued, machine=MACHINE), values).fetchone()
    return None if row is None else str(row["id"])
