"""The command line in this process, with a fake separator, and in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from plugin_core.cli.app import run
from plugin_core.console.context import Context
from plugin_core.errors import OutcomeUnknownError
from plugin_core.jobs import engine
from plugin_core.jobs.policy import Policy
from plugin_core.manifests import manifest
from tests.hosts.reaper.schemas import list_event_faults
from tests.plugin_core.cli.fakes import FakePlugin, FakePoint, FakeSeparator, load_fakes, write_song

SCHEMA = "events.schema.json"
KINDS = json.loads(manifest(SCHEMA).read_text(encoding="utf-8"))["$defs"]
"""Of the core's own events; commands of one service have others."""


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines of standard output, each as the schema has it."""
        events = [json.loads(line) for line in self.out.splitlines()]
        for event in events:
            if event["event"] in KINDS:
                assert list_event_faults(SCHEMA, event["event"], event) == []
        return events

    def of(self, event: str) -> list[dict[str, Any]]:
        """Return the events of one kind."""
        return [one for one in self.events if one["event"] == event]


Run = Callable[..., Result]


def run_here(capsys: pytest.CaptureFixture[str], *plugins: FakePoint) -> Run:
    """Return what runs a command line in this process, with these plugins alone."""

    def call(*arguments: object, points: tuple[FakePoint, ...] = ()) -> Result:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments], Context(plugins=load_fakes(*plugins, *points)))
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture
def fake() -> FakeSeparator:
    return FakeSeparator()


@pytest.fixture
def stembridge(
    fake: FakeSeparator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Run:
    """Run a command line in this process; the fake is the default provider and the only plugin."""
    monkeypatch.setenv("STEMBRIDGE_SEPARATE_PROVIDER", "fake")
    monkeypatch.chdir(tmp_path)
    return run_here(capsys, FakePoint("fake", FakePlugin(fake)))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch, fake: FakeSeparator) -> None:
    """Let the engine give up at once to find a job that its service cannot tell of."""

    async def find_nothing(_order: object) -> None:
        raise OutcomeUnknownError("the service cannot tell")

    monkeypatch.setattr(fake, "find", find_nothing)
    monkeypatch.setattr(engine, "Policy", lambda: Policy(search_for=0.0, settle=0.0))


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "Song.flac")
