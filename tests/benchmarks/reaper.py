"""How long a tick of REAPER's deferred script takes, in the fake REAPER, with 50 runs at work; in Python and in Lua.

Run with ``python -m tests.benchmarks.reaper``. The fake answers in Python, and has 4 MiB behind every text that a
function may fill, as the true one. "A script for each run" is what all 50 scripts take together in one tick.
"""

from __future__ import annotations

import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stembridge_reaper.install.setup import install
from stembridge_reaper.install.trial import Trial
from stembridge_reaper.plan import AddItem, AddTake, AddTrack, Commit, Find, Head, SetNumbers, SetText, Step, write_plan

from plugin_core.settings import Settings
from tests.audio_files import write_song
from tests.hosts.reaper.builders import add_item, add_track
from tests.simulators.reaper import bindings
from tests.simulators.reaper.engine import FakeReaper
from tests.simulators.reaper.host import Host, Script

RUNS = 50
TICKS = 1000
REPORTS = 7
"""Workers that report in one tick: each of 50 does so four times a second."""

ITEMS = 4000
STEMS = 160


def fill(reaper: FakeReaper, song: Path) -> None:
    """Make a project of many items, one of them selected."""
    track = add_track(reaper.active)
    for number in range(ITEMS):
        add_item(track, song, number * 1.0).is_selected = number == 0


def press(host: Host, scripts: Path, home: Path) -> tuple[Script, Path]:
    """Start one run whose worker does nothing, and return its folder."""
    known = set((home / "reaper" / "runs").iterdir())
    script = host.start(str(scripts / "stembridge_separate_last.py"))
    while script.main.__dict__["stembridge_watcher"]._chores:
        host.tick()
    (folder,) = set((home / "reaper" / "runs").iterdir()) - known
    return script, folder


def report(folder: Path, step: int) -> None:
    """Write the status that a worker would."""
    file = {"path": "x", "items": [0], "state": "running", "progress": step / TICKS, "note": f"{step % 20} %"}
    status = {"version": 2, "state": "working", "heartbeat": time.time(), "hint": f"{step}", "files": [file]}
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
    reaper = FakeReaper(str(resource_path))
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
            f"{STEMS} stems inserted": time_insertion(started[0][0], reaper, song, folder),
        }
    finally:
        for run in runs:
            run.process.kill()
            run.process.wait()


LUA = """
local folder = select(2, reaper.get_action_context()):match("^(.*/)") .. "stembridge_scripts/"
local documents = loadfile(folder .. "documents.lua")()
local facts = loadfile(folder .. "facts.lua")(documents)
local plan = loadfile(folder .. "execution.lua")(documents, facts).begin("PLAN", {})
local function tick()
  if plan:step() then reaper.defer(tick) else reaper.ShowConsoleMsg("done") end
end
reaper.defer(tick)
"""


def measure_lua(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Return wall and processor seconds of each tick of scripts in Lua."""
    home, resource_path = folder / "home", folder / "REAPER"
    resource_path.mkdir(parents=True)
    install(resource_path, Settings(home), launcher="lua", is_running=lambda: False)
    scripts = resource_path / "Scripts" / "stembridge"
    configuration = scripts / "stembridge.json"
    idle = {"python": "/bin/sh", "launch": ["-c", "exec sleep 600"]}
    configuration.write_text(json.dumps(json.loads(configuration.read_text()) | idle))
    reaper, shift = FakeReaper(str(resource_path)), 0.0
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
        host.quit()
        window = host.start(str(scripts / "stembridge_separate_choose.lua")).window
        assert window is not None
        run("window", TICKS)
        host.quit()
        host.start(str(scripts / "stembridge_insert.lua"))
        run(f"{ITEMS} items read", TICKS, lambda _: host.quit() if len(reaper.processes) > 2 else None)
        host.quit()
        write_plan(folder / "plan.jsonl", plan_stems(song, reaper.active.tracks[0].guid))
        (scripts / "stembridge_plan.lua").write_text(LUA.replace("PLAN", str(folder / "plan.jsonl")))
        # What the fake copies for its undo, REAPER does in its own way.
        reaper.active.remember = lambda words: None  # type: ignore[method-assign]
        host.start(str(scripts / "stembridge_plan.lua"))
        run(f"{STEMS} stems inserted", 100 * TICKS)
        assert reaper.console == ["done"]
        return found
    finally:
        assert host.errors == []
        for process in reaper.processes:
            process.kill()
            process.wait()


def plan_stems(song: Path, source: str) -> Iterator[Step]:
    """Yield the steps that put the stems of 40 items onto four tracks."""
    values = tuple((key, 0.5) for key in ("D_POSITION", "D_LENGTH", "D_VOL", *(f"D_{number}" for number in range(12))))
    yield Head(1, "stems")
    yield Find(1, "MediaTrack", source)
    for slot in range(2, 7):
        yield from (AddTrack(slot, slot - 1), SetNumbers(slot, (("B_MUTE", 1),)), SetText(slot, "P_NAME", "Stem"))
    for number in range(STEMS):
        item, take = 2 * number + 7, 2 * number + 8
        yield from (AddItem(item, 3 + number % 4), AddTake(take, item, song))
        yield from (SetNumbers(item, values), SetNumbers(take, values[:9]))
        yield from (SetText(take, "P_NAME", "Stem"), SetText(item, "P_EXT:stembridge", "{}"))
    yield Commit()
    yield from (SetNumbers(slot, (("B_MUTE", 0),)) for slot in range(2, 7))


def time_insertion(script: Script, reaper: FakeReaper, song: Path, folder: Path) -> list[tuple[float, float]]:
    """Return wall and processor seconds of each tick of an insertion."""
    write_plan(folder / "plan.jsonl", plan_stems(song, reaper.active.tracks[0].guid))
    execution = script.modules["stembridge_scripts.execution"].Execution(str(folder / "plan.jsonl"), {})
    # What the fake copies for its undo, REAPER does in its own way.
    reaper.active.remember = lambda words: None  # type: ignore[method-assign]
    seconds, goes_on = [], True
    gc.collect()
    while goes_on:
        begin, begin_own = time.perf_counter(), time.thread_time()
        goes_on = execution.step()
        seconds.append((time.perf_counter() - begin, time.thread_time() - begin_own))
    assert len(execution.made) == STEMS
    return seconds


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
