"""What holds rows that processes share: its transactions, how it is told of, and its rows' ids."""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial, wraps
from typing import Any, ClassVar, Concatenate, Final, NamedTuple, ParamSpec, Protocol, TypeVar

from plugin_core.errors import StoreError
from plugin_core.files.path_map import PathMap

T = TypeVar("T")
P = ParamSpec("P")

BUSY: Final = 30.0
"""Seconds that what another process holds, or a server that went away, is waited for, unless it is said otherwise."""
AGAIN_AFTER: Final = 0.1
"""Seconds until something is tried again."""

_SAID_AFTER: Final = 4.5
"""Seconds of waiting that are worth a word."""
_HELD_FOR: Final = 0.005
"""Seconds that much work holds the rows at once, about.

On a busy machine it is suspended meanwhile, the longer it takes the more often: of four times as much others waited
twice as long, and it was through no sooner.
"""
_FEWEST: Final = 16
"""Rows that much work begins with."""


_log = logging.getLogger(__name__)

NO_LIMIT: Final = 2**62
"""For a ``LIMIT`` that is none."""


class Cursor(Protocol):
    """Rows that a statement gave; each is read by the names of its columns or by their numbers."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """Takes statements as SQLite writes them: values are ``?`` or ``:name``."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Cursor: ...

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor: ...


Migration = str | Callable[[Any], None]
"""A script, or what cannot be said in one."""


class Schema(NamedTuple):
    """What a database holds, and how people are told of it."""

    name: str
    """What it is, such as "job store"."""
    migrations: tuple[Migration, ...]
    """The ``n``-th turns version ``n`` into ``n + 1``; released ones are never changed."""
    setup: str = ""
    """A statement for each connection."""
    if_damaged: str = "move the file away and start again"
    """What to do with a file that is none any more."""


class Waiter:
    """Waiting for what others hold, or for a server that is away."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.is_said = False

    def go_on(self, patience: float, words: str = "", *, pause: float = 0.0, after: float | None = None) -> bool:
        """Wait on and tell so, or that it took too long.

        Args:
            patience: seconds that may pass in all; it may be another one each time.
            words: what is said once of it.
            pause: seconds until whoever waits looks again.
            after: seconds of waiting that are worth a word; default some.
        """
        waited = time.monotonic() - self._began
        if waited >= patience:
            return False
        if words and not self.is_said and waited >= (_SAID_AFTER if after is None else after):
            self.is_said = True
            _log.warning("%s", words)
        time.sleep(pause)
        return True


class PassingError(StoreError):
    """A store that may be usable again without anybody mending it: full, read-only, lost or locked."""


class UndoneError(PassingError):
    """A transaction that a server gave up, nothing of which was kept: whoever began it may begin it anew."""


def may_pass(error: StoreError) -> bool:
    """Tell whether a store may be usable again without anybody mending it: a full, read-only, lost or locked one."""
    return isinstance(error, PassingError) or isinstance(error.__cause__, OSError)


def refuse_newer(shown: str, version: int, known: int, remedy: str) -> None:
    """Refuse what a later version of stembridge has written.

    Raises:
        StoreError: it has.
    """
    if version > known:
        told = f"was written by a newer stembridge (store version {version}, known here: {known})"
        raise StoreError(f"{shown} {told}", remedy=remedy)


class Database(ABC):
    """Rows that processes share; usable from several threads, one at a time.

    Attributes:
        is_remote: whether it lies behind a network, so that an event loop must not wait for it.
        patience: seconds that a server that went away is waited for.
        shown: where it is, fit to be shown.
        paths: by which names paths are stored; in use inside every transaction.
    """

    is_remote: ClassVar[bool] = False
    patience: float = BUSY
    paths: PathMap
    shown: str

    @abstractmethod
    def read(self) -> AbstractContextManager[Connection]:
        """Give the connection for statements that only read."""

    @abstractmethod
    def write(self, *, durable: bool = True, alone: bool = True) -> AbstractContextManager[Connection]:
        """Give the connection inside a transaction.

        Args:
            durable: whether the commit must survive a power cut; without, it survives only the process.
            alone: whether nobody else writes meanwhile; without it others may where the database can do that, and each
                statement must say all that it relies on.
        """

    @abstractmethod
    def want(self, ids: Collection[str]) -> None:
        """Let statements find these ids in the table ``temp.wanted``."""

    @abstractmethod
    def changes(self) -> int | str:
        """Return a value that differs once another process changed anything; cheap."""

    @abstractmethod
    def now(self) -> float:
        """Return the time that all who share the rows go by, in seconds since the epoch."""

    @abstractmethod
    def has_table(self, name: str) -> bool: ...

    @abstractmethod
    def check_writable(self) -> None:
        """Write what is there already, so that a full or read-only disk is found out."""

    @abstractmethod
    def give_back(self) -> None:
        """Give the space that deleted rows left back to the disk."""

    @abstractmethod
    def close(self) -> None: ...

    def begin_anew(self, work: Callable[[], T]) -> T:
        """Do work in transactions, and begin it anew where a server gave one of them up."""
        wait = Waiter()
        while True:
            began = time.monotonic()
            try:
                return work()
            except UndoneError:
                if time.monotonic() - began > self.patience:
                    # Long work that came far: its server went away once more, and not for ever.
                    wait = Waiter()
                if not wait.go_on(self.patience, pause=AGAIN_AFTER):
                    raise

    def work_off(self, change: Callable[[Connection, int], int]) -> int:
        """Change many rows, as many in a transaction as take the blink of an eye, and let others in between.

        A power cut may undo some of it.

        Args:
            change: changes at most so many, and returns how many; called until there are none.

        Returns:
            How many were changed in all.
        """
        total, size, some = 0, _FEWEST, 1
        while some:
            some, took = self.begin_anew(partial(self._work_some, change, size))
            total += some
            # At most twice as many as before: the next ones may be heavier.
            size = max(1, min(2 * size, round(size * _HELD_FOR / max(took, 1e-6))))
            # Whoever waits for the lock asks for it again and again: a gap as long as the batch is found.
            time.sleep(min(took, _HELD_FOR) if some else 0.0)
        return total

    def _work_some(self, change: Callable[[Connection, int], int], size: int) -> tuple[int, float]:
        """Change some rows; return how many were changed, and in how many seconds."""
        with self.write(durable=False) as connection:
            began = time.monotonic()
            some = change(connection, size)
        return some, time.monotonic() - began


class _Holder(Protocol):
    _database: Database


Some = TypeVar("Some", bound=_Holder)


def begun_anew(method: Callable[Concatenate[Some, P], T]) -> Callable[Concatenate[Some, P], T]:
    """Begin a call that writes anew where a server gave its transaction up: its caller hears of no restart."""

    @wraps(method)
    def call(self: Some, /, *arguments: P.args, **options: P.kwargs) -> T:
        return self._database.begin_anew(partial(method, self, *arguments, **options))

    return call


_COUNTER_BITS = 12
_RANDOM_BITS = 62


class _Sequence:
    """The last millisecond and counter handed out: ids of one process grow even within a millisecond."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self, milliseconds: int) -> int:
        """Return time and counter as one number, above every number before."""
        with self._lock:
            self._last = max(self._last + 1, milliseconds << _COUNTER_BITS)
            return self._last


_sequence = _Sequence()


def new_id(clock: Callable[[], float]) -> str:
    """Return a new UUIDv7 (RFC 9562) as text; later calls in one process sort later."""
    milliseconds, counter = divmod(_sequence.next(int(clock() * 1000)), 1 << _COUNTER_BITS)
    chance = int.from_bytes(os.urandom(8)) >> (64 - _RANDOM_BITS)
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | counter << 64 | 2 << 62 | chance))
