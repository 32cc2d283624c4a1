"""Start-up and import times, as ratios to a bare interpreter in the same run.

Run with ``python -m tests.benchmarks.startup``.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 25
COMMAND = Path(sys.executable).with_name("stembridge")


def median_seconds(command: list[str]) -> float:
    """Return the median wall time of a command over RUNS runs, after one that is not counted."""
    times = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def import_milliseconds(module: str) -> float:
    """Return the median cumulative import time of a module by ``-X importtime``."""
    times = []
    for _ in range(RUNS):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", f"import {module}"], check=True, capture_output=True, text=True
        )
        found = re.findall(rf"\|\s+(\d+) \| {re.escape(module)}$", done.stderr, re.MULTILINE)
        times.append(int(found[-1]) / 1000)
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    bare = median_seconds([sys.executable, "-c", "pass"])
    version = median_seconds([str(COMMAND), "--version"])
    help_page = median_seconds([str(COMMAND), "--help"])
    words = [str(COMMAND), "__complete", "fish", "separate", "Song.flac", "--pro"]
    completion = median_seconds(words)
    print(f"python -c pass            {bare * 1000:7.1f} ms")
    print(f"stembridge --version      {version * 1000:7.1f} ms   {version / bare:.2f} x (bar: 2.5 x)")
    print(f"stembridge --help         {help_page * 1000:7.1f} ms   {help_page / bare:.2f} x")
    print(f"the Tab key               {completion * 1000:7.1f} ms   {completion / version:.2f} x --version")
    print(f"import plugin_core        {import_milliseconds('plugin_core'):7.1f} ms   (bar: 60 ms)")
    print(f"import plugin_core.session{import_milliseconds('plugin_core.session'):7.1f} ms")


if __name__ == "__main__":
    main()
