"""Quality, speed and memory of the engines on this machine: ``python -m tests.benchmarks.separation``.

Quality is the signal-to-distortion ratio against true stems, 10 log10(sum s^2 / sum (s-e)^2) over both channels, of the
mixture taken as the estimate, of the plain recipe where ``librosa`` is installed, of signal processing alone and with
the network. Speed is seconds of sound for a processor's second, decoding, starting the process and writing included.
Memory is the worker's peak resident set.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import soundfile
from numpy.typing import NDArray

from plugin_core.demo import largest_difference, measure_sdr, read_pcm
from plugin_core.model import Separation, to_json
from plugin_core.providers.local.adapter import WORKER
from plugin_core.providers.local.request import WorkerRequest
from plugin_core.providers.neural.adapter import WORKER as NEURAL
from plugin_core.providers.neural.library import Library, read_digest
from plugin_core.providers.neural.networks import Computing, NeuralModel, NeuralRequest, Weights, choose, read_catalogue
from plugin_core.settings import Settings
from plugin_core.worker import ENVIRONMENT, worker_command
from tests.audio_files import make_noise, make_song
from tests.benchmarks.recipe import separate_plainly
from tests.plugin_core.providers.neural.onnx_files import save_graph, scale, stack
from tests.plugin_core.providers.neural.weights import random_target, write_zip

AUDIO = Path(__file__).parents[2].parent / "shared" / "audio"
STEMS = ("vocals", "drums", "bass", "other")
SUMS = {"accomp": ("drums", "bass", "other"), "bassdrums": ("bass", "drums")}
"""What some pieces know of stems only together."""
MODELS = ("classic", "network")
MEBIBYTE = 1 << 20
HTDEMUCS = 343_980
"""Samples that Demucs hears at a time."""


class Run(NamedTuple):
    """One worker's figures."""

    seconds: float
    peak_bytes: int
    """0 where the system does not tell."""


def main() -> None:
    """Print the four tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print_quality(folder)
        print_speed(folder)
        print_memory(folder)
        print_neural(folder)


def print_quality(folder: Path) -> None:
    """Print the ratio of each stem of each piece with true stems, if they are there."""
    if not AUDIO.is_dir():
        print(f"quality: skipped, no {AUDIO}")
        return
    has_recipe = importlib.util.find_spec("librosa") is not None
    names = ("mixture", *(("recipe",) if has_recipe else ()), *MODELS)
    print(f"{'SDR, dB':32}" + "".join(f"{name:>10}" for name in names))
    rows: dict[str, list[list[float]]] = {}
    for piece in sorted(path for path in AUDIO.glob("*/*") if path.is_dir()):
        mixture = read_pcm(piece / "mixture.flac")
        ours = [separate(piece / "mixture.flac", folder / f"{piece.name} {model}", model) for model in MODELS]
        found = [separate_plainly(mixture), *ours] if has_recipe else ours
        for stem in (*STEMS, *SUMS):
            if (piece / f"{stem}.flac").exists():
                sums = [add([stems[part] for part in SUMS.get(stem, (stem,))]) for stems in found]
                row = [measure_sdr(read_pcm(piece / f"{stem}.flac"), guess) for guess in (mixture, *sums)]
                rows.setdefault(piece.parent.name, []).append(row)
                rows.setdefault(f"{piece.parent.name}: {stem}", []).append(row)
                print_row(f"{piece.name}: {stem}", row)
        steps = max(largest_difference(mixture, stems.values()) for stems in ours)
        print(f"  largest error of the stems' sum: {steps} steps")
    for name, several in sorted(rows.items()):
        print_row(f"mean of {name}", [sum(column) / len(several) for column in zip(*several, strict=True)])
    print()


def add(stems: list[NDArray[np.int32]]) -> NDArray[np.int32]:
    """Return the sum, held in range."""
    return np.clip(np.sum(stems, axis=0, dtype=np.int64), -(1 << 31), (1 << 31) - 1).astype(np.int32)


def print_row(name: str, ratios: Iterable[float]) -> None:
    print(f"{name:32}" + "".join(f"{ratio:10.2f}" for ratio in ratios))


def separate(source: Path, folder: Path, model: str) -> dict[str, NDArray[np.int32]]:
    """Return the stems of a 16-bit song."""
    run_worker(source, folder, "flac16", model)
    return {stem: read_pcm(folder / f"{stem}.flac") for stem in STEMS}


def print_speed(folder: Path) -> None:
    """Print how many times faster than the music one processor is."""
    song = write_long(folder / "speed.wav", 240, "PCM_16")
    print("speed, one processor, 240 s of stereo at 44.1 kHz, process start and writing included")
    for name in ("flac16", "flac24", "wav24", "wav32f"):
        runs = [run_worker(song, folder / f"speed-{name}-{model}", name, model) for model in MODELS]
        print(
            f"  {name:8}"
            + "".join(f"{240 / run.seconds:8.1f} x realtime, {model}" for run, model in zip(runs, MODELS, strict=True))
        )
    print()


def print_memory(folder: Path) -> None:
    """Print the peak of a short and of a long song, and their ratio."""
    peaks = []
    print("peak memory of the worker, stereo at 44.1 kHz, 16 bits")
    for minutes in (6, 60):
        song = write_long(folder / f"{minutes}.flac", minutes * 60, "PCM_16")
        run = run_worker(song, folder / f"memory-{minutes}", "flac16", "network")
        peaks.append(run.peak_bytes)
        print(f"  {minutes:3} min {run.peak_bytes / MEBIBYTE:7.1f} MiB   {minutes * 60 / run.seconds:6.1f} x realtime")
    print(f"  ratio   {peaks[1] / max(1, peaks[0]):7.3f}")


def print_neural(folder: Path) -> None:
    """Print speed and memory of the networks of others, and quality of Open-Unmix where its weights are here."""
    model = read_catalogue()["umxhq"]
    weights = Library(Settings().home / "models").weights(model.files)
    print_minutes(
        model, weights or make_weights(model, folder), f"{'its own' if weights else 'random'} weights", folder
    )
    for name in ("kim_vocal_2", "kuielab_a", "htdemucs"):
        model = read_catalogue()[name]
        print_minutes(model, make_graphs(model, folder), "a network that only multiplies", folder)
    for piece in sorted(path for path in AUDIO.glob("*/*") if path.is_dir()) if weights else ():
        model = read_catalogue()["umxhq"]
        goal = folder / f"{piece.name} neural"
        measure(NEURAL, to_json(ask(model, weights or (), piece / "mixture.flac", goal)))
        for stem in STEMS:
            if (piece / f"{stem}.flac").exists():
                ratio = measure_sdr(read_pcm(piece / f"{stem}.flac"), read_pcm(goal / f"{stem}.flac"))
                print_row(f"{piece.name}: {stem}", [ratio])


def print_minutes(model: NeuralModel, weights: tuple[Weights, ...], network: str, folder: Path) -> None:
    """Print speed and memory with a short and with a long song."""
    print(f"neural {model.id}, one processor, {network}; stereo at 44.1 kHz, 16 bits")
    for minutes in (6, 60):
        song = folder / f"{minutes}.flac"
        song = song if song.exists() else write_long(song, minutes * 60, "PCM_16")
        run = measure(NEURAL, to_json(ask(model, weights, song, folder / f"{model.id}-{minutes}")))
        print(f"  {minutes:3} min {run.peak_bytes / MEBIBYTE:7.1f} MiB   {minutes * 60 / run.seconds:6.1f} x realtime")
        shutil.rmtree(folder / f"{model.id}-{minutes}")


def ask(model: NeuralModel, weights: tuple[Weights, ...], source: Path, folder: Path) -> NeuralRequest:
    """Return a request for all stems of a song."""
    wish = choose(model, Separation(provider="neural"))
    computing = Computing(threads=1)
    return NeuralRequest(
        source=source, folder=folder, format="flac16", choice=wish, weights=weights, computing=computing
    )


def make_graphs(model: NeuralModel, folder: Path) -> tuple[Weights, ...]:
    """Write networks of the true shapes that halve what they are given."""
    made = []
    for file in model.files:
        path = folder / file.name
        if model.kind == "mdx":
            sizes = [int(file.parameters[name]) for name in ("dim_f", "dim_t")]
            save_graph(path, ["batch", 4, *sizes], scale(0.5))
        else:
            stems = len(model.stems)
            save_graph(path, [1, 2, HTDEMUCS], stack([1 / stems] * stems), [1, stems, 2, HTDEMUCS])
        known = msgspec.structs.replace(file, sha256=read_digest(path).sha256, bytes=path.stat().st_size)
        made.append(Weights(file=known, path=path))
    return tuple(made)


def make_weights(model: NeuralModel, folder: Path) -> tuple[Weights, ...]:
    """Write random networks of the true size."""
    made = []
    for seed, file in enumerate(model.files):
        path = write_zip(folder / file.name, random_target(seed, bins=2049, crop=1487, hidden=512))
        made.append(Weights(file=msgspec.structs.replace(file, sha256=read_digest(path).sha256), path=path))
    return tuple(made)


def run_worker(source: Path, folder: Path, name: str, model: str) -> Run:
    """Separate in a worker of the embedded separator."""
    request = WorkerRequest(source=source, folder=folder, format=name, network=model == "network")
    return measure(WORKER, to_json(request))


def measure(module: str, request: bytes) -> Run:
    """Separate in a worker bound to one processor."""
    command = worker_command(module)
    begun = sum(os.times()[2:4])
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **ENVIRONMENT}
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(worker.pid, {max(os.sched_getaffinity(0))})
        worker.stdin.write(request + b"\n")
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
