"""How long a tick of REAPER's deferred script takes, in the fake REAPER, with 50 runs at work.

Run with ``python -m tests.benchmarks.reaper``. The fake answers in Python, and has 4 MiB behind every text that a
function may fill, as the true one. "A script for each run" is what all 50 scripts take together in one tick.
"""

from __future__ import annotations

import gc
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from stembridge_reaper.install.setup import install
from stembridge_reaper.install.trial import Trial

from plugin_core.settings import Settings
from tests.audio_files import write_song
from tests.hosts.reaper.builders import add_item, add_track
from tests.simulators.reaper.engine import FakeReaper
from tests.simulators.reaper.host import Host, Script

RUNS = 50
TICKS = 1000
REPORTS = 7
"""Workers that report in one tick: each of 50 does so four times a second."""

ITEMS = 1000


def fill(reaper: FakeReaper, song: Path) -> None:
    """Make a project of many items, one of them selected."""
    track = add_track(reaper.active)
    for number in range(ITEMS):
        add_item(track, song, number * 1.0).is_selected = number == 0


def press(host: Host, scripts: Path, home: Path) -> tuple[Script, Path]:
    """Start one run whose worker does nothing, and return its folder."""
    known = set((home / "reaper" / "runs").iterdir())
    script = host.start(str(scripts / "stembridge_separate_last.py"))
    (folder,) = set((home / "reaper" / "runs").iterdir()) - known
    return script, folder


def report(folder: Path, step: int) -> None:
    """Write the status that a worker would."""
    file = {"key": "1", "path": "x", "state": "running", "progress": step / TICKS, "message": "", "parts": []}
    status = {"version": 1, "state": "working", "heartbeat": time.time(), "settings": {}, "files": [file]}
    staged = folder / "status.new"
    staged.write_text(json.dumps(status))
    staged.replace(folder / "status.json")


def measure(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Return wall and processor seconds of each tick while workers report, by how the runs were started."""
    home, resource_path, library = folder / "home", folder / "REAPER", folder / "libpython3.11.so.1.0"
    resource_path.mkdir()
    library.touch()
    install(resource_path, Settings(home), launcher="python", is_running=lambda: False, find=lambda: (library, Trial()))
    scripts = resource_path / "Scripts" / "stembridge"
    configuration = scripts / "stembridge.json"
    idle = {"python": "/bin/sh", "arguments": ["-c", "exec sleep 600"]}
    configuration.write_text(json.dumps(json.loads(configuration.read_text()) | idle))
    reaper = FakeReaper(str(resource_path))
    host = Host(reaper)
    fill(reaper, write_song(folder / "Song.wav", 2.0))
    started = [press(host, scripts, home) for _ in range(RUNS)]
    runs = [one for script, _ in started for one in script.main.__dict__["stembridge_watcher"].runs]
    apart = [script.main.__dict__["stembridge_watcher"] for script, _ in started]
    folders = [one for _, one in started]
    clock = Clock()
    try:
        return {
            "one script": time_ticks([type(apart[0])(runs, clock)], folders, clock),
            "a script for each run": time_ticks([type(apart[0])([run], clock) for run in runs], folders, clock),
        }
    finally:
        for run in runs:
            run.process.kill()
            run.process.wait()


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
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder))
    print(f"{RUNS} runs, {ITEMS} items, {TICKS} ticks")
    for name, seconds in measured.items():
        wall, own = zip(*seconds, strict=True)
        print(f"{name:<22} {describe(wall)}   (bars: 2 and 8 ms)")
        print(f"{'  processor time':<22} {describe(own)}")


def describe(seconds: tuple[float, ...]) -> str:
    """Return median and worst in milliseconds."""
    return f"median {statistics.median(seconds) * 1000:6.3f} ms, worst {max(seconds) * 1000:6.3f} ms"


if __name__ == "__main__":
    main()
