"""The songs at work: taken from the queue while there is room, each from its first look to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Iterator

from plugin_core import is_untouched
from plugin_core.errors import SettingsError, StembridgeError, StoreError
from plugin_core.model import Job, JobState
from plugin_core.tasks import start_alone
from stembridge_hot_folder.files import FileIdentity
from stembridge_hot_folder.folders import HotFolder
from stembridge_hot_folder.ledger import OPEN, TROUBLED, InLine, SongState
from stembridge_hot_folder.queue import HELD, WaitingSong
from stembridge_hot_folder.record import remove_error
from stembridge_hot_folder.scan import is_below
from stembridge_hot_folder.strays import HOST, Strays
from stembridge_hot_folder.task import SongTask
from stembridge_hot_folder.tools import Tools

_LOOK_EVERY = 1.0
"""Seconds between two looks at jobs that another process may have settled."""


class Workers:
    """Songs at work, at most so many at once.

    Args:
        tools: shared with the songs.
        ended: called with the folder and path of a song that left: another version may lie there by now.
    """

    def __init__(self, tools: Tools, ended: Callable[[HotFolder, bytes], None]) -> None:
        self.tools = tools
        self._ended = ended
        self._tasks: dict[bytes, SongTask] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._by_job: dict[str, SongTask] = {}
        self.strays = Strays(tools, self._by_job.__contains__, self.holds, ended)
        self._failure: StoreError | None = None

    @property
    def working(self) -> int:
        """How many songs take a place."""
        return sum(not task.is_aside for task in self._tasks.values())

    @property
    def aside(self) -> int:
        """How many songs are in trouble for so long that others go before."""
        return sum(task.is_aside for task in self._tasks.values())

    @property
    def is_looking(self) -> bool:
        """Whether a song is at work of which it is not known yet which jobs it has."""
        return any(not task.jobs for task in self._tasks.values())

    def standing(self, folder: bytes) -> Iterator[tuple[bytes, InLine]]:
        """Yield what is done with each song of a folder that is at work."""
        for path, task in self._tasks.items():
            if task.folder.path == folder:
                what = "in trouble for long, others go before" if task.is_aside else "" if task.jobs else "being read"
                yield path, InLine(state="working", reason=what)

    def holds(self, path: bytes) -> bool:
        """Tell whether a path is queued or at work."""
        return path in self._tasks or self.tools.queue.find(path) is not None

    def paths_of(self, folder: HotFolder) -> list[bytes]:
        """Return the songs of a folder that were begun, and those that have an error file: they may be gone."""
        working = [path for path, task in self._tasks.items() if task.folder.path == folder.path]
        return list(dict.fromkeys(working + self.tools.ledger.paths({*OPEN, *TROUBLED}, folder.path)))

    def adopt(self, folder: HotFolder) -> None:
        """Look after the jobs of an earlier run whose song another one has taken the place of since."""
        store = self.tools.session.store
        for job in store.list([state for state in JobState if state.is_active]):
            path = os.fsencode(job.source.path)
            if job.host == HOST and is_below(path, folder.path) and job.id not in self._by_job:
                row = self.tools.ledger.get(path)
                is_known = row is not None and job.id in row.jobs
                # That run may have ended before it wrote down which job the song has: the song comes upon it again.
                is_awaited = (row is None or row.state.is_open) and is_untouched(job.source)
                if not (is_known or is_awaited or self.strays.holds(job.id)):
                    self.strays.add(folder, path, (job.id,))

    def reopen(self, folders: Iterable[HotFolder]) -> None:
        """Queue what an earlier run had begun in these folders, and what the user wants again."""
        for folder in folders:
            for row in self.tools.ledger.list(OPEN, root=folder.path):
                is_there = row.state is SongState.MOVING or os.path.lexists(row.path)
                if is_there and not self.holds(row.path):
                    self.tools.queue.put(WaitingSong(folder, row.path, row.identity, self.tools.clock()))
                elif not is_there and row.state is SongState.WAITING and not row.jobs:
                    # Nothing was begun with it: should it come back, it is new.
                    self.tools.ledger.forget(row.path)

    def offer(self, folder: HotFolder, path: bytes, identity: FileIdentity) -> None:
        """Queue a version that is complete."""
        lane = self.tools.queue.put(WaitingSong(folder, path, identity, self.tools.clock()))
        is_held = HELD in lane
        self.tools.reporter.tell(*(("held", path, "its folder names no preset") if is_held else ("queued", path)))

    def see(self, path: bytes, identity: FileIdentity) -> bool:
        """Take notice of what a path is now; tell whether the workers are still those to deal with it."""
        task = self._tasks.get(path)
        if task is not None:
            task.see(identity)
            return True
        song = self.tools.queue.find(path)
        if song is not None and song.identity != identity:
            self.tools.queue.forget(path)
            return False
        return song is not None

    def miss(self, folder: HotFolder, path: bytes) -> None:
        """Take notice that there is nothing at a path any more."""
        task = self._tasks.get(path)
        if task is not None:
            task.vanish()
            return
        row = self.tools.ledger.get(path)
        if row is not None and row.state is SongState.MOVING:
            # Half of the move is done: its turn comes.
            return
        if row is not None and row.state.is_open and row.jobs:
            self.tools.queue.forget(path)
            self.strays.add(folder, path, row.jobs)
            return
        if self.tools.queue.forget(path):
            self.tools.reporter.tell("gone", path, "before it was taken")
        if row is not None and (row.state in TROUBLED or row.state.is_open):
            self.tools.ledger.forget(path)
            remove_error(path)

    def obey(self) -> None:
        """Take notice of which folders are paused: what was not begun goes back to those that wait."""
        self.tools.queue.sort_anew()
        for task in self._tasks.values():
            if task.folder.path in self.tools.paused:
                task.settled.set()

    def fill(self) -> None:
        """Take songs while there is room."""
        limit = self.tools.settings.at_once
        # What nothing can be recorded of is not taken.
        while self._failure is None and self.working < limit and self.aside < limit * 8:
            song = self.tools.queue.pop(self.tools.clock())
            if song is None:
                return
            if song.path in self._tasks:
                continue
            task = self._tasks[song.path] = SongTask(song, self.tools, self._attach, self.strays)
            self._start(task)

    def change(self, job: Job, previous: Job | None) -> None:
        """Hear of a job's change from the engine."""
        self.tools.reporter.change(job, previous)
        task = self._by_job.get(job.id)
        if task is None:
            song = self.tools.queue.find(os.fsencode(job.source.path))
            if song is not None and song.folder.path in self.tools.paused:
                # It was begun in the very moment in which its folder was paused, and goes on.
                self.tools.queue.put(song)
            return
        task.hear(job, previous)
        if job.state.is_settled:
            return
        if job.attempts >= self.tools.settings.attempts and job.problem is not None and not task.is_aside:
            task.set_aside(job)
            self.fill()

    async def watch_jobs(self) -> None:
        """Notice jobs that other processes settle; runs until it is cancelled.

        Raises:
            StoreError: a store cannot be used any more.
        """
        self._failure = None
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            if self._failure is not None:
                raise self._failure
            for job_id, task in list(self._by_job.items()):
                job = self.tools.session.store.find(job_id)
                if job is None or job.state.is_settled:
                    task.settled.set()

    async def close(self) -> None:
        """End the songs at work where they are; the ledger and the job store know how to go on."""
        for running in self._running:
            running.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _attach(self, task: SongTask, job_id: str) -> None:
        self._by_job[job_id] = task
        self.tools.roster.add(job_id)

    def _start(self, task: SongTask) -> None:
        running = start_alone(self._run(task), "the work on a song")
        self._running.add(running)
        # Called also for one that is cancelled before it began, as when the disk of the stores is full by then.
        running.add_done_callback(lambda running: self._end(task, running))

    def _end(self, task: SongTask, running: asyncio.Task[None]) -> None:
        self._running.discard(running)
        for job_id in task.jobs:
            if self._by_job.get(job_id) is task:
                self._by_job.pop(job_id)
                if not self.strays.holds(job_id):
                    self.tools.roster.discard(job_id)
        self._tasks.pop(task.path, None)
        self.tools.queue.pauses.end_probe(task.path)
        self._ended(task.folder, task.path)

    async def _run(self, task: SongTask) -> None:
        try:
            await self._run_guarded(task)
        except StoreError as error:
            self._failure = error

    async def _run_guarded(self, task: SongTask) -> None:
        try:
            if self.tools.queue.pauses.is_asking(task.path):
                # With another key by now, of a keyring that may take its time. Wrong settings are told by the recipes.
                with contextlib.suppress(SettingsError):
                    await asyncio.to_thread(self.tools.session.reread)
            await task.run()
            await task.move_away()
        except StoreError:
            # Nothing can be recorded any more, of no song.
            raise
        except StembridgeError as error:
            task.fail(error.message, error.remedy)
            await task.move_away()
        except Exception as error:  # noqa: BLE001 - one bad file must not end the watch
            task.fail(f"{type(error).__name__}: {error}", "report it with the log; see `stembridge doctor`")
            self.tools.reporter.log_defect(error)
