"""Who works on a job: a token for each open store, and a lock that shows others whether its process lives.

In a store that machines share, one statement takes the next job, behind the gate of each account. What lives at a
service takes a slot of its account, whichever machine works on it; what an engine on a machine works on takes one of
that machine.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import secrets
import sys
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from plugin_core.errors import StoreError
from plugin_core.files.database import Connection
from plugin_core.files.disk import try_lock
from plugin_core.model import show_path

_log = logging.getLogger(__name__)

MACHINE: Final = 8
"""Characters of a token that tell the machine, where machines share a store."""

_SUFFIX: Final = ".lock"


class Token(Protocol):
    """Who claims jobs through one open store."""

    @property
    def token(self) -> str: ...

    def new_owner(self) -> str:
        """Return a name for one claim, unique for ever; fit for a file name."""
        ...

    def is_own(self, owner: str) -> bool:
        """Tell whether this token made the name."""
        ...

    def is_gone(self, owner: str) -> bool:
        """Tell whether this owner may be taken its job away before its lease ran out."""
        ...

    def is_dead(self, owner: str) -> bool:
        """Tell whether the process of this owner surely ended."""
        ...

    def hold(self) -> None:
        """Make sure that others can tell that this process lives."""
        ...

    def close(self) -> None:
        """Give the token up: its owners count as dead from now on."""
        ...


class ProcessToken:
    """A token that lives as long as its process; the locked file ``<folder>/<token>.lock`` proves it.

    A frozen process keeps its lock; a killed one loses it at once, also when seen from another pid namespace.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self._remove_dead()
        self.token, self._file = self._make()
        _living.add(self)

    def new_owner(self) -> str:
        return f"{self.token}-{next(self._numbers)}"

    def is_own(self, owner: str) -> bool:
        return token_of(owner) == self.token

    def is_gone(self, owner: str) -> bool:
        return self.is_dead(owner)

    def is_dead(self, owner: str) -> bool:
        return not self.is_own(owner) and is_dead(self._folder / f"{token_of(owner)}{_SUFFIX}")

    def hold(self) -> None:
        """Do nothing: the lock stays for as long as the process."""

    def close(self) -> None:
        _living.discard(self)
        if self._file >= 0:
            _remove(self._folder / f"{self.token}{_SUFFIX}", self._file)
            self._file = -1

    def forget(self) -> None:
        """Let go of a lock inherited by fork: only the parent may hold it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _make(self) -> tuple[str, int]:
        while True:
            token = secrets.token_hex(8)
            path = self._folder / f"{token}{_SUFFIX}"
            try:
                file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            except OSError as error:
                raise StoreError(
                    f"{show_path(path)}: {error.strerror}", remedy="make the folder writable or move STEMBRIDGE_HOME"
                ) from error
            # A process that tidies up may take the new file for a dead one before it is locked.
            if try_lock(file) and _is_same(path, file):
                return token, file
            os.close(file)

    def _remove_dead(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._folder.glob(f"*{_SUFFIX}"):
            is_dead(path)


_living: weakref.WeakSet[ProcessToken] = weakref.WeakSet()


def _forget_all() -> None:
    for token in list(_living):
        token.forget()
    _living.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def token_of(owner: str) -> str:
    """Return the process token inside an owner's name."""
    return owner.partition("-")[0]


def is_dead(path: Path) -> bool:
    """Tell whether nobody holds a lock file any more; a dead one is removed."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    except OSError as error:
        _log.warning("cannot look at %s: %s", show_path(path), error)
        return False
    if not try_lock(file):
        os.close(file)
        return False
    _remove(path, file)
    return True


def _remove(path: Path, file: int) -> None:
    """Unlink and close: in this order where possible, so that nobody locks a file that is about to go."""
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            os.close(file)
            path.unlink()
        else:
            try:
                path.unlink()
            finally:
                os.close(file)


def _is_same(path: Path, file: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(file).st_ino
    except FileNotFoundError:
        return False


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


def reap_shared(connection: Connection, now: float, token: str) -> int:
    """Take jobs away from other processes whose lease ran out; return how many."""
    return connection.execute(_REAP, {"now": now, "token": token}).rowcount


def take_shared(
    connection: Connection,
    owner: str,
    now: float,
    lease: float,
    slots: Mapping[str, int],
    started: str,
    queued: str,
    left: Sequence[str],
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
