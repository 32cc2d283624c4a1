"""Quality, speed and memory of the embedded separator: ``python -m tests.benchmarks.separation``.

Quality is the signal-to-distortion ratio against true stems, 10 log10(sum s^2 / sum (s-e)^2) over both channels,
beside that of the mixture taken as the estimate. Speed is seconds of sound for a processor's second, decoding,
starting the process and writing FLAC included. Memory is the worker's peak resident set.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from plugin_core.demo import score
from plugin_core.model import to_json
from plugin_core.providers.local.process import COMMAND, ONE_THREAD
from plugin_core.providers.local.request import WorkerRequest
from tests.audio_files import make_noise, make_song

TRUTH = Path(__file__).parents[2].parent / "shared" / "audio" / "truth"
STEMS = ("vocals", "drums", "bass", "other")
MEBIBYTE = 1 << 20


class Run(NamedTuple):
    """One worker's figures."""

    seconds: float
    peak_bytes: int
    """0 where the system does not tell."""


def main() -> None:
    """Print the three tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print_quality(folder)
        print_speed(folder)
        print_memory(folder)


def print_quality(folder: Path) -> None:
    """Print the ratio of each stem of each piece with true stems, if they are there."""
    if not TRUTH.is_dir():
        print(f"quality: skipped, no {TRUTH}")
        return
    print(f"{'SDR, dB (mixture as estimate)':32}" + "".join(f"{stem:>16}" for stem in STEMS))
    ratios: list[list[float]] = []
    for piece in sorted(path for path in TRUTH.iterdir() if path.is_dir()):
        out = folder / piece.name
        run_worker(piece / "mixture.flac", out, "flac16")
        truth, stems = ({stem: place / f"{stem}.flac" for stem in STEMS} for place in (piece, out))
        found = score(piece / "mixture.flac", truth, stems)
        ratios.append(list(found.sdr.values()))
        print(f"{piece.name:32}" + "".join(f"{found.sdr[stem]:8.2f} ({found.untouched[stem]:5.2f})" for stem in STEMS))
        print(f"{'':32}largest error of the stems' sum: {found.difference * 2**15:g} steps of 16 bits")
    means = np.mean(ratios, axis=0)
    print(f"{'mean':32}" + "".join(f"{mean:8.2f}        " for mean in means) + f"  all {np.mean(means):.2f}\n")


def print_speed(folder: Path) -> None:
    """Print how many times faster than the music one processor is."""
    song = write_long(folder / "speed.wav", 240, "PCM_16")
    print("speed, one processor, 240 s of stereo at 44.1 kHz, process start and writing included")
    for name in ("flac16", "flac24", "wav24", "wav32f"):
        run = run_worker(song, folder / f"speed-{name}", name)
        print(f"  {name:8}{240 / run.seconds:6.1f} x realtime")
    print()


def print_memory(folder: Path) -> None:
    """Print the peak of a short and of a long song, and their ratio."""
    peaks = []
    print("peak memory of the worker, stereo at 44.1 kHz, 16 bits")
    for minutes in (6, 60):
        song = write_long(folder / f"{minutes}.flac", minutes * 60, "PCM_16")
        run = run_worker(song, folder / f"memory-{minutes}", "flac16")
        peaks.append(run.peak_bytes)
        print(f"  {minutes:3} min {run.peak_bytes / MEBIBYTE:7.1f} MiB   {minutes * 60 / run.seconds:6.1f} x realtime")
    print(f"  ratio   {peaks[1] / max(1, peaks[0]):7.3f}")


def run_worker(source: Path, folder: Path, name: str) -> Run:
    """Separate in a worker bound to one processor."""
    request = to_json(WorkerRequest(source=source, folder=folder, format=name)) + b"\n"
    command = [sys.executable, *COMMAND]
    begun = sum(os.times()[2:4])
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **ONE_THREAD}
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(worker.pid, {max(os.sched_getaffinity(0))})
        worker.stdin.write(request)
        worker.stdin.flush()
        peak = 0
        last = {}
        for line in worker.stdout:
            peak = max(peak, peak_bytes(worker.pid))
            last = json.loads(line)
        if worker.wait() or last["event"] != "done":
            raise SystemExit(f"the worker failed: {last}")
    # The processor's, which do not hang on what else the machine does.
    return Run(sum(os.times()[2:4]) - begun, peak)


def peak_bytes(pid: int) -> int:
    """Return the largest resident set of a process so far, as Linux counts it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found.group(1)) * 1024 if found else 0


def write_long(path: Path, seconds: int, subtype: str) -> Path:
    """Write a song of that length: one of half a minute again and again, with noise that never repeats."""
    song = make_song(30)
    with soundfile.SoundFile(path, "w", samplerate=44100, channels=2, subtype=subtype) as file:
        for number in range(seconds // 30):
            file.write(0.8 * song + make_noise(len(song), peak=0.01, seed=number))
    return path


if __name__ == "__main__":
    main()
