"""What every song at work needs: the stores, the queue, who is told, and whether the process ran all the time."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import msgspec

from plugin_core import JobSet
from plugin_core.errors import StoreError
from plugin_core.model import show_path
from plugin_core.session import Session
from stembridge_hot_folder.display import Counts, Reporter
from stembridge_hot_folder.folders import HotFolder, WatchSettings
from stembridge_hot_folder.ledger import LEDGER_NAME, Look, SongLedger
from stembridge_hot_folder.queue import SongQueue
from stembridge_hot_folder.recipes import Recipes

ROOM: Final = 2**20
"""Bytes that must be free before anything is recorded again, so that it does not end with the next row."""


class Stores:
    """What a watch records in.

    Args:
        home: stembridge's home folder.
        open_session: opens a session of it.

    Raises:
        StoreError: one of the two cannot be opened.
    """

    def __init__(self, home: Path, open_session: Callable[[], Session]) -> None:
        self.home = home
        self._open_session = open_session
        self.session, self.ledger = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self.close()

    def close(self) -> None:
        # What cannot be given back belongs to a process that is dead from now on, which gives it back as well.
        with contextlib.suppress(StoreError):
            self.session.close()
        self.ledger.close()

    def reopen(self) -> None:
        """Close both, and open them if they are there and can be written; nothing is made anew.

        Raises:
            StoreError: not yet.
        """
        self.close()
        self._require_room()
        self.session, self.ledger = self._open()
        self.session.store.check_writable()
        self.ledger.check_writable()

    def _open(self) -> tuple[Session, SongLedger]:
        session = self._open_session()
        try:
            # Else opened on first use, too late to be refused at the start.
            session.store.changes_token()
            return session, SongLedger(self.home / LEDGER_NAME)
        except BaseException:
            # What is told is why it cannot be opened.
            with contextlib.suppress(StoreError):
                session.close()
            raise

    def _require_room(self) -> None:
        probe = self.home / f".room-{os.getpid()}"
        try:
            for place in (self.session.store.place, self.home / LEDGER_NAME):
                # On a disk that is away, empty stores would buy everything again; a database's server tells by itself.
                if isinstance(place, Path):
                    place.stat()
            try:
                with probe.open("wb") as opened:
                    opened.write(bytes(ROOM))
                    os.fsync(opened.fileno())
            finally:
                probe.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{show_path(self.home)}: {error.strerror}") from error


TICK: Final = 0.25
GAP: Final = 0.75
"""Seconds without a tick after which the process did not run; a busy loop is late by less."""

_MOST_IN_A_ROW: Final = 5
"""Gaps without a calm between them; then the machine is only slow, and nothing would ever settle."""
_CALM: Final = 10.0


class SleepDetector:
    """Counts the times the process did not run.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = clock()
        self._last_gap = float("-inf")
        self._in_a_row = 0
        self._gaps = 0

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            self.count()
            await asyncio.sleep(TICK)

    def count(self) -> int:
        """Return how many gaps there were so far."""
        now = self._clock()
        if now - self._last >= GAP:
            self._in_a_row = self._in_a_row + 1 if self._last - self._last_gap < _CALM else 1
            self._last_gap = now
            self._gaps += self._in_a_row <= _MOST_IN_A_ROW
        self._last = now
        return self._gaps


class Tools(msgspec.Struct, frozen=True):
    """Shared by all songs of a watch."""

    stores: Stores
    recipes: dict[bytes, Recipes]
    """By hot folder."""
    settings: WatchSettings
    queue: SongQueue
    roster: JobSet
    reporter: Reporter
    clock: Callable[[], float]
    counts: Counts
    awake: SleepDetector
    is_there: Callable[[HotFolder], bool]
    """Looks whether a hot folder can be reached: nothing counts as deleted where it cannot."""
    suspects: dict[bytes, Look] = {}
    """Songs that were being read when an earlier process ended without a word."""
    paused: set[bytes] = set()
    """Hot folders in which nothing new is begun."""

    @property
    def session(self) -> Session:
        return self.stores.session

    @property
    def ledger(self) -> SongLedger:
        return self.stores.ledger
