"""The worker: does what one request says, through the same session as every other host, and tells in the status.

It goes on when REAPER is closed, and a new worker for the same request goes on where one died: the job store knows what
was begun.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from plugin_core.console.interrupt import stop_on_signals
from plugin_core.console.phrases import describe_question, has_price
from plugin_core.errors import ExitCode, StembridgeError, UsageError
from plugin_core.model import Job, JobState
from plugin_core.run import Asker, Reply, Run
from plugin_core.session import Session
from plugin_core.tasks import start
from stembridge_reaper.choices import choose_operations
from stembridge_reaper.planner import PartWant, RequestPlanner, Task
from stembridge_reaper.protocol import FileStatus, Request, Status, read_status
from stembridge_reaper.runs import BEAT, DISMISSED, ENDED, FINAL, LOOK, PATIENCE
from stembridge_reaper.selection import group_by_file, read_items
from stembridge_reaper.settings import ReaperSettings
from stembridge_reaper.status import (
    Books,
    StatusFile,
    describe_failures,
    describe_file,
    describe_labels,
    describe_run,
    describe_skipped,
    share_of,
)

_TELLING, _TELLING_SECONDS = 0.05, 3.0
"""Share of the work, and seconds, from which on the pace says how long it will take."""

_CANCELLING = 10.0
"""Seconds in which workers elsewhere are waited for to cancel what they work on."""


class Worker(Asker[PartWant]):
    """One request being worked on.

    Args:
        session: the core.
        request: what to do.
        folder: the run's folder.
        sleep: waits for some seconds.
        clock: seconds.
    """

    host = "reaper"

    def __init__(
        self,
        session: Session,
        request: Request,
        folder: Path,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._request = request
        self._folder = folder
        self._sleep = sleep
        self._clock = clock
        self._began: tuple[float, float] | None = None
        """When the work began, and how much of it was done then."""
        self._settings = session.settings.section("reaper", ReaperSettings)
        self._run = Run(session, self, preset=request.preset)
        self._stop = self._run.stop
        # Labels describe the song, whatever part of it is selected.
        items, self._skipped = read_items(request.project, request.items, is_limited=request.kind == "separate")
        self._used = group_by_file(items)
        files = [FileStatus(path=one.path, items=one.items) for one in self._used]
        status = Status(id=request.id, pid=os.getpid(), heartbeat=0.0, files=files)
        earlier = read_status(folder / "status.json")
        self._earlier = earlier.jobs if earlier else []
        """What a worker that died had begun for this run."""
        status.jobs = list(self._earlier)
        self._out = StatusFile(folder / "status.json", status, on_write=self._describe)
        self._books = Books(status)

    @property
    def is_cancelled(self) -> bool:
        """Whether the user wants the run to end."""
        return (self._folder / "cancel").exists()

    async def run(self) -> int:
        """Do the request and return the exit code; how it ended stands in the status."""
        self._out.write()
        watchers = [start(self._beat()), start(self._watch())]
        try:
            with stop_on_signals(self._stop, lambda: None):
                await self._work()
        finally:
            for task in watchers:
                task.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
        return self._finish()

    def fail(self, message: str) -> None:
        """Say that nothing came of the whole request."""
        self._out.status.state, self._out.status.message = "failed", message
        self._out.write()

    def _describe(self, status: Status) -> None:
        """Say in words how far the run is."""
        kind = self._request.kind
        status.share = share_of(status)
        status.left = self._left(status.share) if status.state == "working" else None
        status.hint = "" if status.state in FINAL else f"stembridge: {describe_run(status)}"
        status.ready = sum(any(part.stems for part in file.parts) for file in status.files if file.state in ENDED)
        for file in status.files:
            file.words = describe_file(file, kind)
            file.note = file.words if self._settings.show_in_items else ""

    def _left(self, share: float) -> float | None:
        """Return about how many seconds it will take, once that can be told."""
        now = self._clock()
        if self._began is None:
            # What was done before this worker came says nothing about its pace.
            self._began = now, share
        since, at_first = self._began
        done, passed = share - at_first, now - since
        return passed / done * (1 - share) if done > _TELLING and passed > _TELLING_SECONDS else None

    async def _work(self) -> None:
        skipped = describe_skipped(self._skipped)
        if not self._used:
            (self._folder / DISMISSED).touch()
            raise UsageError(f"No selected item can be used; {skipped}.")
        if skipped and not self._earlier:
            self._out.status.console.append(f"stembridge: {skipped}")
        if not self.is_cancelled:
            tasks = await self._plan()
            if not self.is_cancelled and (answer := await self.ask(tasks)) is not Reply.NO:
                self._out.status.state = "working"
                await self._run.work(await self._run.add(tasks, answer))
        if self.is_cancelled:
            # A worker that died may have begun what this one never came to.
            await self._cancel([*self._earlier, *self._books.active])
        for job_id in self._books.jobs:
            self._books.note(self._session.store.get(job_id))

    async def _plan(self) -> list[Task]:
        operations = choose_operations(self._session, self._request, self._settings)
        media = self._request.project.media
        planner = RequestPlanner(self._session, self._settings, operations, Path(media) if media else None)
        tasks: list[Task] = []
        for used, file in zip(self._used, self._out.status.files, strict=True):
            if self._stop.is_set():
                break
            try:
                tasks += await planner.plan(used, file)
            except StembridgeError as error:
                self._books.refuse(file, error)
            self._out.touch()
        return tasks

    async def ask(self, ready: Sequence[Task]) -> Reply:
        """Ask for the price, where there is one, and wait for the answer."""
        offers = [one.offer for one in ready]
        # The answer to an earlier worker may have been to another question.
        if not has_price(offers) or (self._folder / "go").exists():
            return Reply.YES
        self._out.status.state, self._out.status.message = "asking", describe_question(offers)
        self._out.write()
        until = time.monotonic() + PATIENCE
        while not self._stop.is_set() and time.monotonic() < until:
            if (self._folder / "go").exists():
                self._out.status.message = ""
                return Reply.AGAIN
            await self._sleep(LOOK)
        if not self._stop.is_set():
            raise UsageError("nobody said whether to pay, so nothing was begun", remedy="start the action again")
        return Reply.NO

    def refuse(self, want: PartWant, error: StembridgeError) -> None:
        self._books.refuse(want.file, error)

    def add(self, want: PartWant, job: Job) -> None:
        self._books.enter(job, want.file, want.parts, want.start)
        # Whoever comes after a crash must know what to cancel.
        self._out.write()

    async def begin(self, jobs: Sequence[Job]) -> None:  # noqa: ARG002 - the books have them
        self._out.write()

    async def _cancel(self, jobs: Iterable[str]) -> None:
        """Cancel what is this host's own, at its service first; workers that do that are waited for a while only."""
        store = self._session.store
        found = store.find_all(dict.fromkeys(jobs))
        own = [job.id for job in found if job.state.is_active and job.host == self.host]
        for job_id in own:
            # It may have settled in this moment.
            with suppress(UsageError):
                store.request_cancel(job_id)
        # With no worker there, the run would never end; the first that comes does what was asked for.
        with suppress(TimeoutError):
            async with asyncio.timeout(_CANCELLING if store.paths.is_shared else None):
                for job_id in own:
                    with suppress(UsageError):
                        await self._session.cancel(job_id, on_change=self.change)

    def change(self, job: Job, previous: Job | None) -> None:
        self._books.note(job)
        if previous is None or previous.state is not job.state:
            self._out.write()
        else:
            self._out.touch()

    async def _beat(self) -> None:
        while True:
            await self._sleep(BEAT)
            self._out.write()

    async def _watch(self) -> None:
        while not self.is_cancelled:
            await self._sleep(LOOK)
        self._stop.set()

    def _finish(self) -> int:
        code = self._code()
        status = self._out.status
        if self.is_cancelled:
            status.state, code = "cancelled", ExitCode.INTERRUPTED
            self._books.cancel_rest()
        elif code != ExitCode.INTERRUPTED:
            status.state = "done" if code is ExitCode.DONE else "failed"
            status.message = describe_failures(status)
            status.console += describe_labels(status, self._request.kind)
        # Interrupted by the system, the state stays: the next worker goes on.
        self._out.close()
        return code

    def _code(self) -> ExitCode:
        states = [self._session.store.get(job_id).state for job_id in self._books.jobs]
        if self._stop.is_set() and (not states or any(state.is_active for state in states)):
            return ExitCode.INTERRUPTED
        if self._books.worst:
            return self._books.worst
        if JobState.UNCONFIRMED in states:
            return ExitCode.UNCONFIRMED
        return ExitCode.DONE if all(state is JobState.DONE for state in states) else ExitCode.FAILED
