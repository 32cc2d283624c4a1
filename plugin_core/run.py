"""One run, whoever asks for it: look, offer, ask, add, work, and hear of the ends.

::

    class Printer(Asker[Want]):
        def change(self, job: Job, previous: Job | None) -> None:
            print(job.source.path, job.state)

    async def separate(session: Session, paths: Sequence[Path]) -> None:
        await Run(session, Printer()).do([Want(path=path, operation=Separation(provider="local")) for path in paths])
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Collection, Coroutine, Iterator, Sequence
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from plugin_core.errors import ExitCode, RefusedError, SettingsError, StembridgeError, StoreError, UsageError
from plugin_core.model import Job, JobState, Operation, Source
from plugin_core.purchases.purchase import Offer
from plugin_core.session import Session
from plugin_core.tasks import run_stoppable, start

log = logging.getLogger(__name__)

T = TypeVar("T")
ENDED_BADLY = frozenset({JobState.FAILED, JobState.UNCONFIRMED})
"""A job that was cancelled ended as its user wanted."""


class Want(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on one song; a host adds what it needs to know the song by."""

    path: Path
    operation: Operation
    force: bool = False
    """Whether it shall be made and bought again."""
    job: str = ""
    """Id of the job that an earlier run made for it, to go on with."""


W = TypeVar("W", bound=Want)


class Ready(msgspec.Struct, Generic[W], frozen=True, kw_only=True):
    """What can be done."""

    want: W
    offer: Offer


class Reply(Enum):
    """The user's word on what a run would do and cost."""

    NO = "no"
    YES = "yes"
    AGAIN = "again"
    """Yes, and what was bought before and is gone may be bought again."""


class Asker(Generic[W]):
    """Who asks for a run, and hears of it in the run's loop; each method may be left as it is."""

    host = "cli"
    """What the job store says of who asked."""
    keeps_ids = True
    """Whether it looks for jobs by their ids later: then what stands, and no job here made, gets one in the store."""
    keeps_rest = False
    """Whether a run that is told to stop stores what it has not come to, for ``stembridge jobs resume``."""

    def look(self, done: int, count: int) -> None:
        """Hear how many songs have been looked at, from 0 to all."""

    def refuse(self, want: W, error: StembridgeError) -> None:
        """Hear that a song cannot be used, or a want not be done to it; the run goes on."""

    async def ask(self, ready: Sequence[Ready[W]]) -> Reply:  # noqa: ARG002 - others read it
        """Say whether to go on, before anything is stored, sent or spent."""
        return Reply.YES

    def reuse(self, want: W, job: Job) -> None:
        """Hear that the results stand already."""

    def add(self, want: W, job: Job) -> None:
        """Hear of the job that does what is wanted, which may be settled."""

    async def begin(self, jobs: Sequence[Job]) -> None:
        """Hear of the jobs that are worked on now."""

    def change(self, job: Job, previous: Job | None) -> None:
        """Hear of each change of one of them, and of its end once; cheap."""

    def worry(self, text: str) -> None:
        """Hear, in a line, what keeps all jobs waiting."""
        log.warning(text)

    async def ask_again(self, jobs: Sequence[Job]) -> bool:  # noqa: ARG002 - others read it
        """Say whether to buy once more what turned out not to be had."""
        return False


class Run(Generic[W]):
    """One run.

    Args:
        session: the core.
        asker: asks for it.
        preset: name of the recipe that was started from.
        lanes: songs that are looked at, at the same time.
        threads: jobs that are in work at the same time; 0 for as many as the services allow.
        foresees: whether offers say which files would be made.
    """

    def __init__(
        self,
        session: Session,
        asker: Asker[W],
        *,
        preset: str = "",
        lanes: int = 1,
        threads: int = 0,
        foresees: bool = False,
    ) -> None:
        self.session = session
        self.stop = asyncio.Event()
        """Ends the run at the next safe point, every job resumable."""
        self.jobs: list[Job] = []
        """The jobs as they stood at the end."""
        self.reused: list[Job] = []
        """Those whose results stood before."""
        self.has_begun = False
        """Whether there may be a job that was not there before."""
        self._asker = asker
        self._preset = preset
        self._lanes = lanes
        self._threads = threads
        self._foresees = foresees
        self._unheard: OSError | None = None

    @property
    def finished(self) -> list[Job]:
        """The jobs whose results stand, made now or before."""
        return [*self.reused, *(job for job in self.jobs if job.state is JobState.DONE)]

    async def do(self, wants: Sequence[W]) -> None:
        """Do all of it.

        Raises:
            UsageError: an option is wrong; nothing was begun.
            RefusedError: the service refuses the account; nothing was begun.
            StoreError: the job store cannot be used.
        """
        ready = await self.offer(wants)
        if (answer := await self._asker.ask(ready)) is not Reply.NO:
            await self.work(await self.add(ready, answer))

    async def resume(self, ids: Collection[str]) -> None:
        """Work on jobs that exist, at once; unconfirmed ones are looked for."""
        self.has_begun = True
        await self.work([self.session.resume(job_id) for job_id in ids])
        if not ids:
            # What killed processes left at their services is given back also when nothing else is to be done.
            await self.session.run([])

    async def offer(self, wants: Sequence[W]) -> list[Ready[W]]:
        """Look at each song once, and find out what each want would take and cost; nothing is stored, sent or spent.

        Raises:
            UsageError: an option is wrong.
            RefusedError: the service refuses the account.
            StoreError: the job store cannot be read.
        """
        songs = [list(same) for _, same in groupby(wants, lambda want: want.path)]
        lanes, done = asyncio.Semaphore(self._lanes), 0
        self._asker.look(0, len(songs))

        async def offer(song: list[W]) -> list[Ready[W]]:
            nonlocal done
            async with lanes:
                found = await self.offer_of(song)
            done += 1
            self._asker.look(done, len(songs))
            return found

        return [ready for song in await _gather([offer(song) for song in songs]) for ready in song]

    async def offer_of(self, wants: Sequence[W], source: Source | None = None) -> list[Ready[W]]:
        """Do what ``offer`` does, for one song; ``source`` is what it is where it was looked at already."""
        found: list[Ready[W]] = []
        try:
            for want in wants:
                # A job that goes on does so from the song as it is read.
                offer = None if source or want.force or want.job else await self._recall(want)
                if offer is None:
                    source = source or await self.session.look(want.path)
                    offer = await self.session.offer(source, want.operation, force=want.force)
                found.append(Ready(want=want, offer=await self._foresee(want, offer)))
        except (UsageError, RefusedError, StoreError):
            raise
        except StembridgeError as error:
            self._asker.refuse(wants[len(found)], error)
        return found

    async def _recall(self, want: W) -> Offer | None:
        """Return the offer of what is done already, told by the status of song and stems; None where it is not sure."""
        session = self.session
        source = await run_stoppable(lambda _: session.memory.recall(want.path)) if session.has_store else None
        known = session.store.recordings.known(source.content) if source is not None else None
        if source is None or known is None:
            return None
        plan = await session.plan(source, want.operation, may_refuse=False)
        remote = session.registry.provider_of(plan.operation).remote
        return await session.history.recall(Offer(source=source, plan=plan, remote=remote), known)

    async def _foresee(self, want: W, offer: Offer) -> Offer:
        if not self._foresees or offer.standing is not None:
            return offer
        if want.force and (job := (await self.session.offer(offer.source, want.operation)).standing) is not None:
            # They take the place of those that nobody changed.
            files = {one.name: one.path for one in (*job.stems, *job.projects)}
            return msgspec.structs.replace(offer, files=files)
        from plugin_core.operations.plans import foresee_files

        files = await asyncio.to_thread(foresee_files, self.session.settings, offer.source, offer.plan)
        return msgspec.structs.replace(offer, files=files)

    async def add(self, ready: Sequence[Ready[W]], answer: Reply = Reply.YES) -> list[Job]:
        """Store a job for each, unless its results stand; return those that are to be worked on.

        Raises:
            StoreError: the job store cannot be used.
        """
        self.has_begun = True
        added: dict[str, Job] = {}
        for one in ready:
            if self.stop.is_set() and not self._asker.keeps_rest:
                break
            try:
                job = await self._add(one, answer)
            except StoreError:
                raise
            except StembridgeError as error:
                self._asker.refuse(one.want, error)
                continue
            self._asker.add(one.want, job)
            if job.state.is_active:
                added[job.id] = job
            elif job.state is JobState.DONE:
                self.reused.append(job)
                self._asker.reuse(one.want, job)
            else:
                self.jobs.append(job)
                self._asker.change(job, None)
            # An asker that is told by other tasks hears of each as it comes.
            await asyncio.sleep(0)
        return list(added.values())

    async def _add(self, ready: Ready[W], answer: Reply) -> Job:
        want, offer = ready.want, ready.offer
        known = self.session.store.find(want.job) if want.job else None
        if known is not None and (job := await self._take_up(known, offer.source)) is not None:
            return job
        if offer.standing is not None and (not self._asker.keeps_ids or self._is_stored(offer.standing)):
            return offer.standing
        job, _ = await self.session.add(
            offer.source,
            offer.plan,
            host=self._asker.host,
            preset=self._preset,
            # What a job was forced to do it has done once.
            force=want.force and (known is None or known.state is not JobState.DONE),
            may_buy=answer is Reply.AGAIN and offer.is_bought_again,
        )
        return job

    def _is_stored(self, job: Job) -> bool:
        return self.session.store.find(job.id) is not None

    async def _take_up(self, job: Job, source: Source) -> Job | None:
        """Return the job that an earlier run made, going on with what it has; None when a new one is to be made."""
        if job.state is JobState.DONE:
            return job if stands(job) else None
        is_moved = job.source.path != source.path
        if is_moved:
            # By other means than the host's own.
            if not await self._is_song_of(job, source):
                return None
            job = self.session.store.move(job.id, source)
        if self.goes_on(job):
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

    def goes_on(self, job: Job) -> bool:
        """Tell whether a job ended badly and would go on from what it has: nothing of it is bought again."""
        return job.state in ENDED_BADLY and self.session.store.goes_on(job)

    async def work(self, jobs: Sequence[Job]) -> None:
        """Work until the jobs are settled, or the run is told to stop.

        Raises:
            OSError: the asker cannot tell what it hears any more; the jobs are resumable.
            StoreError: the job store cannot be used any more.
        """
        await self._asker.begin(jobs)
        ended = {job.id: job for job in await self._work([job.id for job in jobs])}
        gone = [job for job in ended.values() if job.problem is not None and job.problem.needs_word]
        if gone and not self.stop.is_set() and await self._asker.ask_again(gone):
            again = [self.session.retry(job.id, force=True) for job in gone]
            await self._asker.begin(again)
            ended |= {job.id: job for job in await self._work([job.id for job in again])}
        self.jobs += ended.values()

    async def _work(self, ids: Sequence[str]) -> list[Job]:
        queue, settled = iter(dict.fromkeys(ids)), set[str]()
        lanes = [self._work_lane(queue, settled) for _ in range(self._threads)]
        found = await _gather(lanes or [self._work_on(list(queue), settled)])
        if self._unheard is not None:
            raise self._unheard
        return [job for lane in found for job in lane]

    async def _work_lane(self, ids: Iterator[str], settled: set[str]) -> list[Job]:
        # Once told to stop the engine begins nothing, and tells of what others have brought to an end.
        return [job for job_id in ids for job in await self._work_on([job_id], settled)]

    async def _work_on(self, ids: list[str], settled: set[str]) -> list[Job]:
        def hear(job: Job, previous: Job | None) -> None:
            # One lane may bring a job of another to its end; both tell of it.
            if job.id in settled:
                return
            if job.state.is_settled:
                settled.add(job.id)
            try:
                self._asker.change(job, previous)
            except OSError as error:
                # Nobody reads any more, or the disk below the output is full. Raised here it would end the engine in
                # the middle of a step; a stop leaves every job resumable.
                self._unheard = error
                self.stop.set()

        if not ids:
            return []
        return await self.session.run(ids, on_change=hear, on_worry=self._asker.worry, stop=self.stop)


def stands(job: Job) -> bool:
    """Tell whether the stems of a done job are where they were placed."""
    return all(os.path.lexists(stem.path) for stem in job.stems)


def is_refused(job: Job) -> bool:
    """Tell whether a job failed of the account or of a setting, which the user can put right, and not of its song."""
    problem = job.problem
    if job.state is not JobState.FAILED or problem is None:
        return False
    return problem.exit_code == ExitCode.REFUSED or problem.kind == SettingsError.__name__


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
