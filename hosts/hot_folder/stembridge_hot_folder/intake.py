"""One hot folder being watched: looked through at start, whenever the system tells of changes, and every so often."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

from plugin_core.errors import UsageError
from stembridge_hot_folder.folders import HotFolder
from stembridge_hot_folder.identity import Identity
from stembridge_hot_folder.locking import LOCK_NAME, FolderLock
from stembridge_hot_folder.recipes import CONFIG_NAME
from stembridge_hot_folder.scan import Gone, Passed, Rules, Sight, Song, Unreadable, look, scan
from stembridge_hot_folder.settler import Settler
from stembridge_hot_folder.shop import Shop, reopen
from stembridge_hot_folder.structure import is_whole
from stembridge_hot_folder.waking import Waker

_BATCH: Final = 500
_MOST_SETTLING: Final = 20_000
"""Files watched at once until they are complete, and queued; the rest has its turn when there is room."""
_MOST_TOLD: Final = 10_000
_RETRY_ROOT: Final = 5.0
_BREATH: Final = 0.01
"""Seconds between two looks, so that a storm of events is one look."""


class Intake:
    """A folder whose songs go to the shop once they are complete.

    Args:
        folder: what to watch.
        shop: takes complete songs.
        listens: whether the system is asked to tell of changes.
    """

    def __init__(self, folder: HotFolder, shop: Shop, *, listens: bool = True) -> None:
        self.folder = folder
        self._shop = shop
        self._tools = shop.tools
        self._clock = shop.tools.clock
        self._listens = listens
        self._lock = FolderLock(folder.path, is_share=folder.is_share)
        self.settler = Settler(folder.patience, is_whole, self._tools.reporter.warn)
        self.has_scanned = False
        self._rules: Rules = folder.rules()
        self._waker: Waker | None = None
        self._wake = asyncio.Event()
        self._next_scan = 0.0
        self._root: tuple[int, int] | None = None
        self._is_away = False
        self._has_more = False
        self._told: dict[bytes, str] = {}
        self._deaf = ""

    @property
    def is_settled(self) -> bool:
        """Whether nothing is on its way that can be waited for: ``--once`` ends."""
        pending = [path for path in self.settler if not self.settler.is_given_time(path, self._clock())]
        return self.has_scanned and not pending and not self._has_more

    def open(self) -> None:
        """Take the folder and what an earlier run had begun.

        Raises:
            UsageError: another stembridge has it.
        """
        if not self._lock.acquire():
            self._tools.reporter.warn(self.folder.path, "cannot be written, so that nothing shows that it is watched")
        self._root = self._read_root()
        self._listen()
        reopen(self._tools, self.folder)

    def close(self) -> None:
        """Give the folder back."""
        if self._waker is not None:
            self._waker.stop()
        self._lock.release()

    def nudge(self) -> None:
        """Look at the ledger and the queue again: another process wrote, or there is room."""
        if self._has_more and len(self.settler) + len(self._tools.queue) < _MOST_SETTLING // 2:
            self._next_scan = 0.0
            self._wake.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            self._wake.clear()
            await self._step()
            await self._wait()

    async def _step(self) -> None:
        if not self._is_root_there():
            self._next_scan = self._clock() + min(self.folder.rescan, _RETRY_ROOT)
            return
        self._lock.beat()
        paths, is_lost = self._waker.take() if self._waker is not None else ([], False)
        if is_lost or self._clock() >= self._next_scan:
            await self._scan()
        elif paths:
            await self._look(paths)
        due = self.settler.due(self._clock())
        for start in range(0, len(due), _BATCH):
            await self._look(due[start : start + _BATCH])
        # Only now, so that of many files found complete together the oldest is taken first.
        self._shop.fill()

    async def _wait(self) -> None:
        dues = [self._next_scan]
        if not self._is_away and (due := self.settler.next_due()) is not None:
            dues.append(due)
        seconds = min(dues) - self._clock()
        if seconds > 0:
            try:
                # Not wait_for: before Python 3.12 it can lose a cancellation that comes with the event.
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            except TimeoutError:
                return
        await asyncio.sleep(_BREATH)

    async def _scan(self) -> None:
        """Look through everything, in parts, so that neither memory nor the loop is filled by a large folder."""
        self._next_scan = self._clock() + self.folder.rescan
        self._has_more = False
        self._tools.recipes[self.folder.path].refresh()
        self._rules = self.folder.rules()
        if self._waker is not None and not self._waker.is_alive:
            self._listen()
        try:
            sights = iter(scan(self.folder.path, self._rules))
            while batch := await asyncio.to_thread(_take, sights):
                self._handle(batch)
        except OSError as error:
            self._lose_root(error.strerror or str(error))
            return
        self.has_scanned = True
        await self._look(self._shop.paths_of(self.folder))

    async def _look(self, paths: Iterable[bytes]) -> None:
        config = os.path.join(self.folder.path, os.fsencode(CONFIG_NAME))
        wanted = list(paths)
        if config in wanted and self._tools.recipes[self.folder.path].refresh():
            self._tools.reporter.say(f"{self.folder.shown}: {CONFIG_NAME} was edited and is read anew")
        sights = iter(look(wanted, self._rules, self.folder.path))
        while batch := await asyncio.to_thread(_take, sights):
            self._handle(batch)

    def _handle(self, sights: Iterable[Sight]) -> None:
        # One moment for all that were seen together, so that they are complete together.
        now = self._clock()
        for sight in sights:
            match sight:
                case Song(path, identity):
                    self._see(path, identity, now)
                case Gone(path):
                    if self._is_root_there():
                        self.settler.forget(path)
                        self._shop.miss(path)
                case Passed(path, reason):
                    if not self.folder.names.why_no_song(os.path.basename(path)):  # noqa: PTH119 - bytes
                        self._tell_once(path, reason)
                case Unreadable(path, error):
                    self._tell_once(path, f"cannot be looked at: {error.strerror}; tried again")

    def _see(self, path: bytes, identity: Identity, now: float) -> None:
        if self._shop.see(path, identity):
            return
        row = self._tools.ledger.get(path)
        if row is not None and row.identity == identity:
            if not row.state.is_open:
                self.settler.forget(path)
                return
            if row.jobs:
                # It was complete when its jobs were made.
                self.settler.forget(path)
                self._shop.offer(self.folder, path, identity)
                return
        if path not in self.settler:
            if len(self.settler) + len(self._tools.queue) >= _MOST_SETTLING:
                self._has_more = True
                return
            if self._tools.ledger.is_output(path):
                return
            self._tools.reporter.tell("settling", path)
        if self.settler.observe(path, identity, now):
            self._shop.offer(self.folder, path, identity)

    def _tell_once(self, path: bytes, reason: str) -> None:
        if self._told.get(path) == reason:
            return
        if len(self._told) >= _MOST_TOLD:
            self._told.clear()
        self._told[path] = reason
        self._tools.reporter.tell("passed", path, reason)

    # The folder itself

    def _is_root_there(self) -> bool:
        """Tell whether the folder is there; one that was replaced is watched anew, another disk is waited out."""
        try:
            now = self._read_root(strict=True)
        except OSError as error:
            self._lose_root(error.strerror or str(error))
            return False
        if now != self._root and self._root is not None:
            if now is not None and now[0] != self._root[0] and not self._has_mark():
                self._lose_root("another disk, or none, is mounted there")
                return False
            self._find_root_again(now)
        elif self._is_away:
            self._find_root_again(now)
        return True

    def _lose_root(self, why: str) -> None:
        if not self._is_away:
            self._is_away = True
            self._tools.reporter.warn(self.folder.path, f"cannot be reached ({why}); it is waited for")
        self._next_scan = self._clock() + min(self.folder.rescan, _RETRY_ROOT)

    def _find_root_again(self, now: tuple[int, int] | None) -> None:
        self._is_away = False
        self._root = now
        self._next_scan = 0.0
        self._lock.release()
        try:
            self._lock.acquire()
        except UsageError as error:
            self._lose_root(str(error))
            return
        self._listen()
        self._tools.reporter.say(f"{self.folder.shown}: there again, watching it anew")

    def _has_mark(self) -> bool:
        return os.path.lexists(os.path.join(self.folder.path, LOCK_NAME))

    def _read_root(self, *, strict: bool = False) -> tuple[int, int] | None:
        try:
            status = os.stat(self.folder.path)  # noqa: PTH116 - bytes
        except OSError:
            if strict:
                raise
            return None
        return status.st_dev, status.st_ino

    def _listen(self) -> None:
        if not self._listens:
            return
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._wake.set)

        if self._waker is None:
            self._waker = Waker(self.folder.path, wake, self._is_noise)
        why = self._waker.start()
        if why and why != self._deaf:
            self._tools.reporter.warn(
                self.folder.path,
                f"the system cannot tell of changes ({why}); looked through every {self._deaf_every():g} s",
            )
        self._deaf = why
        if why:
            self.folder = _with_rescan(self.folder, self._deaf_every())

    def _deaf_every(self) -> float:
        return min(self.folder.rescan, self._tools.settings.share_rescan_seconds)

    def _is_noise(self, path: bytes) -> bool:
        """Tell what lies in our own results, or is hidden: most events while we work are our own."""
        below = path[len(self.folder.path) :]
        return (
            b".stems" + os.fsencode(os.sep) in below or below.endswith(b".stems") or os.fsencode(os.sep) + b"." in below
        )


def _take(sights: Iterator[Sight]) -> list[Sight]:
    return list(islice(sights, _BATCH))


def _with_rescan(folder: HotFolder, seconds: float) -> HotFolder:
    return msgspec.structs.replace(folder, rescan=seconds)
