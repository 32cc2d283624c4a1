"""Jobs whose song is not where it was taken: it may turn up elsewhere, and what was paid for it is never thrown away.

A song that is moved is gone from one place before it is complete at another, and which of the two is seen first is
chance. So its jobs go on, and follow it to where it is handed in again. Only when it does not come back for a while are
they withdrawn: given back where that costs nothing, else finished, with what was bought kept at home.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Final

import msgspec

from plugin_core.console.phrases import show
from plugin_core.model import Job, JobState
from stembridge_hot_folder.files import path_of, read_identity
from stembridge_hot_folder.folders import HotFolder
from stembridge_hot_folder.ledger import Row
from stembridge_hot_folder.record import remove_error
from stembridge_hot_folder.scan import is_below
from stembridge_hot_folder.tools import Tools

HOST: Final = "hot_folder"
_LONGEST_RESCAN: Final = 60.0


def is_begun(job: Job) -> bool:
    """Tell whether anything was done for a job, which goes on though its folder is paused: it may be paid for."""
    return job.state is not JobState.QUEUED or bool(job.purchase)


class Stray(msgspec.Struct):
    """The jobs of a song that is not at its path."""

    folder: HotFolder
    path: bytes
    jobs: tuple[str, ...]
    since: float
    is_replaced: bool = False
    """Whether another song has the path, and its row."""
    is_withdrawn: bool = False

    @property
    def grace(self) -> float:
        """Seconds in which a song that was moved is complete at its new place, even if no event tells of it."""
        return self.folder.patience.settle + min(self.folder.rescan, _LONGEST_RESCAN)


class Strays:
    """The strays of a watch.

    Args:
        tools: shared by all songs.
        has_task: tells whether a song at work waits for a job.
        is_held: tells whether a path is queued or at work.
        look_again: called with the folder and path that a song turned up at.
    """

    def __init__(
        self,
        tools: Tools,
        has_task: Callable[[str], bool],
        is_held: Callable[[bytes], bool],
        look_again: Callable[[HotFolder, bytes], None],
    ) -> None:
        self._tools = tools
        self._has_task = has_task
        self._is_held = is_held
        self._look_again = look_again
        self._strays: dict[tuple[str, ...], Stray] = {}

    def __len__(self) -> int:
        return len(self._strays)

    @property
    def waited_for(self) -> int:
        """How many come to an end by themselves: ``--once`` waits for those."""
        return sum(any(map(partial(self._is_promising, stray), self._find(stray))) for stray in self._strays.values())

    def holds(self, job_id: str) -> bool:
        """Tell whether a job is a stray's."""
        return any(job_id in jobs for jobs in self._strays)

    def add(self, folder: HotFolder, path: bytes, jobs: Sequence[str], *, is_replaced: bool = False) -> None:
        """Look after the jobs of a song that is not at its path any more."""
        key = tuple(jobs)
        stray = self._strays.setdefault(key, Stray(folder, path, key, self._tools.clock()))
        stray.is_replaced |= is_replaced
        self._choose(stray, self._find(stray))

    def take_back(self, jobs: Sequence[str]) -> bool:
        """Give jobs to a song that is at its path again; tell whether they were a stray's."""
        keys = [key for key in self._strays if not set(key).isdisjoint(jobs)]
        for key in keys:
            del self._strays[key]
            for job_id in key:
                self._tools.session.store.restore(job_id)
        return bool(keys)

    def look(self, away: Collection[bytes], *, is_expecting: bool) -> None:
        """Let each follow its song, wait, or end.

        Args:
            away: folders that cannot be reached: nothing counts as deleted there.
            is_expecting: whether songs are on their way that may be these.
        """
        for stray in list(self._strays.values()):
            if stray.folder.path not in away:
                self._look(stray, is_expecting=is_expecting)

    def _is_on(self, stray: Stray, job: Job) -> bool:
        """Tell whether a job is worked on, which those are not that nobody has begun while their folder is paused."""
        return stray.folder.path not in self._tools.paused or is_begun(job) or job.cancel

    def _choose(self, stray: Stray, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if self._is_on(stray, job):
                self._tools.roster.add(job.id)
            elif not self._has_task(job.id):
                self._tools.roster.discard(job.id)

    def _look(self, stray: Stray, *, is_expecting: bool) -> None:
        jobs = self._find(stray)
        self._choose(stray, jobs)
        # A song that waits in a paused folder may be this one.
        is_paused = stray.folder.path in self._tools.paused
        place = next((path for job in jobs if (path := os.fsencode(job.source.path)) != stray.path), None)
        if place is not None:
            self._follow(stray, jobs, place)
        elif all(job.state.is_settled or self._has_task(job.id) for job in jobs):
            self._end(stray, self.describe(jobs))
        elif not (is_expecting or is_paused or stray.is_withdrawn) and self._tools.clock() - stray.since >= stray.grace:
            self._withdraw(stray, jobs)

    def _find(self, stray: Stray) -> list[Job]:
        return self._tools.session.store.find_all(stray.jobs)

    def _is_promising(self, stray: Stray, job: Job) -> bool:
        return job.attempts < self._tools.settings.attempts and self._is_on(stray, job)

    def _follow(self, stray: Stray, jobs: Sequence[Job], place: bytes) -> None:
        """Let a song go on where it lies now, unless it was handed in there, and then is at work."""
        is_taken = any(self._has_task(job.id) for job in jobs)
        if not is_taken and self._is_held(place):
            # It comes upon its jobs by itself.
            return
        row = None if is_taken else self._own_row(stray)
        identity = read_identity(place, is_share=stray.folder.rules().is_share)
        self._end(stray, f"it lies at {show(path_of(place))} now")
        if row is not None and identity is not None and self._is_free(stray.folder, place):
            self._tools.ledger.put(msgspec.structs.replace(row, path=place, identity=identity))
            self._look_again(stray.folder, place)
            return
        for job in jobs:
            if job.state.is_active and not self._has_task(job.id):
                self.add(stray.folder, os.fsencode(job.source.path), (job.id,))

    def _is_free(self, folder: HotFolder, place: bytes) -> bool:
        return is_below(place, folder.path) and self._tools.ledger.get(place) is None

    def _withdraw(self, stray: Stray, jobs: Sequence[Job]) -> None:
        if not stray.is_replaced and read_identity(stray.path) is not None:
            # There again, and on its way to be taken.
            return
        stray.is_withdrawn = True
        self._tools.reporter.tell("cancelling", stray.path, "it was replaced" if stray.is_replaced else "it is gone")
        for job in jobs:
            if job.state.is_active and not job.cancel and job.host == HOST and not self._has_task(job.id):
                self._tools.session.store.withdraw(job.id)

    def _end(self, stray: Stray, told: str) -> None:
        """Forget a stray and its row."""
        del self._strays[stray.jobs]
        if self._own_row(stray) is not None:
            self._tools.ledger.forget(stray.path)
            self._tools.queue.forget(stray.path)
            remove_error(stray.path)
            self._tools.reporter.tell("dropped", stray.path, told)
        for job_id in stray.jobs:
            if not self._has_task(job_id):
                self._tools.roster.discard(job_id)

    def _own_row(self, stray: Stray) -> Row | None:
        row = None if stray.is_replaced else self._tools.ledger.get(stray.path)
        return row if row is not None and row.jobs == stray.jobs else None

    def describe(self, jobs: Sequence[Job], what: str = "it is gone") -> str:
        """Say what became of a song, and of what was bought for it."""
        purchases = [self._tools.session.store.purchases.find(job.purchase) for job in jobs if job.purchase]
        states = [one.state for one in purchases if one is not None]
        if any(state.is_held for state in states):
            return f"{what}; what was bought for it is kept, and costs nothing should it come back"
        if any(state.is_open for state in states):
            return f"{what}; it is not known whether the service took its job"
        if any(job.state is JobState.CANCELLED for job in jobs):
            return f"{what}; its job was cancelled"
        return what
