"""The whole of ``stembridge separate`` on one processor: ``python -m tests.benchmarks.command``.

Counts everything a user waits for: start, reading, separating, writing FLAC, checking the stems against the song,
tagging and placing them. Memory is the largest resident set of any process of the run. Needs Linux.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import soundfile

from tests.benchmarks.separation import MEBIBYTE, write_long

AUDIO = Path(__file__).parents[2].parent / "shared" / "audio"


def main() -> None:
    """Print a line a song, the real ones first if they are there."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"{'song':44}{'wall':>9}{'processor':>12}{'x realtime':>12}{'peak':>11}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for song in sorted(AUDIO.glob("*.ogg")):
            measure(song, folder)
        for minutes in (6, 60):
            measure(write_long(folder / f"{minutes} min.flac", minutes * 60, "PCM_16"), folder)


def measure(song: Path, folder: Path) -> None:
    """Separate one song in a home of its own and print its line."""
    target = folder / "stems" / song.stem
    target.mkdir(parents=True)
    environment = {**os.environ, "STEMBRIDGE_HOME": str(target / "home")}
    command = [sys.executable, "-m", "plugin_core", "--quiet", "separate", str(song), "--to", str(target)]
    start = time.perf_counter()
    process = subprocess.Popen(command, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        raise SystemExit(f"failed: {song}")
    seconds = soundfile.info(song).duration
    spent = used.ru_utime + used.ru_stime
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / MEBIBYTE
    print(f"{song.name:44}{wall:8.1f}s{spent:11.1f}s{seconds / wall:11.1f}x{peak:8.0f}MiB")


if __name__ == "__main__":
    main()
