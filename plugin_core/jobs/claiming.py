"""Choosing the next job to work on, inside the transaction that claims it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

_STARTED: Final = "('submitting', 'running', 'fetching', 'publishing')"
_HELD: Final = "('submitting', 'running', 'fetching')"

_TWIN: Final = """
EXISTS (SELECT 1 FROM jobs o INDEXED BY jobs_by_base
        WHERE o.base = j.base AND o.state = 'queued' AND o.id <> j.id
          AND o.id IN (SELECT id FROM temp.wanted))
"""
_HOLDER: Final = """
(j.occupies = 1 AND EXISTS (SELECT 1 FROM jobs o
        WHERE o.active = 1 AND o.account = j.account AND o.occupies = 1 AND o.id IN (SELECT id FROM temp.wanted)))
"""
_OWN: Final = "j.id IN (SELECT id FROM temp.wanted)"


class Scope(Enum):
    """Which jobs may be claimed; ``temp.wanted`` holds the ids of one's own."""

    ALL = ("1", "1")
    HELPFUL = (f"({_OWN} OR {_HOLDER} OR {_TWIN})", f"({_OWN} OR {_TWIN})")
    """One's own, and those that they wait for: slot holders of their accounts, and twins."""
    OWN = (_OWN, _OWN)

    @property
    def started(self) -> str:
        """The condition for jobs past ``queued``."""
        return self.value[0]

    @property
    def queued(self) -> str:
        """The condition for jobs in ``queued``."""
        return self.value[1]


def reap(
    connection: sqlite3.Connection, now: float, is_own: Callable[[str], bool], is_dead: Callable[[str], bool]
) -> int:
    """Take jobs away from owners whose process is dead or whose lease ran out; return how many.

    An owner of this very process is alive however late its heartbeat is: the machine was asleep.
    """
    rows = connection.execute(
        "SELECT id, owner, lease FROM jobs INDEXED BY jobs_owned WHERE owner IS NOT NULL"
    ).fetchall()
    foreign = [row for row in rows if not is_own(row["owner"])]
    lost = [row for row in foreign if row["lease"] <= now or is_dead(row["owner"])]
    for row in lost:
        connection.execute(
            "UPDATE jobs SET owner = NULL, lease = NULL WHERE id = ? AND owner = ?", (row["id"], row["owner"])
        )
    return len(lost)


def choose(connection: sqlite3.Connection, now: float, slots: Mapping[str, int], scope: Scope) -> str | None:
    """Return the id of the job to work on next: what is begun goes before what waits, the older before the younger."""
    cancelling = _choose_cancelling(connection, scope)
    return cancelling or _choose_started(connection, now, slots, scope) or _choose_queued(connection, now, slots, scope)


def _choose_cancelling(connection: sqlite3.Connection, scope: Scope) -> str | None:
    """A job that waits in the queue needs no slot to be cancelled."""
    row = connection.execute(
        "SELECT j.id FROM jobs j INDEXED BY jobs_cancelling"  # noqa: S608 - constants
        f" WHERE j.active = 1 AND j.cancel = 1 AND j.state = 'queued' AND j.owner IS NULL AND {scope.started} LIMIT 1"
    ).fetchone()
    return None if row is None else str(row["id"])


def _choose_started(connection: sqlite3.Connection, now: float, slots: Mapping[str, int], scope: Scope) -> str | None:
    query = (
        "SELECT j.id, j.account, j.state, j.occupies, j.cancel FROM jobs j INDEXED BY jobs_started"  # noqa: S608 - constants
        f" WHERE j.active = 1 AND j.state IN {_STARTED} AND j.due <= ? AND j.owner IS NULL AND {scope.started}"
        " ORDER BY j.due, j.id"
    )
    full: set[str] = set()
    for row in connection.execute(query, (now,)).fetchall():
        account = row["account"]
        # A job alive at its service holds its slot already; publishing and cancelling need none.
        if row["occupies"] or row["state"] == "publishing" or row["cancel"]:
            return str(row["id"])
        if account not in full and count_held(connection, account) < slots.get(account, 0):
            return str(row["id"])
        full.add(account)
    return None


def _choose_queued(connection: sqlite3.Connection, now: float, slots: Mapping[str, int], scope: Scope) -> str | None:
    query = (
        "SELECT j.id, j.due FROM jobs j INDEXED BY jobs_active"  # noqa: S608 - constants
        " WHERE j.active = 1 AND j.account = ? AND j.state = 'queued' AND j.due <= ? AND j.owner IS NULL"
        # One job at a time on each purchase: the next then goes on from what that has bought. The oldest begins, unless
        # it was retried while a younger one was under way.
        " AND NOT EXISTS (SELECT 1 FROM jobs t INDEXED BY jobs_by_base"
        "   WHERE t.base = j.base AND t.active = 1 AND t.id <> j.id"
        "   AND (t.id < j.id OR t.state <> 'queued' OR t.owner IS NOT NULL))"
        f" AND {scope.queued} ORDER BY j.due, j.id LIMIT 1"
    )
    found = []
    for account, limit in slots.items():
        if count_held(connection, account) < limit:
            row = connection.execute(query, (account, now)).fetchone()
            if row is not None:
                found.append((row["due"], row["id"]))
    return str(min(found)[1]) if found else None


def count_held(connection: sqlite3.Connection, account: str) -> int:
    """Count the slots taken: jobs alive at the service, and jobs that a process works on at this moment."""
    begun = connection.execute(
        "SELECT count(*) FROM jobs INDEXED BY jobs_active"  # noqa: S608 - constants
        f" WHERE active = 1 AND account = ? AND state IN {_HELD} AND (occupies = 1 OR owner IS NOT NULL)",
        (account,),
    ).fetchone()[0]
    claimed = connection.execute(
        "SELECT count(*) FROM jobs INDEXED BY jobs_owned"
        " WHERE owner IS NOT NULL AND active = 1 AND state = 'queued' AND cancel = 0 AND account = ?",
        (account,),
    ).fetchone()[0]
    return int(begun) + int(claimed)
