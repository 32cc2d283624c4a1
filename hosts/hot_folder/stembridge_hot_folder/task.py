"""One version of one song, from its first look to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from plugin_core import Offer, Session
from plugin_core.console.phrases import describe_price, describe_problem
from plugin_core.errors import (
    MissingToolError,
    PlacementError,
    RefusedError,
    SourceError,
    StembridgeError,
    TransientError,
    UsageError,
)
from plugin_core.model import Job, JobState, Source
from plugin_core.run import Asker, Run, Want, is_refused
from stembridge_hot_folder.files import Fate, FileIdentity, Version, VersionChanged, path_of
from stembridge_hot_folder.finish import Finish
from stembridge_hot_folder.first_look import FirstLook, find_no_room
from stembridge_hot_folder.ledger import Row, SongState
from stembridge_hot_folder.queue import WaitingSong
from stembridge_hot_folder.record import SongRecord, write_error
from stembridge_hot_folder.strays import HOST, Strays, is_begun
from stembridge_hot_folder.tools import Tools

_ACCEPTED: Final = frozenset({JobState.RUNNING, JobState.FETCHING, JobState.PUBLISHING, JobState.DONE})
_NEXT: Final = {
    JobState.SUBMITTING: JobState.RUNNING,
    JobState.RUNNING: JobState.FETCHING,
    JobState.FETCHING: JobState.PUBLISHING,
}
"""Where a job goes once its service did what was asked of it."""
_ENDED_BADLY: Final = frozenset({JobState.FAILED, JobState.CANCELLED, JobState.UNCONFIRMED})


class SongTask:
    """A song at work.

    Args:
        song: what to do.
        tools: shared by all songs.
        attach: lets the engine work on a job of this song, and the song hear of it.
        strays: looks after the jobs of a song that is not at its path any more.
    """

    def __init__(
        self, song: WaitingSong, tools: Tools, attach: Callable[[SongTask, str], None], strays: Strays
    ) -> None:
        self.path = song.path
        self.folder = song.folder
        self.jobs: tuple[str, ...] = ()
        self.settled = asyncio.Event()
        """Set when one of the jobs may be settled, or the file may have changed."""
        self.is_aside = False
        self._tools = tools
        self._attach = attach
        self._strays = strays
        self._is_doubted = False
        self._recipe = tools.recipes[song.folder.path].choose(song.path)
        self._version = self._version_of(song.identity)
        self._record = SongRecord(song, self._recipe, tools)

    async def run(self) -> None:
        """Look, plan, add, wait and finish."""
        known = self._tools.ledger.get(self.path)
        try:
            known = await self._meet_earlier(known)
            if known is not None and known.identity == self._version.identity and await self._go_on(known):
                return
            source = await FirstLook(self._record, self._version, self._recipe, self._tools).take(known)
            if source is not None:
                is_forced = known is not None and known.state is SongState.RETRY and known.force
                await self._order(source, is_forced=is_forced)
            elif self._record.row.state is SongState.WORKING:
                await self._go_on(self._record.row)
        except VersionChanged:
            self._drop()
        except MissingToolError as error:
            self._record.postpone(str(error))
        except SourceError as error:
            self._fail_unless_gone(error)
        except TransientError as error:
            self._record.postpone(str(error))
        except (RefusedError, UsageError) as error:
            self._refuse(error.message, error.remedy)

    def see(self, identity: FileIdentity) -> None:
        """Take notice of what the path is now; whether that is another version is found out by reading it."""
        if identity != self._version.identity:
            self._is_doubted = True
            self.settled.set()

    def vanish(self) -> None:
        """Take notice that the file is gone."""
        self._is_doubted = True
        self.settled.set()

    def hear(self, job: Job, previous: Job | None) -> None:
        """Take notice of a change of one of the jobs."""
        is_asked = self._tools.queue.pauses.is_paused(self._record.row.recipe) and _is_answered(job, previous)
        if is_asked and all(one.state in _ACCEPTED for one in self._find_jobs()):
            self._record.accept()
        if job.state.is_settled:
            self.settled.set()

    def set_aside(self, job: Job) -> None:
        """Let others go before; the job goes on being tried."""
        self.is_aside = True
        reason = describe_problem(job)
        self._tools.queue.pauses.end_probe(self.path)
        self._tools.reporter.warn(self.path, f"in trouble for long, others go before: {reason}")
        write_error(self.path, reason, "nothing: it is tried again by itself")

    def _fail_unless_gone(self, error: SourceError) -> None:
        """End as failed, but for a song that vanished or changed while it was read."""
        try:
            self._version.require_same()
        except VersionChanged:
            self._drop()
        except TransientError as trouble:
            self._record.postpone(str(trouble))
        else:
            self.fail(error.message, error.remedy)

    def _drop(self) -> None:
        """Forget a version that is no longer there; a job that was made of it just then comes to its end."""
        if not self._tools.is_there(self.folder):
            self._tools.queue.put(self._record.song)
            return
        told, jobs = "it is gone or was replaced", self._find_jobs()
        if jobs:
            self._strays.add(self.folder, self.path, self.jobs, is_replaced=True)
        # What is still at work may be given back by its service.
        is_over = all(job.state.is_settled for job in jobs)
        self._record.drop(self._strays.describe(jobs, told) if is_over else told)

    def fail(self, reason: str, remedy: str) -> None:
        self._record.end_failed(reason, remedy)

    async def move_away(self) -> None:
        """Move a song that failed, or was done before under another name, where the settings say so."""
        row = self._record.row
        place = self.folder.failed if row.state is SongState.FAILED and not row.place else b""
        if self._record.is_duplicate:
            place = self.folder.duplicates
        if place:
            await Finish(self._record, self._version, self._tools).move_away(place)

    # The parts of a song's life

    def _version_of(self, identity: FileIdentity) -> Version:
        is_share = self.folder.rules().is_share
        return Version(self.path, identity, self._tools.session.is_song_of, is_share=is_share)

    async def _meet_earlier(self, known: Row | None) -> Row | None:
        """Bring what was begun with another version to an end; return what is known then.

        Raises:
            Changed: the version before cannot be moved away yet.
        """
        if known is None or not known.state.is_open or known.identity == self._version.identity:
            return known
        song = msgspec.structs.replace(self._record.song, identity=known.identity)
        version, jobs = self._version_of(known.identity), self._find_jobs(known.jobs)
        if await asyncio.to_thread(version.find, jobs) is Fate.SAME:
            # Only touched, or labelled by us.
            return msgspec.structs.replace(known, identity=self._version.identity)
        if known.state is not SongState.MOVING:
            if known.jobs:
                self._strays.add(self.folder, self.path, known.jobs, is_replaced=True)
            return known
        record = SongRecord(song, self._recipe, self._tools)
        record.row = known
        await Finish(record, version, self._tools).run(jobs)
        if record.row.state is SongState.MOVING:
            raise VersionChanged
        return record.row

    async def _go_on(self, row: Row) -> bool:
        """Go on where an earlier run ended; tell whether there was anything to go on with."""
        self._record.row = row
        if not row.state.is_open:
            return True
        jobs = self._find_jobs(row.jobs)
        if row.state is SongState.MOVING:
            await Finish(self._record, self._version, self._tools).run(jobs)
            return True
        if not jobs or len(jobs) < len(row.jobs):
            return self._begin_anew()
        was_stray = self._strays.take_back(row.jobs)
        if row.state is SongState.RETRY and all(job.state is JobState.DONE for job in jobs):
            return self._begin_anew()
        if any(_missed_its_song(job) or (was_stray and job.state in _ENDED_BADLY) for job in jobs):
            # The new job goes on from what the old one bought.
            return self._begin_anew()
        if row.state is SongState.WAITING and row.recipe != self._recipe.key and not any(map(_is_bought, jobs)):
            # Something else is to be done by now, and nothing was paid for.
            return self._begin_anew()
        for job in jobs:
            if job.state in _ENDED_BADLY and (row.state is SongState.RETRY or _passes(job)):
                # Another process may have done the same just now.
                with contextlib.suppress(UsageError):
                    self._tools.session.retry(job.id, force=row.state is SongState.RETRY and row.force)
        self._record.put(SongState.WORKING, reason="")
        self._is_doubted = True
        await self._work(row.jobs)
        return True

    def _begin_anew(self) -> bool:
        self._record.row = msgspec.structs.replace(self._record.row, recipe=self._recipe.key, jobs=())
        return False

    async def _order(self, source: Source, *, is_forced: bool) -> None:
        """Plan everything before anything is added, so that a preset that cannot be done costs nothing."""
        tools, record, asker = self._tools, self._record, _SongAsker()
        run = Run(tools.session, asker, preset=self._recipe.preset)
        wishes = self._recipe.operations
        ready = await run.offer_of([Want(path=source.path, operation=one, force=is_forced) for one in wishes], source)
        offers = [one.offer for one in ready]
        if trouble := await find_no_room(tools.session, offers, self.folder.path, self._recipe.key):
            record.wait(trouble)
            return
        record.find_room()
        if self._is_paused():
            tools.queue.put(record.song)
            return
        record.tell("taken", self._describe(offers))
        try:
            await run.add(ready)
        finally:
            self.jobs = tuple(asker.jobs)
        record.put(SongState.WORKING, content=source.content, jobs=tuple(asker.jobs))
        await self._work(asker.jobs)

    async def _work(self, jobs: Sequence[str]) -> None:
        self.jobs = tuple(dict.fromkeys(jobs))
        if self._goes_back():
            return
        for job_id in self.jobs:
            self._attach(self, job_id)
        while True:
            self.settled.clear()
            if (fate := await self._find_fate(self._find_jobs())) is not Fate.SAME:
                self._leave(fate)
                return
            found = self._find_jobs()
            if all(job.state.is_settled for job in found):
                await self._end(found)
                return
            await self.settled.wait()
            if self._goes_back():
                return

    def _is_paused(self) -> bool:
        return self.folder.path in self._tools.paused

    def _goes_back(self) -> bool:
        """Let a song wait again whose folder was paused before anything was begun; tell whether it does."""
        if not self._is_paused() or any(map(is_begun, self._find_jobs())):
            return False
        self._tools.queue.put(self._record.song)
        return True

    async def _find_fate(self, jobs: Sequence[Job]) -> Fate:
        """Tell whether the song is where it was taken, as far as anything is left to do for it."""
        has_moved = any(os.fsencode(job.source.path) != self.path for job in jobs)
        if not has_moved and (not self._is_doubted or all(job.state.is_settled for job in jobs)):
            return Fate.SAME
        self._is_doubted = False
        fate = await asyncio.to_thread(self._version.find, jobs)
        if has_moved and fate is Fate.SAME:
            path, ids = path_of(self.path), [job.id for job in jobs]
            return Fate.SAME if await asyncio.to_thread(come_back, self._tools.session, ids, path) else Fate.GONE
        return fate

    def _leave(self, fate: Fate) -> None:
        """Leave the jobs to go on without their song, which may turn up elsewhere."""
        if fate is Fate.REPLACED:
            self._drop()
        else:
            self._strays.add(self.folder, self.path, self.jobs)

    async def _end(self, jobs: Sequence[Job]) -> None:
        if jobs and all(job.state is JobState.DONE for job in jobs):
            await Finish(self._record, self._version, self._tools).run(jobs)
            return
        if await asyncio.to_thread(self._version.find, jobs) is not Fate.SAME:
            raise VersionChanged
        bad = next((job for job in jobs if job.state is not JobState.DONE), None)
        if bad is None:
            raise VersionChanged
        if bad.state is JobState.UNCONFIRMED:
            self._record.end_unconfirmed(describe_problem(bad))
        elif bad.state is JobState.CANCELLED:
            self._record.end_skipped("cancelled; to do it all the same: stembridge watch retry FILE")
        else:
            self._end_badly(bad)

    def _end_badly(self, job: Job) -> None:
        problem = job.problem
        if is_refused(job):
            self._refuse(problem.message if problem else "", problem.remedy if problem else "")
        elif _needs_tool(job) or (_passes(job) and self._tools.queue.tries(self.path) < self._tools.settings.attempts):
            self._record.put(SongState.WAITING, reason=describe_problem(job))
            self._record.postpone(describe_problem(job))
        else:
            self.fail(problem.message if problem else "its job failed", problem.remedy if problem else "")

    def _refuse(self, reason: str, remedy: str) -> None:
        """Let all songs of the recipe wait: it is the account that is refused, or the settings that are wrong."""
        text = f"{reason}; {remedy}" if remedy else reason
        if self._record.row.jobs:
            self._record.put(SongState.WAITING, reason=text)
        self._record.pause(self._record.row.recipe, text, is_refusal=True)

    def _find_jobs(self, ids: Sequence[str] | None = None) -> list[Job]:
        return self._tools.session.store.find_all(self.jobs if ids is None else ids)

    def _describe(self, offers: Sequence[Offer]) -> str:
        price = describe_price(offers)
        return ", ".join(word for word in (self._recipe.preset or "separate", price) if word)


class _SongAsker(Asker[Want]):
    """Asks for one song: nobody is there to be asked, and what it meets is the song's end or rest."""

    host = HOST

    def __init__(self) -> None:
        self.jobs: list[str] = []

    def refuse(self, want: Want, error: StembridgeError) -> None:  # noqa: ARG002 - the song is known
        raise error

    def add(self, want: Want, job: Job) -> None:  # noqa: ARG002 - the song is known
        self.jobs.append(job.id)


def come_back(session: Session, ids: Sequence[str], path: Path) -> bool:
    """Let jobs that followed a song come back with it, as when its folder was renamed and got its name again."""
    jobs = session.store.find_all(ids)
    elsewhere = {job.source.path for job in jobs} - {path}
    if any(one.name != path.name or os.path.lexists(one) for one in elsewhere):
        return False
    gone = [stem.path for job in jobs for stem in job.stems if not os.path.lexists(stem.path)]
    for one in elsewhere:
        # With the stems that were placed beside it there; other songs may have stayed.
        places = [one, *gone] if os.path.lexists(one.parent) else [one.parent]
        for place in (each for each in places if each.is_relative_to(one.parent)):
            session.moved(place, path.parent / place.relative_to(one.parent))
    return all(job.source.path == path for job in session.store.find_all(ids))


def _is_answered(job: Job, previous: Job | None) -> bool:
    """Tell whether the service did something for a job just now, which it does not for an account that it refuses."""
    if previous is None or job.problem is not None:
        return False
    if job.state is previous.state:
        # Asked how far it is, it said when to ask again.
        return job.state is JobState.RUNNING and job.due > previous.due
    return _NEXT.get(previous.state) is job.state


def _missed_its_song(job: Job) -> bool:
    """Tell whether a job failed because its song was not there, or could not be read."""
    return job.state is JobState.FAILED and job.problem is not None and job.problem.kind == SourceError.__name__


def _passes(job: Job) -> bool:
    """Tell whether a job failed for a reason that is not its song's: it goes on from where it is."""
    is_unplaced = job.problem is not None and job.problem.kind == PlacementError.__name__
    return is_unplaced or is_refused(job) or _needs_tool(job)


def _needs_tool(job: Job) -> bool:
    """Tell whether a job failed for want of ffmpeg, which may come later."""
    return job.problem is not None and job.problem.kind == MissingToolError.__name__


def _is_bought(job: Job) -> bool:
    return job.ticket is not None or job.state is not JobState.FAILED
