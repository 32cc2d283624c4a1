"""The watch: folders, workers and engine in one loop, until there is nothing left or somebody says stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Sequence
from itertools import chain
from typing import Final

import msgspec

from plugin_core import JobSet
from plugin_core.console.interrupt import deadline, stop_on_signals
from plugin_core.errors import ExitCode, StoreError
from plugin_core.files.database import may_pass
from plugin_core.model import JobState, show_path
from plugin_core.tasks import start
from stembridge_hot_folder.display import Counts, Notifier, Reporter
from stembridge_hot_folder.folders import HotFolder, WatchSettings
from stembridge_hot_folder.intake import FolderIntake
from stembridge_hot_folder.ledger import TROUBLED, InLine, Row, SongState
from stembridge_hot_folder.queue import AWAY, HELD, PAUSED, Lane, SongQueue, WaitingSong
from stembridge_hot_folder.recipes import Recipes
from stembridge_hot_folder.record import quote
from stembridge_hot_folder.strays import is_begun
from stembridge_hot_folder.tools import SleepDetector, Stores, Tools
from stembridge_hot_folder.workers import Workers

_BEAT: Final = 2.0
_ONCE_BEAT: Final = 0.1
_LINE_EVERY: Final = 1.0
_TRY_STORES: Final = 5.0
"""Seconds between two looks whether anything can be recorded again."""


class Watch:
    """A watch over folders.

    Args:
        stores: the core, and what was done.
        folders: what to watch.
        recipes: what to do, by folder.
        settings: how.
        reporter: shows it.
    """

    def __init__(
        self,
        stores: Stores,
        folders: Sequence[HotFolder],
        recipes: dict[bytes, Recipes],
        settings: WatchSettings,
        reporter: Reporter,
    ) -> None:
        self._stores = stores
        self._reporter = reporter
        self._notifier = Notifier()
        self._wake = asyncio.Event()
        self._counts = Counts()
        self._tools = Tools(
            stores=stores,
            recipes=recipes,
            settings=settings,
            queue=SongQueue(self._lane_of),
            roster=JobSet(),
            reporter=reporter,
            clock=time.monotonic,
            counts=self._counts,
            awake=SleepDetector(time.monotonic),
            is_there=self._is_there,
            suspects={},
            paused=set(),
        )
        self._workers = Workers(self._tools, self._end_song)
        self._intakes = [FolderIntake(folder, self._workers) for folder in folders]
        self._stop = asyncio.Event()
        self._folders = folders
        self._lines: dict[bytes, dict[bytes, InLine]] = {}
        """What was told of each folder last."""
        self._next_line = 0.0
        self._token = 0
        self._is_told_to_stop = False
        self._failed_before: list[Row] = []
        self._final = self._counts
        """How it stood when the watch was told to end."""

    def counts(self) -> Counts:
        """Return how many songs are where."""
        return msgspec.structs.replace(
            self._counts,
            settling=sum(len(intake.settler) for intake in self._intakes) - self._counts.left,
            queued=len(self._tools.queue) - self._tools.queue.blocked,
            working=self._workers.working + len(self._workers.strays),
            waiting=self._workers.aside + self._tools.queue.waiting,
            held=self._tools.queue.held,
        )

    async def run(self, *, once: bool = False) -> ExitCode:
        """Watch until stopped, or until everything that is there is done; return the exit code.

        Raises:
            UsageError: another stembridge watches one of the folders.
            StoreError: a store cannot be used any more.
            BrokenPipeError: nobody reads what is told.
        """
        opened: list[FolderIntake] = []
        started = time.monotonic()
        with stop_on_signals(self._stop, self._tell_stopping), deadline():
            try:
                for intake in self._intakes:
                    intake.open()
                    opened.append(intake)
                for folder in self._folders:
                    self._reporter.say(f"watching {folder}")
                await self._work_on(once=once)
            finally:
                for intake in opened:
                    intake.close()
        code = self._code(self._final)
        self._reporter.finish(self._final, time.monotonic() - started, code)
        return code

    def stop(self) -> None:
        """End the watch at the next safe point."""
        self._stop.set()

    async def _work_on(self, *, once: bool) -> None:
        """Work, and wait while nothing can be recorded: a disk that is full stays full for the next song as well."""
        while True:
            try:
                await self._work(once=once)
            except StoreError as error:
                if once or not may_pass(error):
                    raise
                await self._wait_for_stores(error)
            if once or self._stop.is_set():
                return

    async def _wait_for_stores(self, error: StoreError) -> None:
        home = os.fsencode(self._stores.home)
        self._reporter.warn(home, f"nothing can be recorded, everything waits and goes on by itself: {error}")
        while not self._stop.is_set():
            self._notifier.beat(time.monotonic())
            for intake in self._intakes:
                intake.beat()
            try:
                await asyncio.to_thread(self._stores.reopen)
            except StoreError as again:
                if not may_pass(again):
                    raise
            else:
                self._reporter.say(f"{show_path(self._stores.home)}: can be written again, going on")
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TRY_STORES):
                    await self._stop.wait()

    async def _work(self, *, once: bool) -> None:
        over = asyncio.Event()
        self._token = self._tools.ledger.token()
        for folder in self._folders:
            self._tools.ledger.begin_line(folder.path)
            self._lines[folder.path] = {}
        self._obey()
        self._workers.reopen(self._folders)
        self._failed_before = self._list_failed() if once else []
        session = self._tools.session
        parts = [
            start(session.serve(self._tools.roster, on_change=self._workers.change, stop=over)),
            start(self._workers.watch_jobs()),
            start(self._beat()),
            start(self._tools.awake.run()),
            *(start(intake.run()) for intake in self._intakes),
        ]
        self._notifier.tell("READY=1", "STATUS=watching")
        try:
            await self._supervise(parts, once=once)
        finally:
            self._final = self.counts()
            over.set()
            await self._workers.close()
            for part in parts[1:]:
                part.cancel()
            # The engine ends by itself: a paid call comes home first.
            await asyncio.gather(*parts, return_exceptions=True)

    async def _supervise(self, parts: Sequence[asyncio.Task[None]], *, once: bool) -> None:
        stopping = start(self._stop.wait())
        try:
            while not self._stop.is_set():
                if self._reporter.failure is not None:
                    raise self._reporter.failure
                self._wake.clear()
                self._refresh()
                # Told by the loop that does the work, so that one that hangs is started anew.
                self._notifier.beat(time.monotonic())
                if once and self._is_done():
                    for intake in self._intakes:
                        intake.tell_left()
                    self._tell_failed_before()
                    return
                waking = start(self._wake.wait())
                await asyncio.wait(
                    {*parts, stopping, waking},
                    timeout=self._seconds(once=once),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                waking.cancel()
                for part in parts:
                    if part.done() and not self._stop.is_set():
                        part.result()
        finally:
            stopping.cancel()

    def _list_failed(self) -> list[Row]:
        roots = [folder.path for folder in self._folders]
        return [row for root in roots for row in self._tools.ledger.list(TROUBLED, root=root)]

    def _tell_failed_before(self) -> None:
        """Count what failed in an earlier run and lies there as it did: it ends each run with the same code."""
        for row in self._failed_before:
            if self._tools.ledger.get(row.path) == row:
                self._reporter.tell(row.state.value, row.path, f"{row.reason}; as before", is_trouble=True)
                self._counts.failed += row.state is SongState.FAILED
                self._counts.unconfirmed += row.state is SongState.UNCONFIRMED

    def _refresh(self) -> None:
        token = self._tools.ledger.token()
        if token != self._token:
            # ``stembridge watch retry`` in another process.
            self._token = token
            self._tools.ledger.refresh()
            self._obey()
            self._workers.reopen(self._folders)
        self._workers.fill()
        self._look_at_strays()
        for intake in self._intakes:
            intake.nudge()
        self._tell_lines()

    def _obey(self) -> None:
        """Begin nothing new where a folder is paused (``stembridge watch pause``), and go on where it is no more."""
        wanted = self._tools.ledger.paused().keys()
        changed = wanted ^ self._tools.paused
        if not changed:
            return
        self._tools.paused.symmetric_difference_update(changed)
        for intake in self._intakes:
            if (root := intake.folder.path) in changed:
                again = f"what is at work goes on; the rest waits for: stembridge watch resume {quote(root)}"
                told = f"paused, {again}" if root in wanted else "no longer paused, going on"
                self._reporter.say(f"{intake.folder.shown}: {told}")
                # What had no room in line is found once there is.
                intake.look_through()
        self._workers.obey()

    def _look_at_strays(self) -> None:
        away = {intake.folder.path for intake in self._intakes if intake.is_away}
        queue = self._tools.queue
        is_expecting = self._workers.is_looking or len(queue) > queue.blocked
        is_expecting |= any(intake.is_expecting for intake in self._intakes)
        self._workers.strays.look(away, is_expecting=is_expecting)

    def _tell_lines(self) -> None:
        """Let ``stembridge watch status`` know where every song stands, at a hundredth of the time at most."""
        began = time.monotonic()
        if began < self._next_line:
            return
        for intake in self._intakes:
            root = intake.folder.path
            known = self._lines[root]
            line = dict(chain(intake.standing(), self._tools.queue.standing(root), self._workers.standing(root)))
            changed = {path: one for path, one in line.items() if known.get(path) != one}
            left = known.keys() - line.keys()
            if changed or left:
                self._tools.ledger.change_line(root, changed, left)
                self._lines[root] = line
        self._next_line = time.monotonic() + max(_LINE_EVERY, 100 * (time.monotonic() - began))

    def _seconds(self, *, once: bool) -> float:
        due = self._tools.queue.next_due()
        most = min(_ONCE_BEAT if once else _BEAT, (self._notifier.watchdog or _BEAT) / 2)
        return most if due is None else min(most, max(due - time.monotonic(), 0.01))

    def _is_done(self) -> bool:
        is_working = self._workers.working or self._workers.strays.waited_for
        is_idle = not is_working and len(self._tools.queue) == self._tools.queue.blocked
        return is_idle and all(intake.is_settled for intake in self._intakes)

    async def _beat(self) -> None:
        while True:
            for row in list(self._tools.ledger.list([SongState.UNCONFIRMED, SongState.FAILED], limit=200)):
                if self._is_alive_again(row.jobs):
                    # ``stembridge jobs retry``, or an answer that came late.
                    self._tools.ledger.put(msgspec.structs.replace(row, state=SongState.WORKING))
                    self._workers.reopen(self._folders)
            await asyncio.sleep(60.0)

    def _is_alive_again(self, jobs: Sequence[str]) -> bool:
        known = self._tools.session.store.find_all(jobs)
        bad = (JobState.FAILED, JobState.CANCELLED, JobState.UNCONFIRMED)
        return bool(known) and len(known) == len(jobs) and not any(job.state in bad for job in known)

    def _end_song(self, folder: HotFolder, path: bytes) -> None:
        self._wake.set()
        for intake in self._intakes:
            if intake.folder.path == folder.path:
                intake.look_again(path)

    def _is_there(self, folder: HotFolder) -> bool:
        return all(intake.is_there() for intake in self._intakes if intake.folder.path == folder.path)

    def _lane_of(self, song: WaitingSong) -> Lane:
        """Return what a song waits for: its folder's disk, and the accounts of what is done to it."""
        if any(intake.is_away and intake.folder.path == song.folder.path for intake in self._intakes):
            return song.folder.path, AWAY
        row = self._tools.ledger.get(song.path)
        if row is not None and row.state is SongState.MOVING and row.identity == song.identity and song.folder.done:
            return (song.folder.done,)
        recipes = self._tools.recipes[song.folder.path]
        lane: Lane = (song.folder.path, recipes.choose(song.path).key)
        # What was begun goes on, and the user's word counts.
        if recipes.holds(song.path) and row is None:
            return song.folder.path, HELD
        jobs = self._tools.session.store.find_all(row.jobs) if row is not None and row.state.is_open else []
        is_paused = song.folder.path in self._tools.paused and not any(map(is_begun, jobs))
        return (song.folder.path, PAUSED) if is_paused else lane

    def _tell_stopping(self) -> None:
        self._is_told_to_stop = True
        self._notifier.tell("STOPPING=1")
        self._reporter.say("stopping; once more to exit at once")

    def _code(self, counts: Counts) -> ExitCode:
        if self._is_told_to_stop and (counts.working or counts.queued or counts.waiting):
            return ExitCode.INTERRUPTED
        if counts.unconfirmed:
            return ExitCode.UNCONFIRMED
        if counts.waiting and self._tools.queue.pauses.is_refused:
            return ExitCode.REFUSED
        return ExitCode.FAILED if counts.failed or counts.waiting else ExitCode.DONE
