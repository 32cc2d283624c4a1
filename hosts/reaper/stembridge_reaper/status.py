"""The worker's side of ``status.json``: what it knows of its jobs, written in one step, often enough to look alive."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from plugin_core import distinct, title
from plugin_core.errors import ExitCode, PlacementError, StembridgeError
from plugin_core.model import Job, JobState, Label, show_path, to_json
from stembridge_reaper.protocol import FileStatus, LabelResult, PartStatus, Status, StemResult
from stembridge_reaper.words import in_reapers_words

INTERVAL = 0.25
"""Seconds between two writings of mere progress."""

_TRIES = 20

log = logging.getLogger(__name__)


class StatusFile:
    """One run's status, written for whoever reads it at any moment.

    Args:
        path: the document.
        status: what it says; change it, then call ``write`` or ``touch``.
        on_write: puts into words what the status says, before each writing.
        clock: seconds since the epoch.
        sleep: waits for some seconds.
    """

    def __init__(
        self,
        path: Path,
        status: Status,
        *,
        on_write: Callable[[Status], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.status = status
        self._on_write = on_write
        self._path = path
        self._clock = clock
        self._sleep = sleep

    def touch(self, interval: float = INTERVAL) -> None:
        """Write progress, unless something was written just now."""
        if self._clock() - self.status.heartbeat >= interval:
            self.write()

    def write(self) -> bool:
        """Write at once and return whether that could be done; on a full disk the work goes on without words."""
        before = self.status.heartbeat
        self.status.heartbeat = self._clock()
        self._on_write(self.status)
        staged = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        try:
            staged.write_bytes(to_json(self.status))
            self._replace(staged)
        except OSError as error:
            log.warning("%s cannot be written: %s", show_path(self._path), error.strerror or error)
            self.status.heartbeat = before
            with suppress(OSError):
                staged.unlink(missing_ok=True)
            return False
        return True

    def close(self) -> None:
        """Write the last word.

        Raises:
            PlacementError: it cannot be written, so a new worker must say it.
        """
        if not self.write():
            raise PlacementError(
                f"{show_path(self._path)} cannot be written", remedy="make room there and insert the stems then"
            )

    def _replace(self, staged: Path) -> None:
        for _ in range(_TRIES):
            try:
                staged.replace(self._path)
            except PermissionError:
                # Windows refuses while a reader has the document open, which is a matter of microseconds.
                self._sleep(0.01)
            else:
                return
        staged.replace(self._path)


_LIFE = (JobState.QUEUED, JobState.SUBMITTING, JobState.RUNNING, JobState.FETCHING, JobState.PUBLISHING)


class _Place(NamedTuple):
    """What a job is for."""

    file: FileStatus
    part: PartStatus
    start: float


class Books:
    """The jobs of one run, and the files they belong to."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self._jobs: dict[str, Job] = {}
        self._places: dict[str, list[_Place]] = {}
        self._refused: dict[Path, StembridgeError] = {}
        self.worst: ExitCode | None = None
        """The exit code of the first file that was refused."""

    @property
    def jobs(self) -> list[str]:
        """Every job of the run."""
        return list(self._jobs)

    @property
    def active(self) -> list[str]:
        """The jobs that were not settled when last heard of."""
        return [job.id for job in self._jobs.values() if job.state.is_active]

    def enter(self, job: Job, file: FileStatus, parts: Iterable[PartStatus], start: float) -> None:
        """Take on a job; equal files share one.

        Args:
            job: the job.
            file: what it is for.
            parts: those of the file that its results are for.
            start: second of the file at which its stems begin.
        """
        self._places.setdefault(job.id, []).extend(_Place(file, part, start) for part in parts)
        if job.id not in self._status.jobs:
            self._status.jobs.append(job.id)
        self.note(job)

    def note(self, job: Job) -> None:
        """Write down how far a job is."""
        self._jobs[job.id] = job
        for place in self._places.get(job.id, ()):
            self._fill(place.part)
            self._sum_up(place.file)

    def refuse(self, file: FileStatus, error: StembridgeError) -> None:
        """Write down that a file, or one operation on it, cannot be done."""
        self._refused[file.path] = error
        self.worst = self.worst or error.exit_code
        self._sum_up(file)

    def cancel_rest(self) -> None:
        """Write down that what is not finished will not be."""
        for file in self._status.files:
            if file.state not in ("done", "failed", "unconfirmed"):
                file.state = "cancelled"

    def _of(self, part: PartStatus) -> list[tuple[Job, float]]:
        """Return the jobs of a part, each with the second at which its stems begin."""
        found = {key: place.start for key, places in self._places.items() for place in places if place.part is part}
        return [(self._jobs[key], start) for key, start in found.items()]

    def _fill(self, part: PartStatus) -> None:
        done = [(job, start) for job, start in self._of(part) if job.state is JobState.DONE]
        stems = [(stem, job.id, start) for job, start in done for stem in job.stems]
        names = distinct([stem.name for stem, _, _ in stems])
        part.stems = tuple(
            StemResult(name=name, title=title(name), path=stem.path, job=job_id, start=start)
            for name, (stem, job_id, start) in zip(names, stems, strict=True)
        )
        part.labels = tuple(_result(label) for job, _ in done for label in job.labels)

    def _sum_up(self, file: FileStatus) -> None:
        jobs = [self._jobs[key] for key, places in self._places.items() if any(one.file is file for one in places)]
        problems = [in_reapers_words(str(self._refused[file.path]))] if file.path in self._refused else []
        problems += [_problem(job) for job in jobs if job.state in (JobState.FAILED, JobState.UNCONFIRMED)]
        file.message = "; ".join(dict.fromkeys(problems))
        file.progress = sum(map(_share, jobs)) / len(jobs) if jobs else 0.0
        file.state = _state(jobs, file.path in self._refused)


def _state(jobs: list[Job], is_refused: bool) -> str:
    states = {job.state for job in jobs}
    for state in _LIFE:
        if state in states:
            return state.value
    if is_refused or JobState.FAILED in states:
        return "failed"
    for state in (JobState.UNCONFIRMED, JobState.CANCELLED):
        if state in states:
            return state.value
    return "done" if states else "waiting"


def _share(job: Job) -> float:
    if job.state is JobState.DONE:
        return 1.0
    said = job.progress.fraction if job.progress is not None else None
    return min(0.99, said or 0.0)


def _problem(job: Job) -> str:
    if job.problem is None:
        return f"{job.source.path.name}: {job.state.value}"
    return in_reapers_words(job.problem.message + (f"; {job.problem.remedy}" if job.problem.remedy else ""))


def _result(label: Label) -> LabelResult:
    return LabelResult(dimension=label.dimension, value=label.english or label.value, probability=label.probability)
