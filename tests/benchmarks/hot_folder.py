"""Many songs dropped while the watch is stopped, then started: ``python -m tests.benchmarks.hot_folder [SONGS]``.

Prints what was done, and how often; processor time a song in the first and in the last quarter; memory of the watch at
its most; processor time when idle; and the time from the rename in to the job's start, over the settle time, at the
median.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from stembridge_hot_folder.ledger import LEDGER_NAME, SongLedger, SongState

from tests.plugin_core.cli.fakes import write_song

ROOT = Path(__file__).parents[2]
SETTLE = 1.0
IDLE_SECONDS = 120.0
"""Two rescans of the folder lie in it."""
DROPS = 30
TICKS = os.sysconf("SC_CLK_TCK")


class Bench:
    """A hot folder and the process that watches it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "in"
        self.home = folder / "home"
        self.paid = folder / "paid"
        self.root.mkdir()
        self.home.mkdir()
        environ = {
            "STEMBRIDGE_HOME": str(self.home),
            "STEMBRIDGE_SEPARATE_PROVIDER": "fake",
            "STEMBRIDGE_WATCH_SETTLE_SECONDS": str(SETTLE),
        }
        command = [sys.executable, "-m", "tests.hosts.hot_folder.host", str(self.paid), "-q", "watch", str(self.root)]
        self._command = command
        self._environ = os.environ | environ
        self.most = 0.0

    def start(self) -> None:
        """Start the watch."""
        self.process = subprocess.Popen(self._command, cwd=ROOT, env=self._environ)

    def stop(self) -> float:
        """Stop the watch and return the seconds that took."""
        began = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        return time.perf_counter() - began

    def done(self) -> int:
        """Return how many songs are done."""
        if not (self.home / LEDGER_NAME).exists():
            return 0
        with SongLedger(self.home / LEDGER_NAME) as ledger:
            return ledger.counts()[SongState.DONE]

    def memory(self) -> float:
        """Return the resident memory of the watch in MiB, and keep the most."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                found = int(line.split()[1]) / 1024
                self.most = max(self.most, found)
                return found
        return 0.0

    def processor(self) -> float:
        """Return the processor seconds the watch has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def started(self, name: str) -> float:
        """Wait until a song's job is sent, and return when that was."""
        while name not in (self.paid.read_text().split() if self.paid.exists() else ()):
            time.sleep(0.002)
        return time.perf_counter()


def main(songs: int) -> None:
    """Run the benchmark and print it."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        for number in range(songs):
            write_song(bench.root / f"{number % 100:02}" / f"{number:05}.wav", 1.0, number)
        began = time.perf_counter()
        bench.start()
        first, spent = 0.0, [(0, 0.0)]
        while (done := bench.done()) < songs:
            memory = bench.memory()
            first = first or (memory if done > songs / 20 else 0.0)
            if done >= songs * len(spent) / 4:
                spent.append((done, bench.processor()))
            time.sleep(0.5)
        spent.append((done, bench.processor()))
        seconds = time.perf_counter() - began
        counted = Counter(bench.paid.read_text().split()[1::2])
        print(
            f"{songs} songs in {seconds:.0f} s ({songs / seconds:.0f} a second); done more than once or never: "
            f"{sum(count != 1 for count in counted.values()) + songs - len(counted)}"
        )
        first_quarter, last_quarter = per_song(*spent[:2]), per_song(*spent[-2:])
        print(
            f"processor time: {first_quarter:.1f} ms a song in the first quarter, {last_quarter:.1f} ms in the last; "
            f"{bench.processor():.0f} s in all"
        )
        print(
            f"memory: {first:.0f} MiB after a twentieth, {bench.memory():.0f} MiB at the end, {bench.most:.0f} at most"
        )
        time.sleep(3)
        before = bench.processor()
        time.sleep(IDLE_SECONDS)
        print(f"idle: {(bench.processor() - before) / IDLE_SECONDS:.2%} of one core")
        latencies = [drop(bench, number) for number in range(DROPS)]
        print(
            f"rename in to the job's start: settle time + {statistics.median(latencies) * 1000:.0f} ms at the median, "
            f"{max(latencies) * 1000:.0f} ms at most"
        )
        print(f"stopped in {bench.stop():.2f} s")


def per_song(before: tuple[int, float], after: tuple[int, float]) -> float:
    """Return the processor milliseconds a song between two looks, each how many were done and what was spent."""
    return 1000 * (after[1] - before[1]) / (after[0] - before[0])


def drop(bench: Bench, number: int) -> float:
    """Drop a song and return the seconds from the rename to its job, above the settle time."""
    hidden = write_song(bench.home / "new.wav", 1.0, 1_000_000 + number)
    name = f"drop{number}.wav"
    began = time.perf_counter()
    hidden.rename(bench.root / name)
    return bench.started(name) - began - SETTLE


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
