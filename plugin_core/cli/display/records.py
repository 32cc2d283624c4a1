"""What ``--json`` writes: one object a line. Paths that are not UTF-8 are ``bytes:<hex>``, as in the job store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plugin_core.cli.display.words import clean
from plugin_core.errors import StembridgeError
from plugin_core.model import Job, Plan, Separation, Source, to_json

Record = dict[str, Any]


def write_record(record: Record) -> None:
    """Print one object on a line of its own, at once."""
    print(to_json(record).decode(), flush=True)


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
        "note": clean(job.progress.note) if job.progress else "",
        "stems": [{"name": stem.name, "path": stem.path} for stem in job.stems],
        "notes": [clean(note) for note in job.notes],
        "error": None if job.problem is None else _describe_problem(job),
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
        "message": clean(error.message),
        "remedy": clean(error.remedy),
        "exit_code": int(error.exit_code),
    }


def describe_plan(source: Source, plan: Plan, files: Mapping[str, Path]) -> Record:
    """Return what a dry run tells of one source."""
    operation = plan.operation
    return {
        "event": "plan",
        "source": source.path,
        "provider": operation.provider,
        "model": operation.model if isinstance(operation, Separation) else "",
        "stems": [{"name": name, "path": path} for name, path in files.items()],
        "credits": plan.credits,
        "seconds": plan.seconds,
        "notes": [clean(note) for note in plan.notes],
    }


def _describe_problem(job: Job) -> Record:
    problem = job.problem
    assert problem is not None
    return {
        "kind": problem.kind,
        "message": clean(problem.message),
        "remedy": clean(problem.remedy),
        "exit_code": problem.exit_code,
    }
