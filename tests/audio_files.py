"""Audio made on the spot for the tests: songs with known stems, noise, and files broken in one known way."""

from __future__ import annotations

import os
import struct
import subprocess
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from plugin_core.files.disk import try_lock

Signal = npt.NDArray[np.float64]

STEMS = ("vocals", "drums", "bass", "other")

_BEAT = 0.5
_CHORDS = ((220.0, 261.63, 329.63), (174.61, 220.0, 261.63), (261.63, 329.63, 392.0), (196.0, 246.94, 293.66))
_MELODY = (440.0, 493.88, 523.25, 659.25, 587.33, 523.25, 493.88, 392.0)


def make_stems(seconds: float, sample_rate: int = 44100, channels: int = 2, *, seed: int = 1) -> dict[str, Signal]:
    """Synthesise vocals, drums, bass and other, each (frames, channels) in -1..1; equal arguments give equal samples.

    Their sum stays within -1..1 as well.
    """
    return {name: stem.copy() for name, stem in _synthesise(seconds, sample_rate, channels, seed).items()}


@lru_cache(maxsize=16)
def _synthesise(seconds: float, sample_rate: int, channels: int, seed: int) -> dict[str, Signal]:
    frames = round(seconds * sample_rate)
    time = np.arange(frames) / sample_rate
    beat = np.floor(time / _BEAT).astype(int)
    rng = np.random.default_rng(seed)
    parts = {
        "vocals": (_sing(time, beat, sample_rate), 0.0),
        "drums": (_drum(time, rng), 0.15),
        "bass": (_play_bass(time, beat), 0.0),
        "other": (_strum(time, beat, sample_rate), -0.6),
    }
    return {name: _pan(signal, pan, channels) for name, (signal, pan) in parts.items()}


def make_song(seconds: float, sample_rate: int = 44100, channels: int = 2, *, seed: int = 1) -> Signal:
    """Return the sum of ``make_stems``: (frames, channels) in -1..1."""
    return sum(_synthesise(seconds, sample_rate, channels, seed).values(), start=np.zeros((1, channels)))


def make_noise(frames: int, channels: int = 2, *, peak: float = 0.9, seed: int = 1) -> Signal:
    """Return white noise, (frames, channels) in -peak..peak."""
    return np.random.default_rng(seed).uniform(-peak, peak, (frames, channels))


def write_song(
    path: Path,
    seconds: float = 2.0,
    sample_rate: int = 44100,
    channels: int = 2,
    subtype: str | None = None,
    *,
    container: str | None = None,
    seed: int = 1,
) -> Path:
    """Write ``make_song`` to ``path`` and return it.

    ``container`` and ``subtype`` are soundfile's words; left out, they follow the suffix.
    """
    return write_samples(path, make_song(seconds, sample_rate, channels, seed=seed), sample_rate, subtype, container)


def write_samples(
    path: Path,
    samples: npt.NDArray[np.floating] | npt.NDArray[np.integer],
    sample_rate: int = 44100,
    subtype: str | None = None,
    container: str | None = None,
) -> Path:
    """Write samples (frames, channels) as they are, whatever bytes the name holds, and return the path."""
    chosen = container or _CONTAINERS.get(path.suffix.lower()) or path.suffix[1:].upper()
    soundfile.write(os.fsencode(path), samples, sample_rate, subtype=subtype, format=chosen)
    return path


_CONTAINERS = {".aif": "AIFF", ".oga": "OGG", ".opus": "OGG", ".wave": "WAV"}


def read_samples(path: Path) -> tuple[Signal, int]:
    """Read a whole file that libsndfile knows: float64 samples (frames, channels), and the sample rate."""
    samples, sample_rate = soundfile.read(os.fsencode(path), dtype="float64", always_2d=True)
    return samples, sample_rate


def encode(source: Path, target: Path, *options: str) -> Path:
    """Turn ``source`` into ``target`` with ffmpeg and return the target."""
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", f"file:{source}", *options, f"file:{target}"]
    subprocess.run(command, check=True, capture_output=True)
    return target


def shared_folder(factory: pytest.TempPathFactory, name: str) -> Path:
    """Return a folder of this run of the tests, the same for all its workers; what is put there is put whole."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"shared-{name}"
    folder.mkdir(exist_ok=True)
    return folder


def make_once(path: Path, make: Callable[[Path], object]) -> Path:
    """Return a file of a shared folder, which the first that asks for it makes; it is never put in place anew."""
    if not path.exists():
        with path.with_name(f"{path.name}.lock").open("wb") as lock:
            while not try_lock(lock.fileno()):
                time.sleep(0.02)
            if not path.exists():
                scratch = path.with_name(f"{os.getpid()}-{path.name}")
                make(scratch)
                scratch.replace(path)
    return path


def truncate(path: Path, share: float) -> Path:
    """Keep only the first ``share`` (0..1) of the file's bytes, as an interrupted copy does, and return the path."""
    os.truncate(path, int(path.stat().st_size * share))
    return path


def _pan(signal: Signal, pan: float, channels: int) -> Signal:
    if channels == 1:
        return signal[:, None]
    gains = np.ones(channels)
    gains[0::2] = min(1.0, 1.0 - pan)
    gains[1::2] = min(1.0, 1.0 + pan)
    return signal[:, None] * gains


def _tones(time: Signal, pitch: Signal, harmonics: int, nyquist: float, tilt: float) -> Signal:
    """Sum the harmonics of a gliding pitch, those above the Nyquist frequency left out."""
    phase = 2 * np.pi * np.cumsum(pitch) * (time[1] - time[0] if len(time) > 1 else 0.0)
    total: Signal = np.zeros_like(time)
    for number in range(1, harmonics + 1):
        total += np.where(pitch * number < nyquist, np.sin(phase * number) / number**tilt, 0.0)
    return total


def _sing(time: Signal, beat: npt.NDArray[np.intp], sample_rate: int) -> Signal:
    pitch = np.array(_MELODY)[beat % len(_MELODY)] * (1 + 0.012 * np.sin(2 * np.pi * 5.5 * time))
    phrase: Signal = np.clip(np.sin(2 * np.pi * time / (8 * _BEAT)) * 4 + 2, 0, 1)
    tones = _tones(time, pitch, 10, sample_rate / 2, 0.8)
    return 0.09 * phrase * tones


def _drum(time: Signal, rng: np.random.Generator) -> Signal:
    since = time % _BEAT
    kick = np.exp(-since * 18) * np.sin(2 * np.pi * (45 * since + 4 * (1 - np.exp(-since * 30))))
    snare = np.exp(-((time + _BEAT) % (2 * _BEAT)) * 25) * rng.uniform(-1, 1, len(time))
    hat = np.exp(-(time % (_BEAT / 2)) * 90) * np.diff(rng.uniform(-1, 1, len(time) + 1))
    total: Signal = 0.16 * kick + 0.1 * snare + 0.03 * hat
    return total


def _play_bass(time: Signal, beat: npt.NDArray[np.intp]) -> Signal:
    roots = np.array([chord[0] for chord in _CHORDS]) / 4
    pitch = roots[(beat // 4) % len(roots)]
    return 0.14 * np.exp(-(time % _BEAT) * 3) * _tones(time, pitch, 3, 400.0, 1.5)


def _strum(time: Signal, beat: npt.NDArray[np.intp], sample_rate: int) -> Signal:
    total: Signal = np.zeros_like(time)
    for voice in range(3):
        pitch = np.array([chord[voice] for chord in _CHORDS])[(beat // 4) % len(_CHORDS)]
        total += _tones(time, pitch, 5, sample_rate / 2, 1.2)
    return 0.03 * total * np.exp(-(time % (2 * _BEAT)) * 1.5)


def write_endless(path: Path) -> Path:
    """Write an hour of silence that takes no room on the disk and longer to separate than any test waits."""
    rate, frames = 44100, 44100 * 3600
    sizes = struct.pack("<4sI4s", b"RIFF", 36 + 2 * frames, b"WAVE")
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    path.write_bytes(sizes + form + struct.pack("<4sI", b"data", 2 * frames))
    with path.open("r+b") as file:
        file.truncate(44 + 2 * frames)
    return path
