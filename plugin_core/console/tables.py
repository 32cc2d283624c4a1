"""Plain tables, nothing that a pipe could not take; jobs as a table, and one job in full."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise, zip_longest

import click

from plugin_core.console.phrases import (
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

MIN_ID = 8

_NARROWEST = 12
"""Characters to which a column may be narrowed."""

_TALLEST = 3
"""Lines of a cell that is wrapped; what does not fit ends in an ellipsis."""


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None) -> None:
    """Print rows under their heads; text is left, numbers stand as they come.

    Args:
        heads: of the columns.
        rows: as many cells each.
        width: characters a line at most, for which the widest columns are wrapped; None prints each row on one line.
    """
    cells = [[clean(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    while width is not None and sum(widths) + 2 * (len(widths) - 1) > width and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    for row in cells:
        wrapped = [_wrap(cell, size) if width is not None else [cell] for cell, size in zip(row, widths, strict=True)]
        for line in zip_longest(*wrapped, fillvalue=""):
            shown = (f"{cell:<{size}}" for cell, size in zip(line, widths, strict=True) if size)
            click.echo("  ".join(shown).rstrip())


def _wrap(cell: str, size: int) -> list[str]:
    return textwrap.wrap(cell, max(1, size), max_lines=_TALLEST, placeholder=" …") or [""]


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
    for project in job.projects:
        yield "project", f"{project.name}: {show(project.path)}"
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
