"""What ``--json`` writes: one object a line. Paths that are not UTF-8 are ``bytes:<hex>``, as in the job store."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from plugin_core.console.display import Display, Summary, Throttle, Troubles
from plugin_core.console.phrases import encodable, list_prices
from plugin_core.errors import StembridgeError
from plugin_core.model import STEERING, Job, Separation, Tagging, to_json
from plugin_core.purchases.purchase import Offer

Record = dict[str, Any]


def write_record(record: Record) -> None:
    """Print one object on a line of its own, at once; what would steer a terminal is written as JSON's escapes."""
    text = to_json(record).decode()
    print(STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text), flush=True)


def describe_job(job: Job) -> Record:
    """Return what an event tells of a job."""
    operation = job.operation
    return {
        "event": "job",
        "id": job.id,
        "state": job.state.value,
        "source": job.source.path,
        "provider": operation.provider,
        "model": operation.model if isinstance(operation, Separation) else "",
        "progress": job.progress.fraction if job.progress else None,
        "note": encodable(job.progress.note) if job.progress else "",
        "stems": [{"name": stem.name, "path": stem.path} for stem in job.stems],
        "projects": [{"name": one.name, "path": one.path} for one in job.projects],
        "notes": [encodable(note) for note in job.notes],
        "error": None if job.problem is None else _describe_problem(job),
    } | (_describe_labels(job) if isinstance(operation, Tagging) else {})


def _describe_labels(job: Job) -> Record:
    """Return what was found, what was written of it, and why the rest was not."""
    written = job.written
    fields = {} if written is None else written.fields
    return {
        "labels": list(job.labels),
        "written": {name: list(values) for name, values in fields.items()},
        "left": {} if written is None else written.left,
        "notes": [encodable(note) for note in (*job.notes, *(() if written is None else written.notes))],
    }


def describe_job_fully(job: Job) -> Record:
    """Return what ``jobs list`` and ``jobs show`` tell of a job: its event and the rest worth knowing."""
    return describe_job(job) | {
        "host": job.host,
        "preset": job.preset,
        "operation": job.operation,
        "created": job.created,
        "updated": job.updated,
        "attempts": job.attempts,
        "cancel": job.cancel,
        "labels": list(job.labels),
    }


def describe_error(source: Path | None, error: StembridgeError) -> Record:
    """Return what an event tells of an error that came before any job."""
    return {
        "event": "error",
        "source": source,
        "message": encodable(error.message),
        "remedy": encodable(error.remedy),
        "exit_code": int(error.exit_code),
    }


def describe_plan(offer: Offer) -> Record:
    """Return what a dry run tells of one source; ``standing`` is the job that made it before, which costs nothing."""
    plan, standing = offer.plan, offer.standing
    operation = plan.operation
    names = operation.projects if isinstance(operation, Separation) else ()
    stems = {name: path for name, path in offer.files.items() if name not in names}
    projects = {name: path for name, path in offer.files.items() if name in names}
    if standing is not None:
        stems, projects = ({one.name: one.path for one in made} for made in (standing.stems, standing.projects))
    return {
        "event": "plan",
        "source": offer.source.path,
        "provider": operation.provider,
        "model": operation.model if isinstance(operation, Separation) else "",
        "stems": [{"name": name, "path": path} for name, path in stems.items()],
        "projects": [{"name": name, "path": path} for name, path in projects.items()],
        "credits": offer.credits,
        "seconds": plan.seconds if standing is None else 0.0,
        "notes": [encodable(note) for note in plan.notes],
        "standing": None if standing is None else standing.id,
    } | ({"dimensions": list(operation.dimensions)} if isinstance(operation, Tagging) else {})


def describe_end(exit_code: int) -> Record:
    """Return the last event of a command that an error ended; with the counts of a run, all of them 0."""
    return {"event": "summary"} | msgspec.structs.asdict(Summary(exit_code=int(exit_code)))


def describe_count(count: int, exit_code: int = 0) -> Record:
    """Return the last event of a listing."""
    return {"event": "summary", "count": count, "exit_code": int(exit_code)}


def _describe_problem(job: Job) -> Record:
    problem = job.problem
    assert problem is not None
    return {
        "kind": problem.kind,
        "message": encodable(problem.message),
        "remedy": encodable(problem.remedy),
        "exit_code": problem.exit_code,
        "since": problem.since,
    }


PROGRESS_FRACTION = 0.01
PROGRESS_SECONDS = 0.25


class JsonDisplay(Display):
    """Writes each change as an object; progress at most four times a second for each job."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, write: Callable[[Record], None] = write_record
    ) -> None:
        self._write = write
        self._throttle = Throttle(PROGRESS_FRACTION, PROGRESS_SECONDS, together=True, clock=clock)
        self._troubles = Troubles()

    def say(self, text: str) -> None:
        """Say nothing: this is for people."""

    def look(self, done: int, count: int) -> None:
        """Say nothing: this is for people."""

    def quote(self, offers: Sequence[Offer], *, is_asked: bool) -> None:  # noqa: ARG002 - a program reads no question
        for price in list_prices(offers):
            self._write({"event": "price"} | msgspec.structs.asdict(price))

    def preview(self, offer: Offer) -> None:
        self._write(describe_plan(offer))

    def refuse(self, source: Path, error: StembridgeError) -> None:
        self._write(describe_error(source, error))

    def reuse(self, job: Job) -> None:
        self._write(describe_job(job))

    def begin(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._throttle.start(job)
            self._write(describe_job(job))

    def change(self, job: Job, previous: Job | None) -> None:
        if previous is None or previous.state is not job.state or self._troubles.is_new(job):
            self._throttle.start(job)
        elif not self._throttle.is_due(job):
            return
        if job.state.is_settled:
            self._throttle.stop(job)
        self._write(describe_job(job))

    def pause(self) -> None:
        """Do nothing: programs are not asked."""

    def finish(self, summary: Summary) -> None:
        self._write({"event": "summary"} | msgspec.structs.asdict(summary))
