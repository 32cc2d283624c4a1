"""The core in a thread of its own, so that beets' thread is free to write tags and its database as results come.

Only beets' thread writes to the library; only this one talks to services and the job store.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from plugin_core import Policy
from plugin_core.console.context import Logs
from plugin_core.errors import StembridgeError
from plugin_core.model import Job, JobState
from plugin_core.run import Asker, Ready, Reply, Run
from plugin_core.session import Session
from stembridge_beets.tasks import Added, Changed, Event, Refused, Task

if TYPE_CHECKING:
    from plugin_core.settings import Settings


_SEARCH: Final = Policy().search_for


class Trouble:
    """Watches which jobs move on.

    Args:
        tries: how often each job in trouble is tried before waiting is given up.
        clock: seconds since the epoch.
    """

    def __init__(self, tries: int, *, clock: Callable[[], float] = time.time) -> None:
        self._tries = tries
        self._clock = clock
        self._stuck: set[str] = set()
        self._moving: set[str] = set()

    def note(self, job: Job) -> None:
        """Hear how a job stands."""
        self._stuck.discard(job.id)
        self._moving.discard(job.id)
        if not job.state.is_active:
            return
        if job.problem is not None and job.attempts >= self._tries and not self._is_sought(job):
            self._stuck.add(job.id)
        elif job.state is not JobState.QUEUED or job.problem is not None:
            self._moving.add(job.id)

    @property
    def is_all(self) -> bool:
        """Whether every job that was begun is stuck; those that were not wait for the slots of these."""
        return bool(self._stuck) and not self._moving

    def _is_sought(self, job: Job) -> bool:
        """Tell whether the job's lost answer is looked for: that comes to an end by itself, however often it looks."""
        return job.state is JobState.SUBMITTING and self._clock() < job.updated + _SEARCH


T = TypeVar("T")
HOST: Final = "beets"
_STEP: Final = 0.01


class CoreThread:
    """A session, and the loop that drives it.

    Args:
        settings: where the session's settings come from.
        threads: songs in work at the same time; 0 for as many as the services allow.
        tries: when to stop waiting for what is in trouble.
        make_session: opens the session.
    """

    def __init__(
        self, settings: Settings, *, threads: int, tries: int, make_session: Callable[[Settings], Session] = Session
    ) -> None:
        self._settings = settings
        self._threads = threads
        self._tries = tries
        self._make_session = make_session
        self._logs = Logs(settings.home)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="stembridge", daemon=True)
        self._events: queue.SimpleQueue[Event | Callable[[], object] | None] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        # Beets shows what its own logger is told; what the core tells would reach the terminal as it is.
        self._logs.open(verbose=False, quiet=False)
        self._thread.start()
        try:
            self.session, self._stop = self._call(self._open())
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._call(self._close())
        finally:
            self._end()

    def stop(self) -> None:
        """Let the run end at the next safe point; may be called in a signal handler."""
        self._loop.call_soon_threadsafe(self._stop.set)

    def plan(self, tasks: Sequence[Task], look: Callable[[int], None]) -> tuple[list[Ready[Task]], list[Refused]]:
        """Read every song and find out what its task would take and cost; nothing is stored, sent or spent.

        Args:
            tasks: what is wanted.
            look: hears how many songs are read; called in the core's thread.

        Raises:
            StembridgeError: an option is wrong, or the service refuses the account.
        """
        return self._call(self._plan(tasks, look))

    def work(self, ready: Sequence[Ready[Task]], *, may_buy: bool = False) -> Iterator[Event]:
        """Do it, and yield what happens as it happens.

        Args:
            ready: what is to be done.
            may_buy: the user's word that what was bought before, and is gone, may be bought again.

        Raises:
            StembridgeError: the store cannot be used any more.
        """
        future = asyncio.run_coroutine_threadsafe(self._work(ready, may_buy), self._loop)
        future.add_done_callback(lambda _: self._events.put(None))
        while (event := self._events.get()) is not None:
            if callable(event):
                event()
            else:
                yield event
        future.result()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> tuple[Session, asyncio.Event]:
        return self._make_session(self._settings), asyncio.Event()

    async def _close(self) -> None:
        """Cancel what still runs when beets' thread was interrupted, and give the store back."""
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        self.session.close()
        # What asyncio.run does at its end; connections need it to go in order.
        await self._loop.shutdown_asyncgens()
        await self._loop.shutdown_default_executor()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._logs.close()

    async def _plan(
        self, tasks: Sequence[Task], look: Callable[[int], None]
    ) -> tuple[list[Ready[Task]], list[Refused]]:
        planner = _Planner(look)
        run = Run(self.session, planner, lanes=self._threads or os.cpu_count() or 1)
        return await run.offer(tasks), planner.refused

    async def _work(self, ready: Sequence[Ready[Task]], may_buy: bool) -> None:
        worker = _Worker(self._events, self._tries)
        run = worker.run = Run(self.session, worker, threads=self._threads)
        run.stop = self._stop
        jobs = await run.add(ready, Reply.AGAIN if may_buy else Reply.YES)
        if not self._stop.is_set():
            await run.work(jobs)


class _Planner(Asker[Task]):
    """Hears how far the look is.

    Args:
        told: hears how many songs are read.
    """

    def __init__(self, told: Callable[[int], None]) -> None:
        self.refused: list[Refused] = []
        self._told = told

    def look(self, done: int, count: int) -> None:  # noqa: ARG002 - beets counts itself
        self._told(done)

    def refuse(self, want: Task, error: StembridgeError) -> None:
        self.refused.append(Refused(want, error))


class _Worker(Asker[Task]):
    """Hands what happens on to beets' thread.

    Args:
        events: what that thread reads.
        tries: when to stop waiting for what is in trouble.
    """

    host = HOST
    run: Run[Task]

    def __init__(self, events: queue.SimpleQueue[Event | Callable[[], object] | None], tries: int) -> None:
        self._events = events
        self._trouble = Trouble(tries)
        self._tasks: dict[str, Task] = {}
        self._shown: dict[str, float] = {}

    def refuse(self, want: Task, error: StembridgeError) -> None:
        self._events.put(Refused(want, error))

    def add(self, want: Task, job: Job) -> None:
        self._tasks[job.id] = want
        self._events.put(Added(want, job))

    def reuse(self, want: Task, job: Job) -> None:
        self._events.put(Changed(want, job))

    async def begin(self, jobs: Sequence[Job]) -> None:  # noqa: ARG002 - beets' thread knows them
        """Wait for beets' thread: a forced job that is done before it is noted would be bought again after a kill."""
        taken, loop = asyncio.Event(), asyncio.get_running_loop()
        self._events.put(partial(loop.call_soon_threadsafe, taken.set))
        await taken.wait()

    def change(self, job: Job, previous: Job | None) -> None:
        self._trouble.note(job)
        if (
            previous is None
            or previous.state is not job.state
            or job.problem is not None
            or _has_moved(job, self._shown)
        ):
            self._events.put(Changed(self._tasks[job.id], job, self.run.goes_on(job)))
        if self._trouble.is_all:
            self.run.stop.set()


def _has_moved(job: Job, shown: dict[str, float]) -> bool:
    fraction = (job.progress.fraction or 0.0) if job.progress else 0.0
    if fraction - shown.get(job.id, 0.0) < _STEP:
        return False
    shown[job.id] = fraction
    return True
