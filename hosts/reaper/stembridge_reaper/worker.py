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
from plugin_core.console.prices import describe_question, has_price
from plugin_core.errors import ExitCode, StembridgeError, UsageError
from plugin_core.model import Job, JobState, Operation, Tagging
from plugin_core.presets import find_preset
from plugin_core.run import Asker, Reply, Run
from plugin_core.session import Session
from plugin_core.tasks import start
from plugin_core.wishes import TAGS
from stembridge_reaper.planner import PartWant, RequestPlanner, Task
from stembridge_reaper.protocol import FileStatus, InsertSettings, Request, Status, read_jobs
from stembridge_reaper.settings import ReaperSettings
from stembridge_reaper.status import Books, StatusFile


def choose_operations(session: Session, request: Request, settings: ReaperSettings) -> tuple[Operation, ...]:
    """Return what to do to each file.

    Raises:
        UsageError: there is no such preset, or nobody who labels.
    """
    if request.kind == "separate":
        return find_preset(session.settings, request.preset).operations
    if request.kind == "label":
        return _label_operations(session, request.preset or settings.label_preset)
    raise UsageError(f"a request of kind {request.kind!r} is unknown", remedy="run `stembridge reaper install` again")


def _label_operations(session: Session, name: str) -> tuple[Operation, ...]:
    if name:
        preset = find_preset(session.settings, name)
        found = tuple(one for one in preset.operations if isinstance(one, Tagging))
        if not found:
            raise UsageError(f"preset {preset.name!r} labels nothing", remedy="correct [reaper] label_preset")
        return found
    wish = session.settings.section("tags", TAGS).as_operation()
    if not session.taggers:
        raise UsageError("no tagger is installed", remedy="stembridge plugins lists what is")
    if not wish.provider and len(session.taggers) > 1:
        names = ", ".join(sorted(session.taggers))
        raise UsageError(f"there are several taggers ({names})", remedy="name one in [tags] provider")
    return (wish,)


BEAT = 2.0
LOOK = 0.2
"""Seconds between two looks for the files ``cancel`` and ``go``."""

PATIENCE = 3600.0
"""Seconds that a question about the price waits for an answer."""


class Worker(Asker[PartWant]):
    """One request being worked on.

    Args:
        session: the core.
        request: what to do.
        folder: the run's folder.
        sleep: waits for some seconds.
    """

    host = "reaper"

    def __init__(
        self,
        session: Session,
        request: Request,
        folder: Path,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._session = session
        self._request = request
        self._folder = folder
        self._sleep = sleep
        self._settings = session.settings.section("reaper", ReaperSettings)
        self._run = Run(session, self, preset=request.preset)
        self._stop = self._run.stop
        self._files = {one.key: FileStatus(key=one.key, path=one.path) for one in request.files}
        status = Status(
            id=request.id,
            pid=os.getpid(),
            heartbeat=0.0,
            settings=InsertSettings(mute_source=self._settings.mute_source, show_in_items=self._settings.show_in_items),
            files=list(self._files.values()),
        )
        self._earlier = read_jobs(folder / "status.json")
        """What a worker that died had begun for this run."""
        status.jobs = list(self._earlier)
        self._out = StatusFile(folder / "status.json", status)
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

    async def _work(self) -> None:
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
        for file in self._request.files:
            if self._stop.is_set():
                break
            try:
                tasks += await planner.plan(file, self._files[file.key])
            except StembridgeError as error:
                self._books.refuse(self._files[file.key], error)
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
        """Cancel what is this host's own, at its service first."""
        for job_id in dict.fromkeys(jobs):
            job = self._session.store.find(job_id)
            if job is not None and job.state.is_active and job.host == self.host:
                # It may have settled in this moment.
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
