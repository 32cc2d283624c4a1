from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stembridge_reaper import worker
from stembridge_reaper.protocol import FileStatus, LabelResult, PartStatus, Status, read_request
from stembridge_reaper.status import describe_labels
from stembridge_reaper.worker import Worker

from plugin_core import hookimpl
from plugin_core.errors import UsageError
from plugin_core.model import Label, Plan, Source, Tagging, Ticket
from plugin_core.presets import load_presets
from plugin_core.protocols import Finished, Order, Report, Tagger, Waiting
from plugin_core.session import Session
from plugin_core.settings import Settings
from plugin_core.tags.reader import read_fields
from tests.hosts.reaper.builders import add_item, add_track, facts_of
from tests.hosts.reaper.conftest import Desk
from tests.plugin_core import tagger_fakes
from tests.plugin_core.cli.fakes import FakePoint, load_fakes, write_song


class FakeTagger:
    """Finds every song happy."""

    name, title, remote = "ears", "A fake for tests", False

    def account(self) -> str:
        return self.name

    async def slots(self) -> int:
        return 4

    async def plan(self, source: Source, wish: Tagging) -> Plan:
        return Plan(operation=wish)

    async def submit(self, order: Order, report: Report) -> Ticket:
        return Ticket(remote_id=order.key)

    async def find(self, order: Order) -> Ticket | None:
        return None

    async def poll(self, order: Order, report: Report) -> Waiting | Finished:
        return Finished(labels=(Label(dimension="mood", value="\u5feb\u4e50", english="Happy", probability=0.9),))

    async def cancel(self, order: Order) -> None:
        return None

    async def release(self, order: Order) -> None:
        return None


class FakePlugin:
    """Registers taggers."""

    def __init__(self, *taggers: Tagger) -> None:
        self.taggers = taggers

    @hookimpl
    def register_taggers(self, register: Callable[[Any], None], settings: Settings) -> None:
        for tagger in self.taggers:
            register(tagger)


def label(folder: Path, *taggers: Tagger) -> dict[str, Any]:
    """Label one song in this process and return the worker's last word."""
    song = folder / "Song.flac"
    if not song.exists():
        write_song(song)
    request = {"version": 2, "id": "run", "created": 1.0, "kind": "label", "project": {"path": ""}}
    path = folder / "run" / "request.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(request | {"items": [facts_of(song)]}))
    with Session(Settings(), load_fakes(FakePoint("ears", FakePlugin(*taggers)))) as session:
        asyncio.run(Worker(session, read_request(path), path.parent).run())
    status: dict[str, Any] = json.loads((path.parent / "status.json").read_bytes())
    return status


def test_labels_are_found_and_written(tmp_path: Path) -> None:
    import mutagen

    status = label(tmp_path, FakeTagger())
    assert status["state"] == "done", status
    assert status["files"][0]["parts"][0]["labels"] == [{"dimension": "mood", "value": "Happy", "probability": 0.9}]
    assert "Happy" in str(mutagen.File(tmp_path / "Song.flac"))


def test_several_taggers_need_a_word(tmp_path: Path) -> None:
    second = FakeTagger()
    second.name = "nose"
    with pytest.raises(UsageError, match=r"ears, nose\); name one in \[tags\] provider"):
        label(tmp_path, FakeTagger(), second)


def test_preset_for_labels_must_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "vocals" in load_presets(Settings())
    monkeypatch.setenv("STEMBRIDGE_REAPER_LABEL_PRESET", "vocals")
    with pytest.raises(UsageError, match="labels nothing"):
        label(tmp_path, FakeTagger())


def test_nobody_who_labels(desk: Desk, song: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMBRIDGE_PLUGINS", "local,reaper")
    project = desk.reaper.active
    add_item(add_track(project), song)
    project.remember("arranged")
    state = project.state()
    desk.do("label")
    assert desk.messages == ["no tagger is installed; stembridge plugins lists what is"]
    assert project.state() == state


def test_labels_are_told_in_the_console(desk: Desk, song: Path) -> None:
    add_item(add_track(desk.reaper.active), song)
    desk.configure(python="/bin/sh", arguments=["-c", ":"])
    desk.press("label")
    part = PartStatus(labels=(LabelResult(dimension="mood", value="Happy", probability=0.9),))
    status = Status(id="run", pid=1, heartbeat=0.0, files=[FileStatus(path=song, state="done", parts=[part])])
    desk.say(state="done", message="", console=describe_labels(status, "label"))
    desk.host.run()
    assert desk.messages == []
    assert desk.reaper.console == [f"{song}: mood: Happy\n"]


def test_preset_that_only_labels_is_an_action_that_says_so(desk: Desk, song: Path) -> None:
    add_item(add_track(desk.reaper.active), song)
    desk.configure(python="/bin/sh", arguments=["-c", ":"])
    desk.press("preset_mood")
    request = json.loads((desk.run_folder / "request.json").read_bytes())
    assert (request["kind"], request["preset"]) == ("label", "mood")
    assert "# @description Label selected items' files (" in (desk.scripts / "stembridge_preset_mood.py").read_text()
    desk.say(state="done")
    desk.host.run()
    assert desk.messages == []


def test_labels_bought_before_are_not_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PATIENCE", 0.0)
    tagger = tagger_fakes.FakeTagger()
    with pytest.raises(UsageError, match="nobody said whether to pay"):
        label(tmp_path, tagger)
    assert tagger.submitted == []
    (tmp_path / "run" / "go").touch()
    assert label(tmp_path, tagger)["state"] == "done"
    (tmp_path / "run" / "go").unlink()
    monkeypatch.setenv("STEMBRIDGE_TAGS_POLICY", "replace")
    monkeypatch.setenv("STEMBRIDGE_TAGS_LABELS", "zh")
    status = label(tmp_path, tagger)
    assert (status["state"], status["message"]) == ("done", "")
    assert read_fields(tmp_path / "Song.flac")["mood"] == ("\u5b89\u9759",)
    assert len(tagger.submitted) == 1
