"""One version of one song, from its first look to its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from plugin_core.cli.display.words import describe_problem, describe_result
from plugin_core.cli.offers import describe_price
from plugin_core.errors import PlacementError, SourceError, StembridgeError, TransientError, UsageError
from plugin_core.model import Job, JobState, Plan, Source, Tagging
from stembridge_hot_folder import checking, error_file
from stembridge_hot_folder.identity import Identity, read_identity
from stembridge_hot_folder.ledger import Row, SongState
from stembridge_hot_folder.moving import move_all, plan_moves
from stembridge_hot_folder.queueing import Waiting
from stembridge_hot_folder.standing import is_own_work, why_done_before

if TYPE_CHECKING:
    from stembridge_hot_folder.shop import Tools

CRASHES = 10
"""Looks that may end with the process before a file is held to be the cause."""


class Changed(Exception):  # noqa: N818 - no error: another version is there now, or none
    """What lies at the path is no longer what was taken."""


class Task:
    """A song at work.

    Args:
        song: what to do.
        tools: shared by all songs.
        attach: lets the engine work on a job of this song, and the song hear of it.
    """

    def __init__(self, song: Waiting, tools: Tools, attach: Callable[[Task, str], None]) -> None:
        self.song = song
        self.jobs: tuple[str, ...] = ()
        self.settled = asyncio.Event()
        """Set when one of the jobs may be settled."""
        self.is_aside = False
        self._tools = tools
        self._attach = attach
        self._is_gone = False
        self._recipe = tools.recipes[song.folder.path].choose(song.path)
        self._path = Path(os.fsdecode(song.path))
        self._row = Row(
            path=song.path,
            root=song.folder.path,
            identity=song.identity,
            state=SongState.LOOKING,
            recipe=self._recipe.key,
        )

    async def run(self) -> None:
        """Look, plan, add, wait and finish."""
        known = self._tools.ledger.get(self.song.path)
        try:
            if known is not None and known.identity == self.song.identity and await self._go_on(known):
                return
            await self._begin(known)
        except Changed:
            self._drop()
        except TransientError as error:
            self._postpone(str(error))

    def see(self, identity: Identity) -> None:
        """Take notice of what the path is now; our own labels change a file as well, so a tagging decides itself."""
        if identity != self.song.identity and not self._writes_tags():
            self._give_up("was replaced")

    def vanish(self) -> None:
        """Take notice that the file is gone."""
        self._give_up("is gone")

    def set_aside(self, job: Job) -> None:
        """Let others go before; the job goes on being tried."""
        self.is_aside = True
        reason = describe_problem(job)
        self._tools.reporter.warn(self.song.path, f"in trouble for long, others go before: {reason}")
        error_file.write_error(self.song.path, reason, "nothing: it is tried again by itself")

    def fail(self, reason: str, remedy: str) -> None:
        """End as failed, with the reason beside the song."""
        text = f"{reason}; {remedy}" if remedy else reason
        self._put(SongState.FAILED, reason=text)
        self._tools.counts.failed += 1
        self._tools.queue.succeed(self.song.path)
        self._tools.reporter.tell("failed", self.song.path, text, is_trouble=True)
        error_file.write_error(self.song.path, reason, remedy)

    # The parts of a song's life

    async def _go_on(self, row: Row) -> bool:
        """Go on where an earlier run ended; tell whether there was anything to go on with."""
        self._row = row
        if row.state is SongState.MOVING:
            await self._finish([job for job in map(self._tools.session.store.find, row.jobs) if job is not None])
            return True
        if row.state not in (SongState.WORKING, SongState.RETRY) or not row.jobs:
            return False
        jobs = [self._tools.session.store.find(job_id) for job_id in row.jobs]
        if any(job is None for job in jobs):
            return False
        if row.state is SongState.RETRY:
            if all(job is not None and job.state is JobState.DONE for job in jobs):
                return False
            self._retry([job for job in jobs if job is not None])
        self._put(SongState.WORKING)
        await self._work(row.jobs)
        return True

    def _retry(self, jobs: list[Job]) -> None:
        for job in jobs:
            if job.state in (JobState.FAILED, JobState.CANCELLED, JobState.UNCONFIRMED):
                # Another process may have done the same just now.
                with contextlib.suppress(UsageError):
                    self._tools.session.retry(job.id)

    async def _begin(self, known: Row | None) -> None:
        self._require_same()
        is_forced = known is not None and known.state is SongState.RETRY
        is_same = known is not None and known.identity == self.song.identity
        tries = known.tries if known is not None and is_same and not is_forced else 0
        if tries >= CRASHES:
            self.fail(f"stembridge ended {tries} times while it read this file", "look whether other programs play it")
            return
        if why := checking.why_not_readable(self.song.path):
            self._require_same()
            self._postpone(why)
            return
        self._put(SongState.LOOKING, tries=tries + 1)
        if await asyncio.to_thread(self._is_ours):
            self._skip("made by stembridge")
            return
        source = await self._look()
        if known is not None and not is_forced and self._is_same_song(known, source):
            return
        if not is_forced and (why := await self._why_done(source)):
            self._skip(f"{why}; to do it all the same: stembridge watch retry FILE")
            return
        await self._order(source, is_forced=is_forced)

    async def _look(self) -> Source:
        try:
            source = await self._tools.session.look(self._path)
        except SourceError:
            self._require_same()
            raise
        self._require_same()
        return source

    def _is_ours(self) -> bool:
        return self._tools.ledger.is_output(self.song.path) or is_own_work(self._path)

    def _is_same_song(self, known: Row, source: Source) -> bool:
        """Recognise a file that was only touched, or that our own labels changed, since it was done."""
        if known.state is not SongState.DONE or known.recipe != self._recipe.key or self._tools.settings.again:
            return False
        if known.content != source.content:
            written = self._tools.session.store.written_as(source.content)
            if not any(job.id in known.jobs for job in written):
                return False
        jobs = [self._tools.session.store.find(job_id) for job_id in known.jobs]
        if not all(job is not None and all(stem.path.exists() for stem in job.stems) for job in jobs):
            return False
        self._row = msgspec.structs.replace(known, identity=self.song.identity)
        self._put(SongState.DONE, content=source.content)
        self._tools.counts.skipped += 1
        self._tools.reporter.tell("skipped", self.song.path, "the same content as before, which is done")
        return True

    async def _why_done(self, source: Source) -> str:
        if self._tools.settings.again:
            return ""
        tools = self._tools
        return await asyncio.to_thread(
            why_done_before, tools.session, tools.ledger, self.song.path, source.content, self._recipe.key
        )

    async def _order(self, source: Source, *, is_forced: bool) -> None:
        """Plan everything before anything is added, so that a preset that cannot be done costs nothing."""
        tools = self._tools
        plans = [await tools.session.plan(source, operation) for operation in self._recipe.operations]
        why = checking.why_not_writable(self.song.path, self._recipe.operations) or checking.why_no_room(source, plans)
        if why:
            self._pause(why)
            return
        if tools.queue.resume(self.song.folder.path):
            tools.reporter.say(f"{self.song.folder.shown}: there is room again, going on")
        tools.reporter.tell("taken", self.song.path, self._describe(source, plans))
        jobs = []
        for plan in plans:
            job, _ = await tools.session.add(
                source, plan, host="hot_folder", preset=self._recipe.preset, force=is_forced
            )
            jobs.append(job)
        self._put(SongState.WORKING, content=source.content, jobs=tuple(job.id for job in jobs), tries=0)
        await self._work(self._row.jobs)

    async def _work(self, jobs: tuple[str, ...]) -> None:
        self.jobs = tuple(dict.fromkeys(jobs))
        if self._is_gone:
            self._give_up("is gone")
        for job_id in self.jobs:
            self._attach(self, job_id)
        while True:
            self.settled.clear()
            found = [self._tools.session.store.find(job_id) for job_id in self.jobs]
            jobs_now = [job for job in found if job is not None]
            if all(job.state.is_settled for job in jobs_now):
                break
            await self.settled.wait()
        await self._end(jobs_now)

    async def _end(self, jobs: list[Job]) -> None:
        if jobs and all(job.state is JobState.DONE for job in jobs):
            await self._finish(jobs)
            return
        self._require_same(is_tagged=self._writes_tags())
        if self._is_gone:
            raise Changed
        bad = next((job for job in jobs if job.state is not JobState.DONE), None)
        if bad is None:
            self._drop()
        elif bad.state is JobState.UNCONFIRMED:
            self._put(SongState.UNCONFIRMED, reason=describe_problem(bad))
            self._tools.counts.unconfirmed += 1
            self._tools.reporter.tell("unconfirmed", self.song.path, describe_problem(bad), is_trouble=True)
            error_file.write_error(self.song.path, describe_problem(bad), "")
        elif bad.state is JobState.CANCELLED:
            self._skip("cancelled; to do it all the same: stembridge watch retry FILE")
        elif self._may_pass(bad):
            self._put(SongState.RETRY)
            self._postpone(describe_problem(bad))
        else:
            problem = bad.problem
            self.fail(problem.message if problem else "its job failed", problem.remedy if problem else "")

    def _may_pass(self, job: Job) -> bool:
        """Tell whether the failure was of the place, not of the song: it is retried, from where the job is."""
        is_of_place = job.problem is not None and job.problem.kind == PlacementError.__name__
        return is_of_place and self._tools.queue.tries(self.song.path) < self._tools.settings.attempts

    async def _finish(self, jobs: list[Job]) -> None:
        outputs = [stem.path for job in jobs for stem in job.stems]
        loose = [os.fsencode(path) for path in outputs if not any(part.endswith(".stems") for part in path.parts)]
        self._tools.ledger.add_outputs(loose)
        identity, content = await asyncio.to_thread(self._identify, jobs)
        self._row = msgspec.structs.replace(self._row, identity=identity, content=content)
        self.song = msgspec.structs.replace(self.song, identity=identity)
        error_file.remove_error(self.song.path)
        place = b""
        if self.song.folder.done:
            self._put(SongState.MOVING)
            try:
                place = await asyncio.to_thread(self._move, outputs)
            except (OSError, StembridgeError) as error:
                self._postpone(f"it is done and cannot be moved: {error}")
                return
        self._put(SongState.DONE, place=place)
        self._tools.queue.succeed(self.song.path)
        self._tools.counts.done += 1
        told = "; ".join(describe_result(job) for job in jobs)
        self._tools.reporter.tell("done", self.song.path, f"{told}{f'; moved to {_show(place)}' if place else ''}")

    def _identify(self, jobs: list[Job]) -> tuple[Identity, str]:
        """Return the version that is done: the one that was taken, or what our own labels made of it."""
        from plugin_core.stems.fingerprint import hash_file

        after = [job.written.after for job in jobs if job.written is not None]
        now = self._read_identity()
        if not after or now is None or now == self.song.identity:
            return self.song.identity, self._row.content
        try:
            content = hash_file(self._path, lambda: None).sha256
        except OSError:
            # Gone or unreadable in this moment: whatever is there next is looked at anew.
            return self.song.identity, self._row.content
        return (now, content) if content in after else (self.song.identity, self._row.content)

    def _move(self, outputs: list[Path]) -> bytes:
        root, done = Path(os.fsdecode(self.song.folder.path)), Path(os.fsdecode(self.song.folder.done))
        chosen = Path(os.fsdecode(self._row.place)) if self._row.place else None
        moves = plan_moves(self._path, outputs, root, done, chosen)
        place = os.fsencode(moves[-1].new)
        self._put(SongState.MOVING, place=place)
        try:
            move_all(moves)
        except FileExistsError:
            # Somebody took the place in between: the next try chooses another.
            self._put(SongState.MOVING, place=b"")
            raise
        return place

    # Ends that are none

    def _skip(self, reason: str) -> None:
        self._put(SongState.SKIPPED, reason=reason)
        self._tools.counts.skipped += 1
        self._tools.reporter.tell("skipped", self.song.path, reason)

    def _postpone(self, reason: str) -> None:
        tools = self._tools
        is_first = tools.queue.tries(self.song.path) == 0
        if is_first:
            error_file.write_error(self.song.path, reason, "it is tried again by itself, less and less often")
        seconds = tools.queue.postpone(self.song, tools.clock())
        tools.reporter.tell("waits", self.song.path, f"{reason}; next try in {round(seconds)} s", is_trouble=is_first)

    def _pause(self, reason: str) -> None:
        """Let the whole folder wait for its disk: the next song would fare no better."""
        tools, root = self._tools, self.song.folder.path
        if not tools.queue.is_paused(root):
            tools.reporter.warn(root, f"waits, {reason}; it goes on by itself")
        seconds = tools.queue.postpone(self.song, tools.clock())
        tools.queue.pause(root, tools.clock() + seconds)
        tools.reporter.tell("waits", self.song.path, reason)

    def _drop(self) -> None:
        """Forget a version that is no longer there; another one is found by the next look."""
        self._tools.ledger.forget(self.song.path)
        self._tools.queue.forget(self.song.path)
        self._tools.reporter.tell("dropped", self.song.path, "it is gone or was replaced")

    def _give_up(self, why: str) -> None:
        if not self._is_gone or self.jobs:
            self._is_gone = True
            for job_id in self.jobs:
                job = self._tools.session.store.find(job_id)
                if job is not None and job.state.is_active and not job.cancel and job.host == "hot_folder":
                    self._tools.reporter.tell("cancelling", self.song.path, f"it {why}")
                    # It may have settled in this moment.
                    with contextlib.suppress(UsageError):
                        self._tools.session.store.request_cancel(job_id)

    def _require_same(self, *, is_tagged: bool = False) -> None:
        now = self._read_identity()
        if now is None or (now != self.song.identity and not is_tagged):
            raise Changed

    def _read_identity(self) -> Identity | None:
        try:
            return read_identity(self.song.path, is_share=self.song.folder.rules().is_share)
        except OSError as error:
            raise TransientError(f"the disk or share does not answer: {error.strerror}") from error

    def _writes_tags(self) -> bool:
        return any(isinstance(one, Tagging) and one.write for one in self._recipe.operations)

    def _put(self, state: SongState, **fields: object) -> None:
        self._row = self._tools.ledger.put(msgspec.structs.replace(self._row, state=state, **fields))

    def _describe(self, source: Source, plans: list[Plan]) -> str:
        from plugin_core.cli.display.base import Offer

        price = describe_price([Offer(source=source, plan=plan) for plan in plans])
        return ", ".join(word for word in (self._recipe.preset or "separate", price) if word)


def _show(path: bytes) -> str:
    return os.fsdecode(path).encode("utf-8", "backslashreplace").decode()
