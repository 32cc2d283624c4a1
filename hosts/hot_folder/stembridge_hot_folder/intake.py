"""One hot folder being watched: looked through at start, whenever the system tells of changes, and every so often."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

from plugin_core import STEMS_SUFFIX
from plugin_core.files.disk import mounts_below
from stembridge_hot_folder.files import FileIdentity, shown
from stembridge_hot_folder.folders import HotFolder, is_slow
from stembridge_hot_folder.ledger import InLine
from stembridge_hot_folder.queue import WaitingSong
from stembridge_hot_folder.recipes import CONFIG_NAME
from stembridge_hot_folder.root import ChangeListener, Presence, Root
from stembridge_hot_folder.scan import (
    SESSION,
    Gone,
    Passed,
    ScanRules,
    SeenSong,
    Sight,
    Unreadable,
    is_below,
    look,
    scan,
)
from stembridge_hot_folder.settler import MOST, Settler, is_whole
from stembridge_hot_folder.workers import Workers

_STEMS: Final = os.fsencode(STEMS_SUFFIX)
_BATCH: Final = 500
_STORM: Final = 1000
"""Paths told of since everything was looked through, after which that is done again."""
_AFTER_STORM: Final = 0.5
_MOST_TOLD: Final = 10_000
_RETRY_ROOT: Final = 5.0
_BREATH: Final = 0.05
"""Seconds between two looks, so that a storm of events, or a recording that is being written, is one look."""


class FolderIntake:
    """A folder whose songs go to the workers once they are complete.

    Args:
        folder: what to watch.
        workers: take complete songs.
    """

    def __init__(self, folder: HotFolder, workers: Workers) -> None:
        self.folder = folder
        self._workers = workers
        self._tools = workers.tools
        self._clock = workers.tools.clock
        self._root = Root(folder, self._tools.reporter)
        self._gaps = self._tools.awake.count()
        self.settler = Settler(folder.patience, is_whole, self._tools.reporter.warn)
        self.has_scanned = False
        self._rules: ScanRules = folder.rules()
        self._waker: ChangeListener | None = None
        self._wake = asyncio.Event()
        self._next_scan = 0.0
        self._has_more = False
        self._again: set[bytes] = set()
        self._heard: set[bytes] = set()
        self._told: dict[bytes, str] = {}
        self._sessions: dict[bytes, bool] = {}
        """Which folders are sessions of DAWs, as far as is known since everything was looked through."""
        self._slow: set[bytes] = set()
        """Mounts below the folder whose other side changes unseen."""
        self._deaf = ""

    @property
    def is_settled(self) -> bool:
        """Whether nothing is on its way that can be waited for: ``--once`` ends."""
        pending = [path for path in self.settler if not self.settler.is_given_time(path, self._clock())]
        is_looking = bool(self._again) and not self._root.is_away
        return self.has_scanned and not pending and not is_looking and not self._has_more

    @property
    def is_away(self) -> bool:
        """Whether the folder cannot be reached, so that nothing can be said of what lies in it."""
        return self._root.is_away

    @property
    def is_expecting(self) -> bool:
        """Whether songs are on their way that may have been moved."""
        return not self.has_scanned or self._has_more or self.settler.crowd > 0 or bool(self._again)

    def standing(self) -> Iterator[tuple[bytes, InLine]]:
        """Yield why each file that is not complete is not taken."""
        for path in self.settler:
            yield path, InLine(state="settling", reason=f"it {self.settler.why_waits(path)}")

    def tell_left(self) -> None:
        """Tell which files are left where they are, since they are not complete."""
        for path in self.settler:
            why = self.settler.why_waits(path)
            self._tools.counts.left += 1
            self._tools.reporter.tell("left", path, f"it {why}")

    def open(self) -> None:
        """Take the folder.

        Raises:
            UsageError: another stembridge has it.
        """
        self._root.open()
        self._tools.suspects.update((look.path, look) for look in self._tools.ledger.looks(self.folder.path))
        self._listen()

    def close(self) -> None:
        """Give the folder back."""
        if self._waker is not None:
            self._waker.stop()
        self._root.close()

    def nudge(self) -> None:
        """Look at the ledger and the queue again: another process wrote, or there is room."""
        queue = self._tools.queue
        if self._has_more and self.settler.crowd + len(queue) - queue.blocked < MOST // 2:
            self.look_through()

    def look_through(self) -> None:
        """Look through everything soon."""
        self._next_scan = 0.0
        self._wake.set()

    def look_again(self, path: bytes) -> None:
        """Look at a path soon: what was there is done with."""
        self._again.add(path)
        self._wake.set()

    def beat(self) -> None:
        """Give a sign of life, in place of ``run``."""
        self._root.beat()

    async def run(self) -> None:
        """Look through everything, then watch until cancelled."""
        self._next_scan = 0.0
        while True:
            self._wake.clear()
            await self._step()
            await self._wait()

    async def _step(self) -> None:
        self._root.beat()
        if not self.is_there():
            self._next_scan = self._clock() + min(self.folder.rescan, _RETRY_ROOT)
            return
        self._notice_gap()
        paths, is_lost = self._waker.take() if self._waker is not None else ([], False)
        self._heard.update(paths)
        again = set(self._again)
        paths = [*paths, *again]
        if is_lost or len(self._heard) >= _STORM:
            # The system may have lost some as well, without a word: also where what it kept is told little by little.
            self._next_scan = min(self._next_scan, self._clock() + _AFTER_STORM)
        if self._clock() >= self._next_scan:
            await self._scan()
        elif paths:
            await self._look(paths)
        due = self.settler.due(self._clock())
        for start in range(0, len(due), _BATCH):
            await self._look(due[start : start + _BATCH])
        self._again -= again
        # Only now, so that of many files found complete together the oldest is taken first.
        self._workers.fill()

    async def _wait(self) -> None:
        dues = [self._next_scan]
        if not self._root.is_away and (due := self.settler.next_due()) is not None:
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
        # In no order where there was no room for all: the last by name have their turn as well.
        is_ordered, self._has_more = not self._has_more, False
        self._heard.clear()
        self._sessions.clear()
        if self._tools.recipes[self.folder.path].refresh():
            self._tools.queue.sort_anew()
        self._rules = self.folder.rules()
        self._look_at_mounts()
        if self._waker is not None and not self._waker.is_alive:
            self._listen()
        try:
            await self._handle_all(scan(self.folder.path, self._rules, is_ordered=is_ordered))
        except OSError as error:
            self._root.lose(error.strerror or str(error))
            self._tools.queue.sort_anew()
            self._next_scan = self._clock() + min(self.folder.rescan, _RETRY_ROOT)
            return
        if not self.has_scanned:
            self._workers.adopt(self.folder)
        await self._look(self._workers.paths_of(self.folder))
        # Not before what is gone is known to be: ``--once`` may end from now on.
        self.has_scanned = True

    async def _look(self, paths: Iterable[bytes]) -> None:
        config = os.path.join(self.folder.path, os.fsencode(CONFIG_NAME))
        wanted = list(paths)
        if config in wanted and self._tools.recipes[self.folder.path].refresh():
            self._tools.queue.sort_anew()
            self._tools.reporter.say(f"{self.folder.shown}: {CONFIG_NAME} was edited and is read anew")
        await self._handle_all(look(wanted, self._rules, self.folder.path, self._sessions))

    async def _handle_all(self, sights: Iterator[Sight]) -> None:
        # One moment before and one after for all that are seen together, so that they are complete together and
        # whatever holds us up between does not count as time in which nothing changed.
        now = self._clock()
        while batch := await asyncio.to_thread(_take, sights):
            self._notice_gap()
            self._handle(batch, now, self._clock())
            now = self._clock()

    def _handle(self, sights: Iterable[Sight], now: float, seen: float) -> None:
        for sight in sights:
            match sight:
                case SeenSong(path, identity, is_hollow):
                    self._see(path, identity, now, seen, is_hollow=is_hollow)
                case Gone(path):
                    if self.is_there():
                        self._miss(path)
                case Passed(path, reason) if reason == SESSION:
                    self._leave(path, reason)
                case Passed(path, reason):
                    if not self.folder.names.why_no_song(os.path.basename(path)):
                        # A link, pipe or folder may have taken the place of a song.
                        self._miss(path)
                        self._tell_once(path, reason)
                case Unreadable(path, error):
                    self._tell_once(path, f"cannot be looked at: {error.strerror}; tried again")

    def _see(self, path: bytes, identity: FileIdentity, now: float, seen: float, *, is_hollow: bool) -> None:
        if self._workers.see(path, identity):
            return
        if self._tools.ledger.is_finished(path, identity, or_touched=is_hollow):
            # One that gave its content back to a cloud is done all the same.
            self.settler.forget(path)
            return
        if is_hollow:
            identity = identity._replace(size=0)
        is_new = path not in self.settler
        if is_new and self._is_begun(path, identity):
            self._workers.offer(self.folder, path, identity)
            return
        if is_new and ((identity.size and not self._has_room(path, identity)) or self._tools.ledger.is_output(path)):
            return
        is_complete = self.settler.observe(path, identity, now, seen)
        if is_new and (is_complete or path in self.settler):
            self._tools.reporter.tell("settling", path)
        if is_complete:
            self._workers.offer(self.folder, path, identity)

    def _miss(self, path: bytes) -> None:
        self.settler.forget(path)
        self._workers.miss(self.folder, path)

    def _leave(self, path: bytes, reason: str) -> None:
        """Pass a song over, or a folder of songs, that is complete and not wanted; what was begun goes on."""
        self.settler.forget(path)
        if self._told.get(path) != reason:
            for song in [song for song in self._tools.queue if is_below(song.path, path)]:
                if self._tools.ledger.get(song.path) is None:
                    self._tools.queue.forget(song.path)
        self._tell_once(path, reason)

    def _has_room(self, path: bytes, identity: FileIdentity) -> bool:
        """Tell whether a file may be watched now; others, that wait for something else, take no room from it."""
        song, queue = WaitingSong(self.folder, path, identity), self._tools.queue
        if self.settler.crowd + queue.crowd(song) < MOST:
            return True
        # Songs that are blocked leave room only once they are not, which a rescan sees as well.
        self._has_more |= not queue.is_blocked(song)
        return False

    def _is_begun(self, path: bytes, identity: FileIdentity) -> bool:
        """Tell whether a version has jobs: it was complete when they were made."""
        row = self._tools.ledger.get(path)
        return row is not None and row.identity == identity and row.state.is_open and bool(row.jobs)

    def _notice_gap(self) -> None:
        """Begin to wait anew for every file when nothing was observed for a while, and look through everything."""
        gaps = self._tools.awake.count()
        if gaps != self._gaps:
            self._gaps = gaps
            self.settler.start_anew(self._clock())
            self._next_scan = 0.0

    def _tell_once(self, path: bytes, reason: str) -> None:
        if self._told.get(path) == reason:
            return
        if len(self._told) >= _MOST_TOLD:
            self._told.clear()
        self._told[path] = reason
        self._tools.reporter.tell("passed", path, reason)

    # The folder itself

    def is_there(self) -> bool:
        """Look whether the folder can be reached; its songs wait while it cannot."""
        was_away, presence = self._root.is_away, self._root.find()
        if presence is Presence.AGAIN:
            self._next_scan = 0.0
            self._listen()
        if self._root.is_away != was_away:
            self._tools.queue.sort_anew()
        return presence is not Presence.AWAY

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._wake.set)

        if self._waker is None:
            self._waker = ChangeListener(self.folder.path, wake, self._is_noise)
        why = self._waker.start()
        if why and why != self._deaf:
            self._tools.reporter.warn(
                self.folder.path,
                f"the system cannot tell of changes ({why}); looked through every {self._deaf_every():g} s",
            )
        self._deaf = why
        if why:
            self.folder = _with_rescan(self.folder, self._deaf_every())

    def _look_at_mounts(self) -> None:
        """Look through everything as often as through a share while one is mounted below, which is said once."""
        slow = {point: kind for point, kind in mounts_below(self.folder.path) if is_slow(kind)}
        for point in slow.keys() - self._slow:
            every = self._deaf_every()
            self.folder = _with_rescan(self.folder, every)
            self._next_scan = min(self._next_scan, self._clock() + every)
            where = shown(point)
            self._tools.reporter.say(f"{where}: a {slow[point]} mount, looked through every {every:g} s")
        self._slow = set(slow)

    def _deaf_every(self) -> float:
        return min(self.folder.rescan, self._tools.settings.share_rescan_seconds)

    def _is_noise(self, path: bytes) -> bool:
        """Tell what lies in our own results, or is hidden: most events while we work are our own."""
        below = path[len(self.folder.path) :]
        return _STEMS + os.fsencode(os.sep) in below or below.endswith(_STEMS) or os.fsencode(os.sep) + b"." in below


def _take(sights: Iterator[Sight]) -> list[Sight]:
    return list(islice(sights, _BATCH))


def _with_rescan(folder: HotFolder, seconds: float) -> HotFolder:
    return msgspec.structs.replace(folder, rescan=seconds)
