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

import msgspec

from plugin_core import Offer, Slice
from plugin_core.console.interrupt import stop_on_signals
from plugin_core.console.phrases import describe_question, has_price
from plugin_core.errors import ExitCode, StembridgeError, UsageError
from plugin_core.files.placement import explain_os_error
from plugin_core.model import Job, JobState, Operation, Separation, Source
from plugin_core.run import Asker, Ready, Reply, Run, Want
from plugin_core.session import Session
from plugin_core.tasks import start
from stembridge_reaper.choices import choose_operations
from stembridge_reaper.protocol import FileStatus, PartStatus, Request, Status, read_status
from stembridge_reaper.runs import BEAT, DISMISSED, ENDED, FINAL, LOOK, PATIENCE, ReaperSettings
from stembridge_reaper.selection import UsedFile, group_by_file, read_items
from stembridge_reaper.slices import Chooser, Stretch
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
from stembridge_reaper.takes import Span

_TELLING, _TELLING_SECONDS = 0.05, 3.0
"""Share of the work, and seconds, from which on the pace says how long it will take."""

_CANCELLING = 10.0
"""Seconds in which workers elsewhere are waited for to cancel what they work on."""


class PartWant(Want, frozen=True, kw_only=True):
    """One operation on one file or slice of it."""

    file: FileStatus
    parts: tuple[PartStatus, ...]
    """What of the file its results are for."""
    start: float = 0.0
    """Second of the file at which its stems begin."""


Task = Ready[PartWant]


class RequestPlanner:
    """Looks at files and plans the operations on them."""

    def __init__(
        self, session: Session, settings: ReaperSettings, operations: tuple[Operation, ...], media: Path | None
    ) -> None:
        self._session = session
        self._media = media
        self._settings = settings
        self._separations = [one for one in operations if isinstance(one, Separation)]
        self._taggings = [one for one in operations if not isinstance(one, Separation)]

    async def plan(self, file: UsedFile, status: FileStatus) -> list[Task]:
        """Return what there is to do for one file, and note its parts in the status.

        Raises:
            StembridgeError: the file cannot be used, or an operation not be done to it.
        """
        source = await self._session.look(file.path)
        status.parts.clear()
        wishes = [self._place(one, source) for one in self._separations]
        tasks = await self._plan_separations(file, source, wishes, status) if wishes else []
        if self._taggings:
            # Labels describe the song, whatever part of it is played, and stand in the song's own file.
            tasks += await self._plan_whole(source, self._taggings, status)
        return tasks

    def _place(self, wish: Separation, source: Source) -> Separation:
        """Return the wish with the project's media folder as its place, where stems go there."""
        folder = source.path.parent
        is_elsewhere = self._settings.stems_in == "project" or not os.access(folder, os.W_OK | os.X_OK)
        if wish.to or self._media is None or not is_elsewhere or self._media == folder:
            return wish
        # REAPER makes it with the first recording.
        try:
            self._media.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_os_error(error, self._media) from error
        return msgspec.structs.replace(wish, to=self._media)

    async def _plan_separations(
        self, file: UsedFile, source: Source, wishes: Sequence[Separation], status: FileStatus
    ) -> list[Task]:
        if not (file.spans and self._cuts()):
            return await self._plan_whole(source, wishes, status)
        recording, handles = await self._session.slices.recognise(source), self._settings.handles
        chosen = [await Chooser(self._session, source, recording, wish, handles).choose(file.spans) for wish in wishes]
        # By wish and place: what several parts need is done once.
        needs: dict[tuple[int, Slice | None], tuple[Stretch, list[PartStatus]]] = {}
        for stretches, spans in _group(chosen, file.spans):
            part = _describe_part(source, stretches, spans)
            status.parts.append(part)
            for number, stretch in enumerate(stretches):
                needs.setdefault((number, stretch.place), (stretch, []))[1].append(part)
        return [_make_task(one.offer, status, parts, start=_start(source, one)) for one, parts in needs.values()]

    def _cuts(self) -> bool:
        """Tell whether only what is played is separated."""
        said = self._settings.used_part_only
        return any(self._session.separator(one.provider).remote for one in self._separations) if said is None else said

    async def _plan_whole(self, source: Source, operations: Iterable[Operation], status: FileStatus) -> list[Task]:
        part = PartStatus()
        status.parts.append(part)
        offers = [await self._session.offer(source, operation) for operation in operations]
        return [_make_task(offer, status, [part]) for offer in offers]


def _make_task(offer: Offer, file: FileStatus, parts: Sequence[PartStatus], *, start: float = 0.0) -> Task:
    operation = offer.plan.operation
    want = PartWant(path=offer.source.path, operation=operation, file=file, parts=tuple(parts), start=start)
    return Ready(want=want, offer=offer)


def _group(
    chosen: Sequence[Sequence[Stretch | None]], spans: Sequence[Span]
) -> list[tuple[tuple[Stretch, ...], list[Span]]]:
    """Return the spans that have the same stretches, one a wish, with these."""
    groups: dict[tuple[Slice | None, ...], tuple[tuple[Stretch, ...], list[Span]]] = {}
    for span, *stretches in zip(spans, *chosen, strict=True):
        known = tuple(one for one in stretches if one is not None)
        if len(known) == len(stretches):
            groups.setdefault(tuple(one.place for one in known), (known, []))[1].append(span)
    return list(groups.values())


def _describe_part(source: Source, stretches: Sequence[Stretch], spans: Sequence[Span]) -> PartStatus:
    """Return the part that has all these stretches; an item may begin a little before a stretch of a lossy file."""
    places = [one.place for one in stretches if one.place is not None]
    if not places:
        return PartStatus()
    start, end = max(one.start for one in places), min(one.end for one in places)
    return PartStatus(
        start=min(start / source.sample_rate, *(span[0] for span in spans)),
        end=max(end / source.sample_rate, *(span[1] for span in spans)),
    )


def _start(source: Source, stretch: Stretch) -> float:
    return stretch.place.start / source.sample_rate if stretch.place else 0.0


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

    def worry(self, text: str) -> None:
        self._out.status.console.append(f"stembridge: {text}")
        self._out.write()

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
