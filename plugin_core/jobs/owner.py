"""Who works on a job: a token for each open store, and what shows others whether its process lives.

On one machine that is a lock. Where machines share a store, it is a session of the database: a job is taken over when
its lease ran out, but one that is frozen may still send a paid call, whatever its lease. The kernel ends its session
with the process, and not before. Where the server itself was started anew, or came back from a crash, sessions prove
nothing any more; what is left is the word of the process's machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import os
import secrets
import socket
import sys
import threading
import uuid
import weakref
from pathlib import Path
from typing import Any, Final, Protocol

import psycopg

from plugin_core.errors import StoreError
from plugin_core.files.database import PassingError
from plugin_core.files.locks import try_lock
from plugin_core.files.postgresql import SERVER, PostgresDatabase
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
