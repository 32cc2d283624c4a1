"""Who works on a job of a store that machines share: a token for each open store, held by a session of its own.

Jobs are taken over when their lease ran out. Whether a sender of a paid call can still send it is another question: one
that is frozen may, whatever its lease. Its session tells: the kernel ends it with the process, and not before. Where
the server itself was started anew, or came back from a crash, sessions prove nothing any more; what is left is the word
of the process's machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import os
import secrets
import socket
import threading
import uuid
from pathlib import Path
from typing import Any, Final

import psycopg

from plugin_core.files.database import PassingError
from plugin_core.files.postgresql import SERVER, PostgresDatabase
from plugin_core.jobs.owner import MACHINE, token_of

_log = logging.getLogger(__name__)

_ENTER: Final = (
    f"INSERT INTO sessions (token, server, process) VALUES (%s, {SERVER}, %s)"  # noqa: S608 - constant
    " ON CONFLICT (token) DO UPDATE SET server = excluded.server"
)
_HELD: Final = (
    "EXISTS (SELECT 1 FROM pg_locks l WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND l.classid::bigint << 32 | l.objid::bigint = ('x' || s.token)::bit(64)::bigint)"
)
_IS_DEAD: Final = f"SELECT s.server = {SERVER} AND NOT {_HELD} FROM sessions s WHERE s.token = ?"  # noqa: S608 - constants
_FORGET: Final = (
    f"DELETE FROM sessions s WHERE NOT {_HELD} AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.submitter IS NOT NULL"  # noqa: S608
    " AND j.state IN ('submitting', 'unconfirmed') AND split_part(j.submitter, '-', 1) = s.token)"
)


def _machine() -> str:
    """Return what tells this machine from others."""
    return hashlib.sha256(f"{socket.gethostname()} {uuid.getnode()}".encode()).hexdigest()[:MACHINE]


def _name(pid: int) -> str:
    """Return what a process of this machine is known by for ever; "" where none is, or nobody can tell."""
    try:
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()} {pid} {started}"
    except OSError:
        return ""


def _is_over(process: str) -> bool:
    """Tell whether a process of this machine surely ended: there is none of its name.

    Containers of one machine may have its name, and see none of each other's processes.
    """
    then, now = process.split(), _name(os.getpid()).split()
    if not then or not now:
        return False
    return then[0] != now[0] or (then[1] == now[1] and _name(int(then[2])) != process)


class SessionToken:
    """A token that lives as long as its process and its word to the server.

    Args:
        database: the store's.
    """

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._session: psycopg.Connection[Any] | None = None
        self.token = f"{_machine()}{secrets.token_hex(4)}"

    def new_owner(self) -> str:
        self.hold()
        return f"{self.token}-{next(self._numbers)}"

    def is_own(self, owner: str) -> bool:
        return token_of(owner) == self.token

    def is_gone(self, owner: str) -> bool:  # noqa: ARG002 - leases alone tell
        return False

    def is_dead(self, owner: str) -> bool:
        if self.is_own(owner):
            return False
        with self._database.read() as connection:
            row = connection.execute(_IS_DEAD, (token_of(owner),)).fetchone()
        # Whoever closed its store, or was forgotten as dead, has no row.
        return row is None or bool(row[0])

    def hold(self) -> None:
        with self._lock:
            try:
                if self._session is not None:
                    self._session.execute("SELECT 1")
                    return
            except psycopg.Error as error:
                _log.info("the session at the store was lost: %s", error)
                self._session = None
            try:
                self._session = self._enter()
            except (psycopg.OperationalError, PassingError) as error:
                # Until there is one again, leases alone speak for this process.
                _log.info("no session at the store: %s", error)

    def close(self) -> None:
        with self._lock:
            if self._session is not None:
                with contextlib.suppress(psycopg.Error):
                    self._session.execute("DELETE FROM sessions WHERE token = %s", (self.token,))
                self._session.close()
                self._session = None

    def _enter(self) -> psycopg.Connection[Any]:
        session = self._database.another()
        try:
            # An older session of this process may still hold it, where the network ended that without a word.
            session.execute("SELECT pg_advisory_lock(('x' || %s::text)::bit(64)::bigint)", (self.token,))
            session.execute(_ENTER, (self.token, _name(os.getpid())))
            session.execute(_FORGET.encode())
            for token, process in session.execute("SELECT token, process FROM sessions").fetchall():
                if token.startswith(_machine()) and _is_over(process):
                    session.execute("DELETE FROM sessions WHERE token = %s", (token,))
        except BaseException:
            session.close()
            raise
        return session
