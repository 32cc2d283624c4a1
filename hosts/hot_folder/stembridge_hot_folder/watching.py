"""The watch: folders, shop and engine in one loop, until there is nothing left or somebody says stop."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from plugin_core.cli.interrupt import stop_on_signals
from plugin_core.errors import ExitCode
from plugin_core.jobs.roster import Roster
from plugin_core.model import JobState
from plugin_core.session import Session
from stembridge_hot_folder.awake import Awake
from stembridge_hot_folder.folder.folders import HotFolder
from stembridge_hot_folder.folder.intake import Intake
from stembridge_hot_folder.folder.recipes import Recipes
from stembridge_hot_folder.ledger import Ledger, SongState
from stembridge_hot_folder.queueing import Lane, Queue, Waiting
from stembridge_hot_folder.service.systemd import Notifier
from stembridge_hot_folder.settings import WatchSettings
from stembridge_hot_folder.shop import Shop
from stembridge_hot_folder.shown.reporting import Counts, Reporter
from stembridge_hot_folder.song.tools import Tools

STOP_WITHIN: Final = 4.5
"""Seconds from a signal to the end of the process, whatever still runs: the stores are safe at every moment."""

_BEAT: Final = 2.0
_ONCE_BEAT: Final = 0.1


class Watch:
    """A watch over folders.

    Args:
        session: the core.
        folders: what to watch.
        recipes: what to do, by folder.
        ledger: what was done.
        settings: how.
        reporter: shows it.
        clock: monotonic seconds.
        notifier: tells the service manager.
    """

    def __init__(
        self,
        session: Session,
        folders: Sequence[HotFolder],
        recipes: dict[bytes, Recipes],
        ledger: Ledger,
        settings: WatchSettings,
        reporter: Reporter,
        *,
        clock: Callable[[], float] = time.monotonic,
        notifier: Notifier | None = None,
    ) -> None:
        self._session = session
        self._ledger = ledger
        self._reporter = reporter
        self._clock = clock
        self._notifier = notifier or Notifier()
        self._wake = asyncio.Event()
        self._counts = Counts()
        self._tools = Tools(
            session=session,
            ledger=ledger,
            recipes=recipes,
            settings=settings,
            queue=Queue(self._lane_of),
            roster=Roster(),
            reporter=reporter,
            clock=clock,
            counts=self._counts,
            awake=Awake(clock),
            suspects={},
        )
        self._shop = Shop(self._tools, self._end_song)
        self._intakes = [Intake(folder, self._shop) for folder in folders]
        self._stop = asyncio.Event()
        self._folders = folders
        self._token = ledger.token()
        self._deadline: threading.Timer | None = None
        self._final = self._counts
        """How it stood when the watch was told to end."""

    def counts(self) -> Counts:
        """Return how many songs are where."""
        return msgspec.structs.replace(
            self._counts,
            settling=sum(len(intake.settler) for intake in self._intakes) - self._counts.left,
            queued=len(self._tools.queue) - self._tools.queue.blocked,
            working=self._shop.working,
            waiting=self._shop.aside + self._tools.queue.waiting,
        )

    async def run(self, *, once: bool = False) -> ExitCode:
        """Watch until stopped, or until everything that is there is done; return the exit code.

        Raises:
            UsageError: another stembridge watches one of the folders.
            StoreError: the job store cannot be used any more.
        """
        opened: list[Intake] = []
        started = self._clock()
        try:
            for intake in self._intakes:
                intake.open()
                opened.append(intake)
            with stop_on_signals(self._stop, self._tell_stopping):
                await self._work(once=once)
        finally:
            for intake in opened:
                intake.close()
        code = self._code(self._final)
        self._reporter.finish(self._final, self._clock() - started, code)
        return code

    def stop(self) -> None:
        """End the watch at the next safe point."""
        self._stop.set()

    async def _work(self, *, once: bool) -> None:
        engine = asyncio.create_task(
            self._session.serve(self._tools.roster, on_change=self._shop.change, stop=self._stop)
        )
        parts = [
            engine,
            asyncio.create_task(self._shop.watch_jobs()),
            asyncio.create_task(self._beat()),
            asyncio.create_task(self._tools.awake.run()),
            *(asyncio.create_task(intake.run()) for intake in self._intakes),
        ]
        self._notifier.tell("READY=1", "STATUS=watching")
        try:
            await self._supervise(parts, once=once)
        finally:
            self._final = self.counts()
            self._stop.set()
            await self._shop.close()
            for part in parts[1:]:
                part.cancel()
            # The engine ends by itself: a paid call comes home first.
            await asyncio.gather(*parts, return_exceptions=True)

    async def _supervise(self, parts: Sequence[asyncio.Task[None]], *, once: bool) -> None:
        stopping = asyncio.create_task(self._stop.wait())
        try:
            while not self._stop.is_set():
                self._wake.clear()
                self._refresh()
                # Told by the loop that does the work, so that one that hangs is started anew.
                self._notifier.beat(self._clock())
                if once and self._is_done():
                    for intake in self._intakes:
                        intake.tell_left()
                    return
                waking = asyncio.create_task(self._wake.wait())
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

    def _refresh(self) -> None:
        token = self._ledger.token()
        if token != self._token:
            # ``stembridge watch retry`` in another process.
            self._token = token
            self._ledger.refresh()
            self._shop.reopen(self._folders)
        self._shop.fill()
        for intake in self._intakes:
            intake.nudge()

    def _seconds(self, *, once: bool) -> float:
        due = self._tools.queue.next_due()
        most = min(_ONCE_BEAT if once else _BEAT, (self._notifier.watchdog or _BEAT) / 2)
        return most if due is None else min(most, max(due - self._clock(), 0.01))

    def _is_done(self) -> bool:
        is_idle = not self._shop.working and len(self._tools.queue) == self._tools.queue.blocked
        return is_idle and all(intake.is_settled for intake in self._intakes)

    async def _beat(self) -> None:
        while True:
            for row in list(self._ledger.list([SongState.UNCONFIRMED, SongState.FAILED], limit=200)):
                if self._is_alive_again(row.jobs):
                    # ``stembridge jobs retry``, or an answer that came late.
                    self._ledger.put(msgspec.structs.replace(row, state=SongState.WORKING))
                    self._shop.reopen(self._folders)
            await asyncio.sleep(60.0)

    def _is_alive_again(self, jobs: Sequence[str]) -> bool:
        found = [self._session.store.find(job_id) for job_id in jobs]
        known = [job for job in found if job is not None]
        bad = (JobState.FAILED, JobState.CANCELLED, JobState.UNCONFIRMED)
        return bool(known) and len(known) == len(jobs) and not any(job.state in bad for job in known)

    def _end_song(self, folder: HotFolder, path: bytes) -> None:
        self._wake.set()
        for intake in self._intakes:
            if intake.folder.path == folder.path:
                intake.look_again(path)

    def _lane_of(self, song: Waiting) -> Lane:
        """Return what a song waits for: its folder's disk, and the accounts of what is done to it."""
        return song.folder.path, self._tools.recipes[song.folder.path].choose(song.path).key

    def _tell_stopping(self) -> None:
        self._notifier.tell("STOPPING=1")
        self._reporter.say("stopping; once more to exit at once")
        self._deadline = threading.Timer(STOP_WITHIN, os._exit, (int(ExitCode.INTERRUPTED),))
        self._deadline.daemon = True
        self._deadline.start()

    def _code(self, counts: Counts) -> ExitCode:
        if self._deadline is not None and (counts.working or counts.queued or counts.waiting):
            return ExitCode.INTERRUPTED
        if counts.unconfirmed:
            return ExitCode.UNCONFIRMED
        if counts.waiting and self._tools.queue.pauses.is_refused:
            return ExitCode.REFUSED
        return ExitCode.FAILED if counts.failed or counts.waiting else ExitCode.DONE
