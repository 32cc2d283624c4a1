"""The songs at work: taken from the queue while there is room, each from its first look to its end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import msgspec

from plugin_core.errors import StembridgeError
from plugin_core.jobs.roster import Roster
from plugin_core.model import Job
from plugin_core.session import Session
from stembridge_hot_folder.folders import HotFolder
from stembridge_hot_folder.identity import Identity
from stembridge_hot_folder.ledger import Ledger, SongState
from stembridge_hot_folder.queueing import Queue, Waiting
from stembridge_hot_folder.recipes import Recipes
from stembridge_hot_folder.reporting import Counts, Reporter
from stembridge_hot_folder.settings import WatchSettings
from stembridge_hot_folder.task import Task

_LOOK_EVERY = 1.0
"""Seconds between two looks at jobs that another process may have settled."""


class Tools(msgspec.Struct, frozen=True):
    """What every song needs."""

    session: Session
    ledger: Ledger
    recipes: dict[bytes, Recipes]
    """By hot folder."""
    settings: WatchSettings
    queue: Queue
    roster: Roster
    reporter: Reporter
    clock: Callable[[], float]
    counts: Counts


class Shop:
    """Songs at work, at most so many at once.

    Args:
        tools: shared with the songs.
        changed: called when a song came or went.
    """

    def __init__(self, tools: Tools, changed: Callable[[], None]) -> None:
        self.tools = tools
        self._changed = changed
        self._tasks: dict[bytes, Task] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._by_job: dict[str, Task] = {}

    @property
    def working(self) -> int:
        """How many songs take a place."""
        return sum(not task.is_aside for task in self._tasks.values())

    @property
    def aside(self) -> int:
        """How many songs are in trouble for so long that others go before."""
        return sum(task.is_aside for task in self._tasks.values())

    def holds(self, path: bytes) -> bool:
        """Tell whether a path is queued or at work."""
        return path in self._tasks or self.tools.queue.find(path) is not None

    def paths_of(self, folder: HotFolder) -> list[bytes]:
        """Return the songs of a folder that are at work or wait for trouble to pass."""
        return [path for path, task in self._tasks.items() if task.song.folder.path == folder.path]

    def offer(self, folder: HotFolder, path: bytes, identity: Identity) -> None:
        """Queue a version that is complete."""
        self.tools.queue.put(Waiting(folder, path, identity, self.tools.clock()))
        self.tools.reporter.tell("queued", path)

    def see(self, path: bytes, identity: Identity) -> bool:
        """Take notice of what a path is now; tell whether the shop is still the one to deal with it."""
        task = self._tasks.get(path)
        if task is not None:
            task.see(identity)
            return True
        song = self.tools.queue.find(path)
        if song is not None and song.identity != identity:
            self.tools.queue.forget(path)
            return False
        return song is not None

    def miss(self, path: bytes) -> None:
        """Take notice that there is nothing at a path any more."""
        task = self._tasks.get(path)
        if task is not None:
            task.vanish()
        elif self._is_moving(path):
            # Half of the move is done; the rest is not where the song was.
            return
        elif self.tools.queue.forget(path):
            self.tools.reporter.tell("gone", path, "before it was taken")

    def fill(self) -> None:
        """Take songs while there is room."""
        limit = self.tools.settings.at_once
        while self.working < limit and self.aside < limit * 8:
            song = self.tools.queue.pop(self.tools.clock())
            if song is None:
                return
            if song.path in self._tasks:
                continue
            task = self._tasks[song.path] = Task(song, self.tools, self._attach)
            self._start(task)

    def change(self, job: Job, previous: Job | None) -> None:
        """Hear of a job's change from the engine."""
        self.tools.reporter.change(job, previous)
        task = self._by_job.get(job.id)
        if task is None:
            return
        if job.state.is_settled:
            task.settled.set()
        elif job.attempts >= self.tools.settings.attempts and job.problem is not None and not task.is_aside:
            task.set_aside(job)
            self.fill()

    async def watch_jobs(self) -> None:
        """Notice jobs that other processes settle; runs until it is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            for job_id, task in list(self._by_job.items()):
                job = self.tools.session.store.find(job_id)
                if job is None or job.state.is_settled:
                    task.settled.set()

    async def close(self) -> None:
        """End the songs at work where they are; the ledger and the job store know how to go on."""
        for running in self._running:
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _is_moving(self, path: bytes) -> bool:
        row = self.tools.ledger.get(path)
        return row is not None and row.state is SongState.MOVING

    def _attach(self, task: Task, job_id: str) -> None:
        self._by_job[job_id] = task
        self.tools.roster.add(job_id)

    def _start(self, task: Task) -> None:
        running = asyncio.create_task(self._run(task))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _run(self, task: Task) -> None:
        try:
            await task.run()
        except StembridgeError as error:
            task.fail(error.message, error.remedy)
        except Exception as error:  # noqa: BLE001 - one bad file must not end the watch
            task.fail(f"{type(error).__name__}: {error}", "report it with the log; see `stembridge doctor`")
            self.tools.reporter.log_defect(error)
        finally:
            for job_id in task.jobs:
                self._by_job.pop(job_id, None)
                self.tools.roster.discard(job_id)
            self._tasks.pop(task.song.path, None)
            self._changed()


def reopen(tools: Tools, folder: HotFolder) -> None:
    """Queue what an earlier run had begun in a folder, and what the user wants again."""
    for row in tools.ledger.list([SongState.WORKING, SongState.MOVING, SongState.RETRY], root=folder.path):
        is_there = row.state is SongState.MOVING or os.path.lexists(row.path)
        if is_there and tools.queue.find(row.path) is None:
            tools.queue.put(Waiting(folder, row.path, row.identity, tools.clock()))
