"""What scripts and worker write is what ``manifests/hosts/reaper/*.schema.json`` say."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from stembridge_reaper.plan import Head
from stembridge_reaper.protocol import FileStatus, LabelResult, PartStatus, Status, StemResult

from plugin_core.model import to_json
from tests.audio_files import write_song
from tests.hosts.reaper.builders import add_item, add_track, read_plan
from tests.hosts.reaper.conftest import Desk
from tests.hosts.reaper.schemas import list_faults

KINDS: tuple[type[msgspec.Struct], ...] = (Status, FileStatus, PartStatus, StemResult, LabelResult)


def make_status(**values: Any) -> dict[str, Any]:
    """Return a status with one of everything."""
    part = PartStatus(
        start=0.5,
        end=1.5,
        stems=(StemResult(name="vocals", title="Vocals", path=Path("/x.wav"), job="1"),),
        labels=(LabelResult(dimension="mood", value="Happy"),),
    )
    file = FileStatus(path=Path("/song.wav"), state="done", progress=1.0, parts=[part, PartStatus()])
    status = Status(id="run", pid=1, heartbeat=time.time(), state="done", jobs=["1"], files=[file])
    document: dict[str, Any] = json.loads(to_json(status))
    return document | values


def test_every_field_of_a_status_is_named() -> None:
    assert list_faults("status", make_status()) == []
    document = make_status()
    (file,) = document["files"]
    whole = (document, file, file["parts"][0])
    parts = (*whole, whole[-1]["stems"][0], whole[-1]["labels"][0])
    for kind, part in zip(KINDS, parts, strict=True):
        assert part.keys() == {field.encode_name for field in msgspec.structs.fields(kind)}


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda status: status.pop("pid"), "status: pid is missing"),
        (lambda status: status.update(more=1), "status: more is not named"),
        (lambda status: status.update(pid="1"), "status.pid: '1' is no integer"),
        (lambda status: status.update(pid=True), "status.pid: True is no integer"),
        (lambda status: status.update(version=1), "status.version: 1 is none of [2]"),
        (lambda status: status["files"][0].update(progress=1.5), "status.files[0].progress: 1.5 is above 1"),
        (lambda status: status.update(message=0), "status.message: 0 is no string"),
    ],
    ids=["missing", "more", "kind", "boolean", "version", "range", "text"],
)
def test_the_check_finds_what_is_wrong(spoil: Callable[[dict[str, Any]], object], fault: str) -> None:
    document = make_status()
    spoil(document)
    assert list_faults("status", document) == [fault]


def test_what_scripts_and_worker_write(desk: Desk, song: Path, tmp_path: Path) -> None:
    track = add_track(desk.reaper.active)
    other = write_song(tmp_path / "Other.wav", 1.0, seed=2)
    add_item(track, song, 0.0, 1.0, offset=0.2, rate=1.5)
    add_item(track, song, 2.0, 1.0, section=(0.5, 1.0))
    add_item(track, other, 4.0, 0.5, loop=True, mode=2).takes[0].markers = [(0.1, 0.2, 0.0), (0.6, 0.9, 0.0)]
    desk.do("separate_last")
    desk.do("insert")
    kinds = []
    for path in [*desk.runs.glob("*/request.json"), *desk.runs.glob("*/*/request.json")]:
        request = json.loads(path.read_bytes())
        kinds.append(request["kind"])
        assert list_faults("request", request) == []
        assert list_faults("status", json.loads(path.with_name("status.json").read_bytes())) == []
    assert {"separate", "place", "insert"} == set(kinds)
    plans = list(desk.runs.glob("*/*/plan.jsonl"))
    assert plans
    for plan in plans:
        assert read_plan(plan)[0] == Head(1, "stembridge: insert stems")
