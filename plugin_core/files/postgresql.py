"""A PostgreSQL database that machines share: its transactions, its clock, and what happens when it goes away."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections.abc import Collection, Iterator
from typing import Any, ClassVar, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

from plugin_core.errors import StoreError
from plugin_core.files.database import (
    AGAIN_AFTER,
    BUSY,
    Connection,
    Cursor,
    Database,
    PassingError,
    Schema,
    UndoneError,
    Waiter,
    refuse_newer,
)
from plugin_core.files.dialect import Statements, last_row, rows, translate, translate_table
from plugin_core.files.path_map import UNMAPPED, PathMap

PLACE: Final = "stembridge"
"""The schema, in PostgreSQL's sense, that holds the tables."""

_log = logging.getLogger(__name__)
logging.getLogger("psycopg").addHandler(logging.NullHandler())  # the error that follows says as much

_ALONE: Final = 0x57E3B51D
"""The advisory lock of those who must write alone."""
_MIGRATING: Final = _ALONE + 1

SERVER: Final = (
    "(SELECT concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()), extract(epoch FROM stats_reset))"
    " FROM pg_stat_archiver)"
)
"""What changes whenever the server has lost what it held in memory, also where it recovered by itself from a crash."""
_TIME: Final = "extract(epoch FROM clock_timestamp())::float8"
_SESSION: Final = (
    f"SET search_path TO {PLACE}; SET client_min_messages TO warning;"
    # Whoever is frozen in the middle of a transaction must not keep everybody waiting.
    " SET idle_in_transaction_session_timeout TO '10s';"
    f" SELECT current_setting('transaction_read_only'), {_TIME}, {SERVER}"
)
_TO_SERVER: Final[dict[str, Any]] = {
    "application_name": "stembridge",
    "client_encoding": "utf8",
    "connect_timeout": 10,
    # A server that vanished without a word is noticed in half a minute.
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
_OLDEST: Final = 130_000
_REPEATED: Final = (
    r"connection (is bad|failed): |connection to .* failed: (FATAL: )?"
    r"|(Is the server running|This probably means|DETAIL:|LINE 1:) .*"
)
"""What libpq says of every address that does not answer, which is shown already."""

_ADDRESS: Final = "[jobs] database"
_REMEDIES: Final = (
    (r"password|pg_hba|role .* (does not|is not)|peer auth", f"correct user and password in {_ADDRESS}"),
    (r"database .* does not exist", f"create it with createdb, or correct {_ADDRESS}"),
    (r"permission denied|relation .* does not", f"let its user own the schema {PLACE}, or GRANT CREATE ON DATABASE"),
    (r"resolve host", f"correct the host in {_ADDRESS}"),
    (r"read-only", f"name the primary server in {_ADDRESS}"),
    (r"No space left|disk full", "free some space on the server's disk"),
    (r"too many clients|connection slots", "let the server take more connections (max_connections)"),
)


class PostgresDatabase(Database):
    """A database on a PostgreSQL server, reached by one connection that is made anew when it is lost.

    Args:
        address: ``postgresql://user:password@host/name``, or whatever else PostgreSQL's own programs take.
        schema: what it holds.
        patience: seconds that a server that went away, or another process, is waited for.
        paths: by which names paths are stored.

    Raises:
        StoreError: it cannot be reached or used; from any method, when it cannot be used any more.
    """

    is_remote: ClassVar[bool] = True

    def __init__(
        self, address: str, schema: Schema, *, patience: float | None = None, paths: PathMap = UNMAPPED
    ) -> None:
        self.paths = paths
        self._address = address
        self._schema = schema
        self.patience = BUSY if patience is None else patience
        self._lock = threading.RLock()
        self._wanted: list[str] = []
        self._is_within = False
        self._locks = ""
        self._ahead = 0.0
        self._server = ""
        self._password, self.shown = _describe(address)
        self._statements = Statements(self._execute)
        with self._errors():
            self._connection = self._open()
            try:
                self._migrate()
            except BaseException:
                self._connection.close()
                raise

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        with self._lock, self._errors(), self.paths.in_use():
            yield self._statements

    @contextlib.contextmanager
    def write(self, *, durable: bool = True, alone: bool = True) -> Iterator[Connection]:
        with self._lock, self._errors(), self.paths.in_use():
            transaction = self._begin(durable, alone)
            try:
                yield self._statements
            except BaseException:
                self._roll_back()
                raise
            self._commit(transaction)

    def want(self, ids: Collection[str]) -> None:
        self._wanted = list(ids)

    def changes(self) -> str:
        with self.read() as connection:
            return str(connection.execute("SELECT pg_current_snapshot()").fetchone()[0])

    def now(self) -> float:
        """Return the server's time, which each transaction tells; until the next this computer's counts on from it."""
        return time.monotonic() + self._ahead

    def has_table(self, name: str) -> bool:
        # By its rows: by its name the server may still remember that there was none, though one was made meanwhile.
        found = "SELECT 1 FROM pg_tables WHERE schemaname = ? AND tablename = ?"
        with self.read() as connection:
            return connection.execute(found, (PLACE, name)).fetchone() is not None

    def check_writable(self) -> None:
        with self.write() as connection:
            connection.execute("UPDATE store SET version = version")

    def give_back(self) -> None:
        """Do nothing: PostgreSQL uses the space again by itself."""

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def another(self) -> psycopg.Connection[Any]:
        """Return a connection beside that of the statements, in no transaction."""
        with self._errors():
            return self._connect()

    def _open(self) -> psycopg.Connection[Any]:
        """Connect; a server that is about to answer is waited for, but not one that nobody may ever have started."""
        try:
            return self._connect()
        except psycopg.OperationalError as error:
            if not re.search(r"database system is (starting|shutting|in recovery|not )", str(error)):
                raise
            return self._wait_for_server()

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self._address, autocommit=True, row_factory=rows, **_TO_SERVER)
        try:
            if connection.info.server_version < _OLDEST:
                raise StoreError(
                    f"{self.shown} is PostgreSQL {connection.info.server_version // 10_000}",
                    remedy=f"upgrade the server to {_OLDEST // 10_000} or newer",
                )
            cursor = connection.execute(_SESSION.encode())
            is_read_only, now, self._server = last_row(cursor)
            self._ahead = now - time.monotonic()
            if is_read_only == "on":
                raise psycopg.errors.ReadOnlySqlTransaction("the database is read-only")
        except BaseException:
            connection.close()
            raise
        return connection

    def _reconnect(self) -> None:
        self._connection.close()
        self._connection = self._wait_for_server()

    def _wait_for_server(self) -> psycopg.Connection[Any]:
        """Connect as soon as the server lets us, and say once that it is waited for."""
        wait, pause = Waiter(), AGAIN_AFTER
        while True:
            try:
                connection = self._connect()
            except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction) as error:
                words = f"the {self._schema.name} {self.shown} is away; waiting for it: {self._line(error)}"
                if not wait.go_on(self.patience, words, pause=min(pause, 1.0), after=0.0):
                    raise self._error(PassingError, error) from error
                pause *= 1.5
            else:
                if wait.is_said:
                    _log.warning("the %s is back", self._schema.name)
                return connection

    def _execute(self, statement: str, parameters: Any, many: bool) -> Cursor:
        text = translate(statement)
        if self._is_within and statement.startswith("SELECT * FROM"):
            # What is read whole inside a transaction is read in order to be written.
            text += self._locks
        if "%(wanted)s" in text:
            parameters = {**(parameters or {}), "wanted": self._wanted}
        while True:
            try:
                cursor = self._connection.cursor()
                if many:
                    cursor.executemany(text.encode(), parameters)
                else:
                    cursor.execute(text.encode(), parameters)
            except psycopg.Error:
                if self._is_within or not self._is_lost():
                    raise
                # A statement by itself only reads: it can be asked again.
                self._reconnect()
            else:
                return cursor

    def _is_lost(self) -> bool:
        return self._connection.closed or self._connection.broken

    # One transaction

    def _begin(self, durable: bool, alone: bool) -> str:
        """Begin a transaction and return its name, by which its end can be asked for."""
        statement = "BEGIN; SET LOCAL lock_timeout TO '5s';"
        if not durable:
            statement += " SET LOCAL synchronous_commit TO off;"
        if alone:
            statement += f" SELECT pg_advisory_xact_lock({_ALONE});"
        statement += f" SELECT pg_current_xact_id()::text, {_TIME}"
        wait = Waiter()
        while True:
            try:
                name, now = last_row(self._connection.execute(statement.encode()))
            except psycopg.errors.LockNotAvailable:
                self._roll_back()
                if not wait.go_on(
                    self.patience, f"the {self._schema.name} is in use by another process; waiting for it"
                ):
                    raise
            except BaseException as error:
                if not (isinstance(error, psycopg.Error) and self._is_lost()):
                    self._roll_back()
                    raise
                self._reconnect()
            else:
                self._ahead = now - time.monotonic()
                self._is_within = True
                self._locks = " FOR UPDATE" if alone else " FOR UPDATE SKIP LOCKED"
                return str(name)

    def _roll_back(self) -> None:
        self._is_within = False
        with contextlib.suppress(psycopg.Error):
            self._connection.execute("ROLLBACK")

    def _commit(self, transaction: str) -> None:
        self._is_within = False
        try:
            self._connection.execute("COMMIT")
        except psycopg.Error:
            if not self._is_lost():
                self._roll_back()
                raise
            self._look_up(transaction, self._server)

    def _look_up(self, transaction: str, server: str) -> None:
        """Find out how a transaction ended whose answer was lost.

        One that a server did not live to tell of may have left its name to another: it counts as undone, and whoever
        begins it anew finds out whether it was kept.

        Raises:
            UndoneError: nothing of it was kept.
        """
        wait = Waiter()
        query = f"SELECT CASE WHEN {SERVER} = ? THEN pg_xact_status(?::xid8) ELSE 'aborted' END"
        while True:
            found = self._execute(query, (server, transaction), False).fetchone()[0]
            if found == "committed":
                return
            if found == "aborted":
                raise UndoneError(f"{self._schema.name} {self.shown} went away", remedy="try again")
            if not wait.go_on(self.patience, pause=AGAIN_AFTER):
                raise StoreError(
                    f"{self._schema.name} {self.shown} does not say whether it kept what was written",
                    remedy="see what keeps that server busy, then try again",
                )

    # What it holds

    def _migrate(self) -> None:
        known = len(self._schema.migrations)
        if self._version() == known:
            return
        with self._connection.transaction():
            self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATING,))
            # Another process may have migrated while this one waited.
            version = self._version()
            self._check(version, known)
            if not version:
                self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {PLACE}".encode())
                self._connection.execute("CREATE TABLE store (version BIGINT NOT NULL)")
                self._connection.execute("INSERT INTO store VALUES (0)")
            for migration in self._schema.migrations[version:]:
                if callable(migration):
                    migration(self._statements)
                    continue
                for statement in filter(str.strip, migration.split(";")):
                    self._connection.execute(translate_table(statement).encode())
            self._connection.execute("UPDATE store SET version = %s", (known,))

    def _version(self) -> int:
        if not self.has_table("store"):
            return 0
        with self.read() as read:  # of something else it has no such column, or no row
            return int(read.execute("SELECT max((to_jsonb(store) ->> 'version')::int) FROM store").fetchone()[0] or 0)

    def _check(self, version: int, known: int) -> None:
        refuse_newer(self.shown, version, known, "upgrade stembridge on this machine")
        tables = "SELECT 1 FROM pg_tables WHERE schemaname = %s LIMIT 1"
        if not version and self._connection.execute(tables, (PLACE,)).fetchone() is not None:
            raise StoreError(
                f"{self.shown} has a schema {PLACE} of something else", remedy="name another database in " + _ADDRESS
            )

    # What goes wrong

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            may_pass = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
            kind = PassingError if may_pass else StoreError
            raise self._error(UndoneError if _is_undone(error) else kind, error) from error

    def _line(self, error: BaseException) -> str:
        """Return what an error says, in one line that may be shown."""
        text = str(error).replace(self._password, "********") if self._password else str(error)
        return re.sub(_REPEATED, "", " ".join(text.split()))[:300].strip()

    def _error(self, kind: type[StoreError], error: psycopg.Error) -> StoreError:
        """Return an error as people read it."""
        text = self._line(error)
        usual = f"start PostgreSQL there, or correct {_ADDRESS}" if kind is not StoreError else "see PostgreSQL's log"
        remedy = next((each for words, each in _REMEDIES if re.search(words, text)), usual)
        return kind(f"{self._schema.name} {self.shown}: {text}", remedy=remedy)


_UNDONE: Final = frozenset({"57P01", "57P02", "57P03", "55P03", "25P03", "40001", "40P01"})


def _is_undone(error: psycopg.Error) -> bool:
    """Tell whether a transaction ended because its server went away, or for the sake of another one."""
    is_cut = isinstance(error, psycopg.OperationalError) and not error.sqlstate
    return is_cut or error.sqlstate in _UNDONE or (error.sqlstate or "").startswith("08")


def _describe(address: str) -> tuple[str, str]:
    """Return password and name of an address; the name is fit to be shown.

    Raises:
        StoreError: it is none.
    """
    try:
        parts = conninfo_to_dict(address)
    except psycopg.Error:
        # What psycopg says of it repeats the address.
        raise StoreError(
            f"{_ADDRESS} is no address of a PostgreSQL database",
            remedy="write it as postgresql://user:password@host:5432/name",
        ) from None
    port = str(parts.get("port") or "")
    if port and not port.replace(",", "").isdecimal():
        raise StoreError(f"{_ADDRESS} names port {port!r}, which is no number", remedy="PostgreSQL's own is 5432")
    host = str(parts.get("host") or "localhost") + (f":{port}" if port else "")
    return str(parts.get("password") or ""), f"postgresql://{host}/{parts.get('dbname') or ''}"
