"""Plain tables, nothing that a pipe could not take; jobs as a table, and one job in full."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

import click

from plugin_core.console.formatting import (
    clean,
    describe,
    describe_fields,
    describe_place,
    describe_problem,
    list_notes,
    percent,
    short_span,
    show,
    span,
)
from plugin_core.model import Job


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their heads; text is left, numbers stand as they come."""
    cells = [[clean(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads) - 1)]
    for row in cells:
        fixed = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False) if width)
        click.echo(f"{fixed}  {row[-1]}".rstrip())


MIN_ID = 8


def show_jobs(jobs: Sequence[Job], known: Collection[str], *, now: float) -> None:
    """Print one line a job; ids are cut to what tells all known ids apart."""
    if not jobs:
        click.echo("no jobs")
        return
    length = unique_length(known)
    rows = [
        (
            job.id[:length],
            job.state.value,
            _percent(job),
            short_span(now - job.created),
            describe(job.operation),
            show(job.source.path),
        )
        for job in jobs
    ]
    print_table(("ID", "STATE", "", "AGE", "WHAT", "SOURCE"), rows)


def show_job(job: Job, *, now: float) -> None:
    """Print all that is known of a job."""
    for name, text in _facts(job, now):
        click.echo(f"{name:<9} {clean(text)}")


def unique_length(ids: Collection[str]) -> int:
    """Return how many characters tell these ids apart, at least ``MIN_ID``."""
    ordered = sorted(ids)
    shared = (_shared(first, second) for first, second in pairwise(ordered))
    return max(MIN_ID, max(shared, default=0) + 1)


def _shared(first: str, second: str) -> int:
    for number, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return number
    return min(len(first), len(second))


def _percent(job: Job) -> str:
    return percent(job.progress.fraction) if job.progress and job.state.is_active else ""


def _facts(job: Job, now: float) -> Iterator[tuple[str, str]]:
    source = job.source
    yield "job", job.id
    yield "state", " ".join(filter(None, [job.state.value, _percent(job), "(cancel asked)" if job.cancel else ""]))
    if job.progress is not None and job.state.is_active:
        yield "progress", ", ".join(filter(None, (job.progress.note, describe_place(job))))
    yield "source", show(source.path)
    yield "", f"{span(source.duration)}, {source.channels} channels, {source.sample_rate} Hz, {source.encoding}"
    yield "what", describe(job.operation) + (f" (preset {job.preset})" if job.preset else "")
    yield "asked", f"{_date(job.created)}, {span(now - job.created)} ago, from {job.host}"
    yield "changed", f"{_date(job.updated)}, {span(now - job.updated)} ago"
    if job.ticket is not None:
        yield "remote", job.ticket.remote_id
    for stem in job.stems:
        yield "stem", f"{stem.name}: {show(stem.path)}"
    for label in job.labels:
        yield "label", f"{label.dimension}: {label.english or label.value}"
    if job.written is not None and job.written.fields:
        yield "written", describe_fields(job.written.fields)
    for note in list_notes(job):
        yield "note", note
    if job.problem is not None:
        yield "problem", describe_problem(job)


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
