"""How long a tick of REAPER's deferred script takes, in the fake REAPER, with 50 runs at work; in Python and in Lua.

Run with ``python -m tests.benchmarks.reaper``. The fake answers in Python, and has 4 MiB behind every text that a
function may fill, as the true one. "A script for each run" is what all 50 scripts take together in one tick.
"""

from __future__ import annotations

import gc
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stembridge_reaper.install.actions import Launcher
from stembridge_reaper.install.python_library import Trial
from stembridge_reaper.install.setup import install

from plugin_core.settings import Settings
from tests.audio_files import write_song
from tests.hosts.reaper.builders import add_item, add_track, facts_of
from tests.simulators.reaper import bindings
from tests.simulators.reaper.engine import FakeReaper
from tests.simulators.reaper.host import Host, Script

RUNS = 50
TICKS = 1000
REPORTS = 7
"""Workers that report in one tick: each of 50 does so four times a second."""

ITEMS = 4000
STEMS = 160
LAUNCHERS: tuple[Launcher, ...] = ("python", "lua")


class QuickReaper(FakeReaper):
    """A fake that does not search the project at every call for what a pointer points to: REAPER does not, either."""

    def _is_alive(self, thing: Any) -> bool:
        return True


def fill(reaper: FakeReaper, song: Path, selected: int = 1) -> None:
    """Make a project of many items, the first of them selected."""
    track = add_track(reaper.active)
    for number in range(ITEMS):
        add_item(track, song, number * 1.0).is_selected = number < selected


def press(host: Host, scripts: Path, home: Path) -> tuple[Script, Path]:
    """Start one run whose worker does nothing, and return its folder."""
    known = set((home / "reaper" / "runs").iterdir())
    script = host.start(str(scripts / "stembridge_separate_last.py"))
    while script.main.__dict__["stembridge_watcher"]._chores:
        host.tick()
    (folder,) = set((home / "reaper" / "runs").iterdir()) - known
    return script, folder


def report(folder: Path, step: int, files: int = 1) -> None:
    """Write the status that a worker would."""
    stems = [
        {"name": name, "title": name, "path": f"/music/Song.stems/Song - {name}.flac", "job": "1"} for name in "abcd"
    ]
    file = {"path": "x", "items": [0], "state": "running", "progress": step / TICKS, "note": f"{step % 20} %"}
    file |= {"words": "", "parts": [{"stems": stems}]}
    status = {"version": 2, "state": "working", "heartbeat": time.time(), "hint": f"{step}", "files": [file] * files}
    staged = folder / "status.new"
    staged.write_text(json.dumps(status))
    staged.replace(folder / "status.json")


def measure(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Return wall and processor seconds of each tick while workers report, by how the runs were started."""
    home, resource_path, library = folder / "home", folder / "REAPER", folder / "libpython3.11.so.1.0"
    resource_path.mkdir(parents=True)
    library.touch()
    install(resource_path, Settings(home), launcher="python", is_running=lambda: False, find=lambda: (library, Trial()))
    scripts = resource_path / "Scripts" / "stembridge"
    configuration = scripts / "stembridge.json"
    idle = {"python": "/bin/sh", "arguments": ["-c", "exec sleep 600"]}
    configuration.write_text(json.dumps(json.loads(configuration.read_text()) | idle))
    reaper = QuickReaper(str(resource_path))
    host = Host(reaper)
    song = write_song(folder / "Song.wav", 2.0)
    fill(reaper, song)
    started = [press(host, scripts, home) for _ in range(RUNS)]
    runs = [one for script, _ in started for one in script.main.__dict__["stembridge_watcher"].runs]
    apart = [script.main.__dict__["stembridge_watcher"] for script, _ in started]
    folders = [one for _, one in started]
    clock = Clock()

    def watcher(*followed: Any) -> Any:
        made = type(apart[0])({}, clock)
        made.runs += followed
        made.known.update(apart[0].known)
        return made

    try:
        return {
            "one script": time_ticks([watcher(*runs)], folders, clock),
            "a script for each run": time_ticks([watcher(run) for run in runs], folders, clock),
        }
    finally:
        for run in runs:
            run.process.kill()
            run.process.wait()


def measure_lua(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Return wall and processor seconds of each tick of scripts in Lua."""
    home, resource_path = folder / "home", folder / "REAPER"
    resource_path.mkdir(parents=True)
    install(resource_path, Settings(home), launcher="lua", is_running=lambda: False)
    scripts = resource_path / "Scripts" / "stembridge"
    configuration = scripts / "stembridge.json"
    idle = {"python": "/bin/sh", "launch": ["-c", "exec sleep 600"]}
    configuration.write_text(json.dumps(json.loads(configuration.read_text()) | idle))
    reaper, shift = QuickReaper(str(resource_path)), 0.0
    reaper.clock = lambda: time.perf_counter() + shift
    host, song = Host(reaper), write_song(folder / "Song.wav", 2.0)
    fill(reaper, song)
    found: dict[str, list[tuple[float, float]]] = {}

    def run(name: str, ticks: int, act: Callable[[int], object] = lambda _: None) -> None:
        nonlocal shift
        seconds = found.setdefault(name, [])
        # The fake's rubbish is none of Lua's.
        gc.freeze()
        for step in range(ticks):
            shift += 1 / 30
            act(step)
            begin, begin_own = time.perf_counter(), time.thread_time()
            goes_on = host.tick()
            seconds.append((time.perf_counter() - begin, time.thread_time() - begin_own))
            if not goes_on:
                return

    try:
        host.start(str(scripts / "stembridge_separate_last.lua"))
        while not reaper.processes:
            host.tick()
        (place,) = (home / "reaper" / "runs").iterdir()
        run("one script", TICKS, lambda step: report(place, step))
        run("a run of 1000 files", TICKS // 10, lambda step: None if step % 10 else report(place, step, 1000))
        host.quit()
        window = host.start(str(scripts / "stembridge_separate_choose.lua")).window
        assert window is not None
        run("window", TICKS)
        host.quit()
        host.start(str(scripts / "stembridge_insert.lua"))
        run(f"{ITEMS} items read", TICKS, lambda _: host.quit() if len(reaper.processes) > 2 else None)
        host.quit()
        return found
    finally:
        assert host.errors == []
        for process in reaper.processes:
            process.kill()
            process.wait()


def leave_run(reaper: FakeReaper, home: Path, song: Path, names: Sequence[str]) -> None:
    """Leave a run of the selected items whose stems are finished and not inserted."""
    (track,) = reaper.active.tracks
    items = [item for item in track.items if item.is_selected]
    folder = home / "reaper" / "runs" / "20260101-000000-00000000"
    folder.mkdir(parents=True)
    facts = [facts_of(song) | {"guid": item.guid, "track": track.guid, "item_values": item.values} for item in items]
    head = {"version": 2, "id": folder.name, "created": 0.0, "kind": "separate", "project": {"path": ""}}
    stems = [{"name": name, "title": name.title(), "path": str(song), "job": "1"} for name in names]
    files = [{"path": str(song), "items": [n], "state": "done", "parts": [{"stems": stems}]} for n in range(len(items))]
    status = {"version": 2, "id": folder.name, "pid": 1, "heartbeat": 0.0, "state": "done", "ready": len(items)}
    (folder / "request.json").write_text(json.dumps(head | {"preset": "four-stems", "items": facts}))
    (folder / "status.json").write_text(json.dumps(status | {"files": files}))


def measure_insertion(folder: Path, launcher: Launcher, stem_tracks: str) -> list[tuple[float, float]]:
    """Return wall and processor seconds of each tick from the press of *Insert finished stems* to its end."""
    resource_path, home = folder / "REAPER", folder / "home"
    resource_path.mkdir(parents=True)
    home.mkdir()
    (home / "config.toml").write_text(f'[reaper]\nstem_tracks = "{stem_tracks}"\n')
    (library := folder / "libpython3.11.so.1.0").touch()
    install(resource_path, Settings(home), launcher=launcher, is_running=lambda: False, find=lambda: (library, Trial()))
    reaper, song = QuickReaper(str(resource_path)), write_song(folder / "Song.wav", 2.0)
    fill(reaper, song, selected=STEMS // 4)
    leave_run(reaper, home, song, ("vocals", "drums", "bass", "other"))
    host, seconds = Host(reaper), []
    host.start(str(resource_path / f"Scripts/stembridge/stembridge_insert.{'lua' if launcher == 'lua' else 'py'}"))
    # What the fake copies for its undo, REAPER does in its own way; and its rubbish is none of the script's.
    reaper.active.remember = lambda words: None  # type: ignore[method-assign]
    gc.collect()
    gc.freeze()
    goes_on = True
    while goes_on:
        begin, begin_own, calls = time.perf_counter(), time.thread_time(), reaper.calls
        goes_on = host.tick()
        seconds.append((time.perf_counter() - begin, time.thread_time() - begin_own))
        if reaper.calls == calls:
            time.sleep(0.01)
    for process in reaper.processes:
        process.wait()
    own = [item for item in reaper.active.items if "P_EXT:stembridge" in item.texts]
    assert len(own) == (0 if stem_tracks == "takes" else STEMS), (len(own), reaper.boxes, reaper.console, host.errors)
    assert sum(len(item.takes) for item in reaper.active.items) == ITEMS + STEMS
    # Those in which there was nothing to do.
    return [one for one in seconds if one[1] > 1e-4]


class Clock:
    """Time as the scripts see it: thirty ticks a second, without the waiting."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def time_ticks(watchers: list[Any], folders: list[Path], clock: Clock) -> list[tuple[float, float]]:
    """Return wall and processor seconds of each tick of all watchers together."""
    seconds = []
    gc.collect()
    for step in range(TICKS):
        clock.now += 1 / 30
        for number in range(REPORTS):
            report(folders[(step * REPORTS + number) % RUNS], step)
        begin, begin_own = time.perf_counter(), time.thread_time()
        for watcher in watchers:
            watcher.tick()
        seconds.append((time.perf_counter() - begin, time.thread_time() - begin_own))
    return seconds


def main() -> None:
    """Print median and worst tick."""
    bindings.is_costly = True
    with tempfile.TemporaryDirectory() as folder:
        measured = {
            f"{language}: {name}": seconds
            for language, measure_one in (("Python", measure), ("Lua", measure_lua))
            for name, seconds in measure_one(Path(folder, language)).items()
        }
        for launcher, where in itertools.product(LAUNCHERS, ("beside", "takes")):
            seconds = measure_insertion(Path(folder, launcher, where), launcher, where)
            measured[f"{launcher.title()}: {STEMS} stems, {where}"] = seconds
    print(f"{RUNS} runs, {ITEMS} items, {TICKS} ticks")
    for name, seconds in measured.items():
        wall, own = zip(*seconds, strict=True)
        print(f"{name:<32} {describe(wall)}   (bar: 15 ms)")
        print(f"{'  processor time':<32} {describe(own)}")


def describe(seconds: tuple[float, ...]) -> str:
    """Return median and worst in milliseconds."""
    return f"median {statistics.median(seconds) * 1000:6.3f} ms, worst {max(seconds) * 1000:6.3f} ms"


if __name__ == "__main__":
    main()
