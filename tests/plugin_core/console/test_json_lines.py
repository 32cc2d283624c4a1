from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugin_core.console.display import Summary
from plugin_core.console.json_lines import JsonDisplay
from plugin_core.errors import SourceError
from plugin_core.model import JobState, Plan, Problem, Separation, Stem
from plugin_core.purchases.purchase import Offer
from tests.plugin_core.cli.jobs import make_job
from tests.plugin_core.console.test_display import Clock

Capture = pytest.CaptureFixture[str]


def events(capsys: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_job_event_has_exactly_the_promised_fields(capsys: Capture) -> None:
    session = Stem(name="rpp", label="REAPER", path=Path("/out/Song.rpp"), size=1, sha256="")
    job = msgspec.structs.replace(make_job(JobState.DONE, notes=("an offset was removed",)), projects=(session,))
    JsonDisplay().change(job, None)
    assert events(capsys) == [
        {
            "event": "job",
            "id": "0192-a",
            "state": "done",
            "source": "/music/Song.flac",
            "provider": "fake",
            "model": "halves",
            "progress": None,
            "note": "",
            "stems": [
                {"name": "vocals", "path": "/music/Song.stems/vocals.flac"},
                {"name": "other", "path": "/music/Song.stems/other.flac"},
            ],
            "projects": [{"name": "rpp", "path": "/out/Song.rpp"}],
            "notes": ["an offset was removed"],
            "error": None,
        }
    ]


def test_failed_job_carries_its_error(capsys: Capture) -> None:
    JsonDisplay().change(make_job(JobState.FAILED, exit_code=3), make_job(JobState.RUNNING))
    (event,) = events(capsys)
    assert event["error"] == {
        "kind": "ServiceError",
        "message": "out of luck",
        "remedy": "try luck",
        "exit_code": 3,
        "since": None,
    }


def test_progress_is_throttled_and_states_are_not(capsys: Capture) -> None:
    clock = Clock()
    display = JsonDisplay(clock)
    display.begin([make_job(JobState.QUEUED)])
    previous = make_job(JobState.QUEUED)
    for number in range(100):
        job = make_job(JobState.RUNNING, fraction=number / 100, note="working")
        display.change(job, previous)
        previous = job
        clock.now += 0.05
    display.change(make_job(JobState.FETCHING), previous)
    found = events(capsys)
    assert [event["state"] for event in found[:2]] == ["queued", "running"]
    assert found[-1]["state"] == "fetching"
    assert 10 <= len(found) - 3 <= 20
    assert found[2]["progress"] > 0
    assert found[2]["note"] == "working"


def test_names_that_are_not_utf8_stay_reversible(capsys: Capture) -> None:
    display = JsonDisplay()
    display.change(make_job(JobState.RUNNING, path=Path("/caf\udce9.flac"), note="caf\udce9"), None)
    display.refuse(Path("/caf\udce9.flac"), SourceError("/caf\udce9.flac: not audio"))
    job, error = events(capsys)
    assert job["source"] == error["source"] == "bytes:" + b"/caf\xe9.flac".hex()
    assert job["note"] == r"caf\udce9"
    assert error["message"] == r"/caf\udce9.flac: not audio"


def test_plan_event(capsys: Capture) -> None:
    plan = Plan(
        operation=Separation(provider="p", model="m", project="rpp"),
        stems=("vocals",),
        credits=2.5,
        seconds=9.0,
        notes=("n",),
    )
    files = {"vocals": Path("/out/v.flac"), "rpp": Path("/out/Song.rpp")}
    JsonDisplay().preview(Offer(source=make_job(JobState.DONE).source, plan=plan, files=files))
    assert events(capsys) == [
        {
            "event": "plan",
            "source": "/music/Song.flac",
            "provider": "p",
            "model": "m",
            "stems": [{"name": "vocals", "path": "/out/v.flac"}],
            "projects": [{"name": "rpp", "path": "/out/Song.rpp"}],
            "credits": 2.5,
            "seconds": 9.0,
            "notes": ["n"],
            "standing": None,
        }
    ]


def test_summary_event(capsys: Capture) -> None:
    JsonDisplay().finish(Summary(done=1, reused=2, seconds=3.5))
    assert events(capsys) == [
        {
            "event": "summary",
            "done": 1,
            "failed": 0,
            "cancelled": 0,
            "unconfirmed": 0,
            "unfinished": 0,
            "reused": 2,
            "seconds": 3.5,
            "exit_code": 0,
        }
    ]


def test_what_a_job_waits_for_is_told_once(capsys: Capture) -> None:
    display = JsonDisplay(Clock())
    waiting = make_job(JobState.RUNNING, problem=Problem(kind="TransientError", message="no line"))
    display.change(waiting, make_job(JobState.RUNNING))
    display.change(waiting, waiting)
    (event,) = events(capsys)
    assert event["error"]["message"] == "no line"
