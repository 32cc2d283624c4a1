"""A REAPER that was set up by the true installer, and ends with the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from stembridge_reaper.install.actions import Launcher
from stembridge_reaper.install.python_library import Trial
from stembridge_reaper.install.setup import install

from plugin_core.settings import Settings
from tests import quick_start
from tests.audio_files import write_song
from tests.hosts.reaper.builders import facts_of
from tests.simulators.reaper.engine import FakeReaper
from tests.simulators.reaper.host import Host, Script
from tests.simulators.reaper.objects import Item, Project

QUERIES = ("insert", "jobs", "cancel")
"""Actions that wait for a worker's answer."""


class Desk:
    """REAPER, its scripts and the folder where runs lie."""

    def __init__(self, resource_path: Path, home: Path, launcher: str) -> None:
        self.launcher = launcher
        self.suffix = {"lua": ".lua", "python": ".py"}[launcher]
        self.resource_path = resource_path
        self.scripts = resource_path / "Scripts" / "stembridge"
        self.runs = home / "reaper" / "runs"
        self.closed: list[Host] = []
        self._seen: list[Path] = []
        self.clicks: list[str] = []
        """What to click in the window of the next action, in this order."""
        self.open()

    def open(self, project: Project | None = None) -> None:
        """Start REAPER, with an empty project or one as it was saved."""
        self.reaper = FakeReaper(str(self.resource_path))
        self.host = Host(self.reaper)
        if project is not None:
            self.reaper.active.path = project.path
            self.reaper.active.restore(project.state())
            self.reaper.active.history[:] = [("open", self.reaper.active.state())]

    def reopen(self) -> None:
        """Kill REAPER and open what was saved before the action began."""
        project = self.reaper.active
        project.restore(project.history[-1][1])
        self.host.quit()
        for sign in self.runs.glob("*/followed"):
            os.utime(sign, (0, 0))
        self.closed.append(self.host)
        self.open(project)

    def press(self, action: str) -> Script:
        """Start an action, the end of its script's name, and let it read what is selected."""
        script = self.host.start(str(self.scripts / f"stembridge_{action}{self.suffix}"))
        watcher = script.main.__dict__.get("stembridge_watcher")
        if self.launcher == "lua" and action not in QUERIES:
            self.host.run(lambda: bool(self.reaper.processes) or not self.host.scripts)
        while watcher is not None and watcher._chores and action not in QUERIES:
            self.host.tick()
        return script

    def do(self, action: str) -> None:
        """Start an action and wait until all it does is done."""
        script = self.press(action)
        for words in self.clicks:
            assert script.window is not None
            self.host.run(partial(script.window.has, words))
            script.window.click(words)
        self.clicks.clear()
        self.host.run()
        assert self.host.errors == []

    @property
    def messages(self) -> list[str]:
        """What the message boxes said."""
        return [message for message, _ in self.reaper.boxes]

    @property
    def run_folders(self) -> list[Path]:
        """The runs, the oldest first."""
        found = sorted(path for path in self.runs.iterdir() if not path.name.startswith("query-"))
        # Those of one second have names in any order.
        self._seen += [path for path in found if path not in self._seen]
        return [path for path in self._seen if path in found]

    @property
    def run_folder(self) -> Path:
        """The newest run."""
        return self.run_folders[-1]

    def status(self) -> dict[str, Any]:
        """Return what the worker of the newest run said last."""
        path = self.run_folder / "status.json"
        found: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
        return found

    def configure(self, **values: Any) -> None:
        """Change what the installer wrote for the scripts."""
        path = self.scripts / "stembridge.json"
        path.write_text(json.dumps(json.loads(path.read_bytes()) | values), encoding="ascii")

    def say(self, **values: Any) -> None:
        """Say something in place of the newest run's worker."""
        status = {"version": 2, "id": "run", "pid": 1, "heartbeat": time.time(), "files": []} | values
        (self.run_folder / "status.json").write_text(json.dumps(status), encoding="ascii")

    def wait_for(self, state: str) -> None:
        """Tick until the worker of the newest run says so."""
        self.host.run(lambda: self.status().get("state") == state)

    def wait_without_reaper(self, state: str) -> None:
        """Wait while REAPER is closed."""
        end = time.monotonic() + 600
        while self.status().get("state") != state:
            assert time.monotonic() < end, self.status()
            time.sleep(0.01)

    def leave_run(self, item: Item) -> None:
        """Leave a run whose stem of an item is finished and not inserted: the item's own file."""
        assert item.take is not None
        assert item.take.source is not None
        path = item.take.source.path
        track = next(track.guid for track in self.reaper.active.tracks if item in track.items)
        name = f"20260101-000000-{len(list(self.runs.iterdir())):08}"
        folder = self.runs / name
        folder.mkdir()
        items = [facts_of(path, length=item.values["D_LENGTH"]) | {"guid": item.guid, "track": track}]
        request = {"version": 2, "id": name, "created": 0.0, "kind": "separate", "preset": "vocals", "items": items}
        stem = {"name": "vocals", "title": "Vocals", "path": path, "job": name}
        file = {"path": path, "items": [0], "state": "done", "parts": [{"stems": [stem]}]}
        status = {"version": 2, "id": name, "pid": 1, "heartbeat": 0.0, "state": "done", "ready": 1, "files": [file]}
        (folder / "request.json").write_text(json.dumps(request | {"project": {"path": ""}}), encoding="ascii")
        (folder / "status.json").write_text(json.dumps(status), encoding="ascii")

    def kill_worker(self) -> None:
        """Kill the worker of the newest run, and wait until it says no more."""
        pid = self.status()["pid"]
        os.kill(pid, signal.SIGKILL)
        with suppress(FileNotFoundError, ProcessLookupError):
            while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.001)

    def silence(self) -> None:
        """Make a dead worker's last sign old."""
        status = self.status()
        (self.run_folder / "status.json").write_text(json.dumps(status | {"heartbeat": 0.0}))
        os.utime(self.run_folder / "request.json", (0, 0))

    def processes(self) -> Iterator[Any]:
        """Yield every worker process that a script started."""
        for host in [*self.closed, self.host]:
            for script in [*host.scripts, *host.ended]:
                yield from _processes_of(script)


def _processes_of(script: Script) -> Iterator[Any]:
    watcher = script.main.__dict__.get("stembridge_watcher")
    for run in [*watcher.runs, *watcher.finished, *watcher._leaving] if watcher else ():
        if run.process is not None:
            yield run.process


@pytest.fixture
def launcher(request: pytest.FixtureRequest) -> Launcher:
    """The language of the scripts; tests of both say so."""
    chosen: Launcher = getattr(request, "param", "python")
    return chosen


@pytest.fixture
def desk(tmp_path: Path, home: Path, launcher: Launcher, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    if launcher == "lua":
        pytest.importorskip("lupa")
    monkeypatch.setattr(subprocess, "Popen", quick_start.Popen)
    resource_path = tmp_path / "REAPER"
    resource_path.mkdir()
    library = tmp_path / "libpython3.11.so.1.0"
    library.touch()
    install(resource_path, Settings(), launcher=launcher, is_running=lambda: False, find=lambda: (library, Trial()))
    desk = Desk(resource_path, home, launcher)
    desk.configure(launch=["-m", "stembridge_reaper", "plugin_core"])
    yield desk
    for run in desk.runs.iterdir():
        (run / "cancel").touch()
    for host in [*desk.closed, desk.host]:
        for started in host.reaper.processes:
            started.wait(timeout=300)
    for process in desk.processes():
        process.wait(timeout=300)
    assert desk.host.errors == []


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "S\u00f6ng & 'quote'.wav", 3.0)
