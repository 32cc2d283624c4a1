"""What ``--json`` writes: one object a line. Paths that are not UTF-8 are ``bytes:<hex>``, as in the job store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from plugin_core.console.formatting import encodable
from plugin_core.console.summary import Summary
from plugin_core.errors import StembridgeError
from plugin_core.model import STEERING, Job, Separation, Tagging, to_json
from plugin_core.offer import Offer

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
    files = offer.files if standing is None else {stem.name: stem.path for stem in standing.stems}
    return {
        "event": "plan",
        "source": offer.source.path,
        "provider": operation.provider,
        "model": operation.model if isinstance(operation, Separation) else "",
        "stems": [{"name": name, "path": path} for name, path in files.items()],
        "credits": plan.credits if standing is None else 0.0,
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
    }
