"""The worker's side of ``status.json``: what it knows of its jobs, in words, and written often enough to look alive."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from plugin_core import distinct, title
from plugin_core.console.phrases import plural, short_span
from plugin_core.errors import ExitCode, PlacementError, StembridgeError
from plugin_core.model import Job, JobState, Label, show_path, to_json
from stembridge_reaper.protocol import FileStatus, LabelResult, PartStatus, Status, StemResult

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
    """

    def __init__(self, path: Path, status: Status, *, on_write: Callable[[Status], None] = lambda _: None) -> None:
        self.status = status
        self._on_write = on_write
        self._path = path

    def touch(self, interval: float = INTERVAL) -> None:
        """Write progress, unless something was written just now."""
        if time.time() - self.status.heartbeat >= interval:
            self.write()

    def write(self) -> bool:
        """Write at once and return whether that could be done; on a full disk the work goes on without words."""
        before = self.status.heartbeat
        self.status.heartbeat = time.time()
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
                time.sleep(0.01)
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


_VERBS: Final = {
    "waiting": "waiting",
    "queued": "waiting",
    "submitting": "sending",
    "running": "separating",
    "fetching": "fetching",
    "publishing": "placing stems",
    "done": "done",
    "failed": "failed",
    "cancelled": "cancelled",
    "unconfirmed": "unconfirmed",
}

MOST: Final = 10
"""Lines of a message box; a box that is higher than the screen has no button."""

_REMEDIES: Final = (
    (
        r"(choose another place|name an existing one) with --to FOLDER",
        'say stems_in = "project" below [reaper] in config.toml, with a media folder that can be written',
    ),
    (r"separate it again with --as-is, which takes them as they came", "use a preset that says as_is = true"),
    (r"retry the job\b|`stembridge jobs retry [^`]*`", "start the action again"),
)


def in_reapers_words(text: str) -> str:
    """Return a message with remedies that somebody in REAPER can follow: nobody types options there."""
    for theirs, ours in _REMEDIES:
        text = re.sub(theirs, ours, text)
    return text


def describe_file(file: FileStatus, kind: str) -> str:
    """Say how far a file is, in steps that do not change too often to be shown in an item."""
    verbs = _VERBS if kind == "separate" else _VERBS | {"running": "labelling", "publishing": "writing tags"}
    words = verbs[file.state]
    if file.state in ("running", "fetching") and file.progress:
        words += f" {int(file.progress * 20) * 5} %"
    return words


def share_of(status: Status) -> float:
    """Return how much of a run is done, 0 to 1."""
    shares = [1.0 if file.state == "done" else file.progress for file in status.files]
    return sum(shares) / len(shares) if shares else 0.0


def describe_run(status: Status) -> str:
    """Say how far a run is."""
    if status.state == "starting" or not status.files:
        return "starting"
    if status.state == "asking":
        return "waiting for your word"
    done = sum(file.state == "done" for file in status.files)
    left = "" if status.left is None else f", about {short_span(status.left)} left"
    return f"{done} of {plural(len(status.files), 'file')} done, {int(share_of(status) * 100)} %{left}"


def describe_skipped(skipped: Mapping[str, int]) -> str:
    """Say how many items were passed over and why; empty when none was."""
    if not skipped:
        return ""
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items()))
    return f"{plural(sum(skipped.values()), 'item')} passed over: {reasons}"


def describe_failures(status: Status) -> str:
    """Say what failed, file by file; empty when nothing did."""
    failed = [file for file in status.files if file.state in ("failed", "unconfirmed")]
    lines = list(dict.fromkeys(file.message or "failed without a reason" for file in failed))
    rest = len(lines) - MOST
    return "\n".join(lines[:MOST] + ([f"... and {rest} more: see 'stembridge jobs list'."] if rest > 0 else []))


def describe_labels(status: Status, kind: str) -> list[str]:
    """Return one line for each file that was labelled."""
    lines = []
    for file in status.files:
        found = [label for part in file.parts for label in part.labels]
        words = ", ".join(f"{label.dimension}: {label.value}" for label in found) or "nothing new"
        if file.state == "done" and (found or kind == "label"):
            lines.append(f"{file.path}: {words}")
    return lines
