"""The core in a thread of its own, so that beets' thread is free to write tags and its database as results come.

Only beets' thread writes to the library; only this one talks to services and the job store.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from plugin_core.console.context import Logs
from plugin_core.errors import RefusedError, StembridgeError, UsageError
from plugin_core.model import Job, JobState, Source
from plugin_core.session import Session
from plugin_core.tasks import start
from stembridge_beets.tasks import Added, Changed, Event, Ready, Refused, Task
from stembridge_beets.trouble import Trouble, is_refused

if TYPE_CHECKING:
    from plugin_core.settings import Settings

T = TypeVar("T")
HOST: Final = "beets"
_STEP: Final = 0.01
_ENDED_BADLY: Final = frozenset({JobState.FAILED, JobState.UNCONFIRMED})
"""A job that was cancelled ended as its user wanted."""


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

    def plan(self, tasks: Sequence[Task], look: Callable[[int], None]) -> tuple[list[Ready], list[Refused]]:
        """Read every song and find out what its task would take and cost; nothing is stored, sent or spent.

        Args:
            tasks: what is wanted.
            look: hears how many songs are read; called in the core's thread.

        Raises:
            StembridgeError: an option is wrong, or the service refuses the account.
        """
        return self._call(self._plan(tasks, look))

    def work(self, ready: Sequence[Ready], *, may_buy: bool = False) -> Iterator[Event]:
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

    async def _plan(self, tasks: Sequence[Task], look: Callable[[int], None]) -> tuple[list[Ready], list[Refused]]:
        lanes = asyncio.Semaphore(self._threads or os.cpu_count() or 1)
        done = 0

        async def plan(task: Task) -> Ready | Refused:
            nonlocal done
            async with lanes:
                try:
                    return await self._offer(task)
                except (UsageError, RefusedError):
                    raise
                except StembridgeError as error:
                    return Refused(task, error)
                finally:
                    done += 1
                    look(done)

        planned = await _gather([plan(task) for task in tasks])
        return [one for one in planned if isinstance(one, Ready)], [one for one in planned if isinstance(one, Refused)]

    async def _offer(self, task: Task) -> Ready:
        source = await self.session.look(task.path)
        return Ready(task=task, offer=await self.session.offer(source, task.operation, force=task.force))

    async def _work(self, ready: Sequence[Ready], may_buy: bool) -> None:
        jobs: dict[str, Task] = {}
        for one in ready:
            if self._stop.is_set():
                return
            job = await self._add(one, may_buy)
            if job is not None and job.state.is_active:
                jobs[job.id] = one.task
            await asyncio.sleep(0)
        await self._all_taken()
        await self._run(jobs)

    async def _all_taken(self) -> None:
        """Wait for beets' thread: a forced job that is done before it is noted would be bought again after a kill."""
        taken = asyncio.Event()
        self._events.put(partial(self._loop.call_soon_threadsafe, taken.set))
        await taken.wait()

    async def _add(self, ready: Ready, may_buy: bool) -> Job | None:
        task, offer = ready.task, ready.offer
        try:
            known = self.session.store.find(task.job) if task.job else None
            job = None if known is None else await self._take_up(known, offer.source)
            if job is None:
                # What a job was forced to do it has done once.
                force = task.force and (known is None or known.state is not JobState.DONE)
                job, _ = await self.session.add(offer.source, offer.plan, host=HOST, force=force, may_buy=may_buy)
        except StembridgeError as error:
            self._events.put(Refused(task, error))
            return None
        self._events.put(Added(task, job))
        if not job.state.is_active:
            self._events.put(self._changed(task, job))
        return job

    async def _take_up(self, job: Job, source: Source) -> Job | None:
        """Return the job that an earlier run made, going on with what it has; None when a new one is to be made."""
        if job.state is JobState.DONE:
            return job if _stands(job) else None
        is_moved = job.source.path != source.path
        if is_moved:
            # While this plugin was off, or by other means than beets.
            if not await self._is_song_of(job, source):
                return None
            job = self.session.store.move(job.id, source)
        if self._goes_on(job):
            return self.session.retry(job.id)
        if not job.state.is_settled:
            # It waits no longer.
            return self.session.resume(job.id)
        # The account may be right by now, and the song be found.
        is_mended = is_refused(job) or (is_moved and job.state is JobState.FAILED)
        return None if is_mended else job

    async def _is_song_of(self, job: Job, source: Source) -> bool:
        if job.source.content == source.content:
            return True
        return await asyncio.to_thread(self.session.is_song_of, job, source.path)

    def _goes_on(self, job: Job) -> bool:
        return job.state in _ENDED_BADLY and self.session.store.goes_on(job)

    def _changed(self, task: Task, job: Job) -> Changed:
        return Changed(task, job, self._goes_on(job))

    async def _run(self, jobs: dict[str, Task]) -> None:
        shown: dict[str, float] = {}
        # Each lane is a run, and one may bring a job of another to its end; both tell of it.
        ended: set[str] = set()
        trouble = Trouble(self._tries)

        def changed(job: Job, previous: Job | None) -> None:
            if job.id not in jobs or job.id in ended:
                return
            if job.state.is_settled:
                ended.add(job.id)
            trouble.note(job)
            if previous is None or previous.state is not job.state or _has_moved(job, shown) or job.problem is not None:
                self._events.put(self._changed(jobs[job.id], job))
            if trouble.is_all:
                self._stop.set()

        ids = iter(jobs)
        lanes = [self._run_lane(ids, changed) for _ in range(self._threads)] or [self._run_all(list(jobs), changed)]
        await _gather(lanes)

    async def _run_lane(self, ids: Iterator[str], changed: Callable[[Job, Job | None], None]) -> None:
        # Once told to stop a run begins nothing, and tells of what others have brought to an end.
        for job_id in ids:
            await self._run_all([job_id], changed)

    async def _run_all(self, ids: list[str], changed: Callable[[Job, Job | None], None]) -> None:
        if ids:
            await self.session.run(ids, on_change=changed, stop=self._stop)


def _stands(job: Job) -> bool:
    """Tell whether the stems of a done job are where they were placed."""
    return all(os.path.lexists(stem.path) for stem in job.stems)


async def _gather(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all; the first error cancels the others and is raised itself, not in a group."""
    tasks = [start(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _has_moved(job: Job, shown: dict[str, float]) -> bool:
    fraction = (job.progress.fraction or 0.0) if job.progress else 0.0
    if fraction - shown.get(job.id, 0.0) < _STEP:
        return False
    shown[job.id] = fraction
    return True
