"""Plain tables, nothing that a pipe could not take; jobs as a table, and one job in full."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise

import click

from plugin_core.console.phrases import (
    clean,
    describe,
    describe_fields,
    describe_form,
    describe_outages,
    describe_place,
    describe_problem,
    describe_wait,
    list_notes,
    percent,
    short_span,
    show,
    span,
)
from plugin_core.model import Job

MIN_ID = 8

_NARROWEST = 10
"""Characters to which a column may be narrowed, as long as no word of this to twice and a half of it is broken."""

_ROOM = 24
"""Characters that the last column has at least beside the others; with less it stands below them."""


def screen_width() -> int | None:
    """Return how long a line may be: ``COLUMNS``, or the terminal; None where a program reads, and lines stay whole."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal():
        return max(20, shutil.get_terminal_size().columns)
    return None


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their heads; text is left, numbers stand as they come.

    Where they do not fit the screen the widest columns are wrapped, then the last column stands below the others, then
    each row is a list of its own.
    """
    width = screen_width()
    cells = [[clean(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(cell_width(row[column]) for row in cells) for column in range(len(heads))]
    if width is None:
        for row in cells:
            padded = (cell + " " * (size - cell_width(cell)) for cell, size in zip(row, widths, strict=True) if size)
            click.echo("  ".join(padded).rstrip())
        return
    least = [
        max(min(_ROOM, cell_width(word)) for row in cells for word in ("", *row[n].split())) for n in range(len(heads))
    ]
    narrowed, rest = _narrow(widths, least, width), _narrow(widths[:-1], least, width)
    if _total(narrowed) <= width and narrowed[-1] >= min(_ROOM, widths[-1]):
        _draw(cells, narrowed)
    elif _total(rest) <= width:
        for row in cells:
            _draw([row[:-1]], rest)
            print_wrapped("  ", row[-1])
    else:
        size = max(map(len, heads))
        for row in cells[1:]:
            for head, cell in zip(heads, row, strict=True):
                if cell:
                    print_wrapped(f"{head:<{size}}  ", cell)
            click.echo()


def _total(widths: Sequence[int]) -> int:
    # A column in which nothing stands is not drawn.
    return sum(widths) + 2 * (sum(map(bool, widths)) - 1)


def _narrow(widths: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """Return widths that fit, taken from the widest first, as far as that goes; an id, which is first, stays whole.

    Args:
        widths: of the columns as they are.
        least: what each column needs for its longest word.
        width: of the screen.
    """
    first, *rest = widths
    floors = [max(_NARROWEST, each) for each in least[1:]]
    while rest and first + 2 + _total(rest) > width:
        size, place = max((size * (size > floors[place]), place) for place, size in enumerate(rest))
        if not size:
            break
        rest[place] -= 1
    return [first, *rest]


def _draw(rows: Iterable[Sequence[str]], widths: Sequence[int]) -> None:
    """Draw rows on a screen; what draws them is imported for a screen alone."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for size in filter(None, widths):
        table.add_column(width=size, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell, size in zip(row, widths, strict=True) if size))
    # A height as well, or a simple terminal would count as one of 80 columns.
    console = Console(width=_total(widths) + 2, height=24)
    with console.capture() as drawn:
        console.print(table)
    for line in drawn.get().rstrip("\n").split("\n"):
        click.echo(line.rstrip())


def print_wrapped(head: str, text: str) -> None:
    """Print a text behind its head, its further lines below each other; nothing where there is none."""
    width = screen_width()
    if not text:
        return
    size = cell_width(head)
    if width is not None and width - size < _ROOM // 2:
        click.echo(head.rstrip())
        head, size = "    ", 4
    for number, line in enumerate(wrapped(text, size)):
        click.echo(f"{head if number == 0 else ' ' * size}{line}".rstrip())


def wrapped(text: str, size: int) -> list[str]:
    """Return the lines of a text that stand behind a margin of this size."""
    width = screen_width()
    return [text] if width is None else _wrap(text, max(1, width - size))


def cell_width(text: str) -> int:
    """Return how many columns of a terminal a text takes: Chinese signs take two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _wrap(text: str, size: int) -> list[str]:
    """Break a text into lines, between words where that can be."""
    if cell_width(text) <= size:
        return [text]
    from rich.console import Console
    from rich.text import Text

    return [line.plain.rstrip() for line in Text(text).wrap(Console(), size, overflow="fold")]


def show_jobs(jobs: Sequence[Job], known: Collection[str], *, now: float) -> None:
    """Print one line a job; ids are cut to what tells all known ids apart."""
    if not jobs:
        click.echo("no jobs")
        return
    length = unique_length(known)
    alike = Counter((describe(job.operation), job.source.path) for job in jobs)
    rows = [
        (
            job.id[:length],
            "waits" if describe_wait(job) else job.state.value,
            "" if describe_wait(job) else _percent(job),
            short_span(now - job.created),
            _describe_what(job, is_full=alike[describe(job.operation), job.source.path] > 1),
            show(job.source.path),
        )
        for job in jobs
    ]
    print_table(("ID", "STATE", "", "AGE", "WHAT", "SOURCE"), rows)
    for line in describe_outages(jobs):
        print_wrapped("", line)


def _describe_what(job: Job, *, is_full: bool) -> str:
    return "; ".join(filter(None, (describe(job.operation), describe_form(job.operation) if is_full else "")))


def show_job(job: Job, *, now: float) -> None:
    """Print all that is known of a job."""
    for name, text in _facts(job, now):
        print_wrapped(f"{name:<9} ", clean(text))


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
    yield "what", _describe_what(job, is_full=True) + (f" (preset {job.preset})" if job.preset else "")
    yield "asked", f"{_date(job.created)}, {span(now - job.created)} ago, from {job.host}"
    yield "changed", f"{_date(job.updated)}, {span(now - job.updated)} ago"
    # An engine on this machine calls it what we do.
    if job.ticket is not None and job.ticket.remote_id != job.id:
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
