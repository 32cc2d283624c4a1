"""Words of services, ffmpeg and plugins reach a terminal, a pipe and a log as text and as nothing else."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from plugin_core.console.context import Logs
from plugin_core.console.display import PlainDisplay
from plugin_core.console.json_lines import JsonDisplay
from plugin_core.console.live import LiveDisplay
from plugin_core.console.phrases import describe_price
from plugin_core.console.tables import print_table, show_job, show_jobs
from plugin_core.errors import ServiceError
from plugin_core.model import Job, JobState, Label, Plan, Problem, Separation, Stem, Ticket
from plugin_core.purchases.purchase import Offer
from tests.plugin_core.cli.jobs import make_job

EVIL = "[red]x[/red]\x1b[2J\x9bH\u202e\nstembridge: all well\r\x07"
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

Capture = pytest.CaptureFixture[str]


def replace(job: Job, **changes: object) -> Job:
    import msgspec

    return msgspec.structs.replace(job, **changes)


def evil_jobs() -> list[Job]:
    problem = Problem(kind="ServiceError", message=EVIL, remedy=EVIL)
    stem = Stem(name=EVIL, label=EVIL, path=Path("/music/a.flac"), size=1, sha256="")
    operation = Separation(provider=EVIL, model=EVIL, stems=(EVIL,))
    return [
        replace(make_job(JobState.RUNNING, note=EVIL, problem=problem), operation=operation),
        make_job(JobState.FAILED, problem=problem),
        replace(make_job(JobState.DONE, notes=(EVIL,)), stems=(stem,)),
        replace(
            make_job(JobState.DONE, notes=(EVIL,)),
            stems=(),
            labels=(Label(dimension=EVIL, value=EVIL),),
            ticket=Ticket(remote_id=EVIL),
            host=EVIL,
            preset=EVIL,
        ),
    ]


def offer() -> Offer:
    job = evil_jobs()[0]
    return Offer(source=job.source, plan=Plan(operation=job.operation, credits=2.0, notes=(EVIL,)))


def assert_tame(text: str, least: int) -> None:
    assert not STEERING.search(text)
    assert not [line for line in text.splitlines() if line.startswith("stembridge: all well")]
    assert text.count("[red]x[/red]\\x1b[2J") >= least


def test_plain_lines(capsys: Capture) -> None:
    display = PlainDisplay(clock=lambda: 0.0)
    for job in evil_jobs():
        display.change(job, make_job(JobState.QUEUED))
    display.change(evil_jobs()[0], make_job(JobState.RUNNING))
    display.refuse(Path("/music/a.flac"), ServiceError(EVIL, remedy=EVIL))
    display.preview(offer())
    display.quote([offer()], is_asked=False)
    assert_tame("".join(capsys.readouterr()), 12)
    assert "\x1b" not in describe_price([offer()])


@pytest.mark.parametrize("markup", [False, True], ids=["plain", "markup"])
def test_live_lines(markup: bool) -> None:
    out = io.StringIO()
    console = Console(file=out, width=400, markup=markup, emoji=markup, highlight=False)
    display = LiveDisplay(console)
    for job in evil_jobs():
        display.change(job, make_job(JobState.RUNNING))
    display.refuse(Path("/music/a.flac"), ServiceError(EVIL, remedy=EVIL))
    display.preview(offer())
    console.print(display._draw())
    assert_tame(out.getvalue(), 8)


def test_tables(capsys: Capture) -> None:
    print_table(("A", "B"), [(EVIL, EVIL)])
    show_jobs(evil_jobs(), [], now=0.0)
    for job in evil_jobs():
        show_job(job, now=0.0)
    assert_tame(capsys.readouterr().out, 12)


def test_json_is_faithful_and_tame(capsys: Capture) -> None:
    display = JsonDisplay(clock=lambda: 0.0)
    for job in evil_jobs():
        display.change(job, None)
    display.refuse(Path("/music/a.flac"), ServiceError(EVIL, remedy=EVIL))
    out = capsys.readouterr().out
    assert not STEERING.search(out)
    records = [json.loads(line) for line in out.splitlines()]
    assert records[0]["note"] == records[0]["model"] == EVIL
    assert records[1]["error"]["message"] == records[1]["error"]["remedy"] == EVIL
    assert records[2]["notes"] == [EVIL]
    assert records[4]["message"] == EVIL


@contextmanager
def opened(home: Path, *, verbose: bool) -> Iterator[Logs]:
    logs = Logs(home)
    logs.open(verbose=verbose, quiet=False)
    try:
        yield logs
    finally:
        logs.close()


@pytest.mark.parametrize("verbose", [False, True], ids=["short", "verbose"])
def test_log_lines(tmp_path: Path, capsys: Capture, verbose: bool) -> None:
    with opened(tmp_path, verbose=verbose) as logs:
        try:
            raise ValueError(EVIL)
        except ValueError as error:
            logging.getLogger("plugin_core.test").warning("service said %s", EVIL, exc_info=True)
            assert logs.keep_traceback(EVIL, error)
    told = capsys.readouterr().err
    assert_tame(told, 1)
    assert (len(told.splitlines()) == 1) is not verbose
    kept = logs.path.read_text(encoding="utf-8")
    assert_tame(kept, 4)
    assert "\n  Traceback (most recent call last):\n" in kept
