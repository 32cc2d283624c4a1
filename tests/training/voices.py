"""Sung vocals: recordings of speakers (tuxpaint-stamps-default) sung anew with WORLD: ``voices POOL SEED SECONDS``.

Each melody that ``songs`` wrote becomes ``vocals__SONG.npy``: dry, the lead left, a second voice right.
"""

from __future__ import annotations

import json
import re
import sys
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyworld
import soundfile
from numpy.typing import NDArray
from scipy.signal import butter, resample_poly, sosfilt

from tests.training.mixes import POOL_SECONDS, RATE, Rng, Sound

LENGTH = POOL_SECONDS * RATE
STAMPS = Path("/usr/share/tuxpaint/stamps")
STEP = 0.005
"""Seconds between WORLD's frames."""


class Speech(NamedTuple):
    """A recording, taken apart."""

    pitch: NDArray[np.float64]
    colour: NDArray[np.float64]
    breath: NDArray[np.float64]
    syllables: list[tuple[int, int]]
    samples: Sound


@cache
def listen(path: Path) -> Speech | None:
    """Take a recording apart; None where nothing is voiced."""
    samples, rate = soundfile.read(path, always_2d=True)
    samples = resample_poly(samples.mean(axis=1), RATE, rate)[: 3 * RATE].astype(np.float64)
    if len(samples) < RATE // 4 or np.abs(samples).max() < 0.01:
        return None
    pitch, times = pyworld.dio(samples, RATE, f0_floor=70, f0_ceil=450)
    pitch = pyworld.stonemask(samples, pitch, times, RATE)
    voiced = np.concatenate(([False], pitch > 0, [False]))
    starts, ends = (np.flatnonzero(np.diff(voiced.astype(int)) == step) for step in (1, -1))
    syllables: list[tuple[int, int]] = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        for place in range(start, end - 13, 30):
            begin = max(0, place - (14 if place == start else 2))
            syllables.append((begin, min(len(pitch), end + 5 if place + 30 >= end else place + 34)))
    if not syllables:
        return None
    colour = pyworld.cheaptrick(samples, pitch, times, RATE)
    return Speech(pitch, colour, pyworld.d4c(samples, pitch, times, RATE), syllables, samples)


class Singer:
    """One voice: the size of its throat, its vibrato and breath.

    Args:
        speeches: of one speaker.
        rng: decides.
    """

    def __init__(self, speeches: list[Speech], rng: Rng) -> None:
        self.speeches, self.rng = speeches, rng
        self.throat = rng.uniform(0.86, 1.16)
        self.depth, self.vibrato = rng.uniform(10, 60), rng.uniform(4.6, 6.6)
        self.air = rng.uniform(0, 0.25) if rng.random() < 0.4 else 0.0
        self.harmony = int(rng.choice([3, 4, 5, 7, -5, -3, 12])) if rng.random() < 0.22 else 0

    def sing(self, notes: list[tuple[float, float, int]]) -> Sound:
        """Return lead and second voice (samples, 2)."""
        rng, out = self.rng, np.zeros((LENGTH + RATE, 2))
        before, ended = None, -9.0
        for start, end, pitch in notes:
            place = int(start * RATE)
            for voice, sound in enumerate(self.note(end - start, pitch, before)):
                room = out[place : place + len(sound), voice]
                room += sound[: len(room)]
            if start - ended > 0.5 and rng.random() < 0.5 and place > RATE // 2:  # inhales
                length = int(rng.uniform(0.15, 0.4) * RATE)
                edges = [rng.uniform(600, 1500), rng.uniform(4000, 9000)]
                noise = sosfilt(butter(2, edges, "band", fs=RATE, output="sos"), rng.normal(size=length))
                noise *= np.hanning(length)
                out[place - length : place, 0] += noise * 0.006 * rng.uniform(0.3, 1.5) / (noise.std() + 1e-9)
            before, ended = pitch, end
        return out[:LENGTH]

    def note(self, seconds: float, pitch: int, before: int | None) -> list[Sound]:
        """Sing a note on a syllable: its onset and end as they were spoken, between them as long as it takes."""
        rng, speech = self.rng, self.speeches[self.rng.integers(len(self.speeches))]
        begin, end = speech.syllables[rng.integers(len(speech.syllables))]
        size, count = end - begin, max(14, int(min(seconds, 4) / STEP))
        head, tail = min(16, size // 3), min(6, size // 5)
        frames = np.linspace(0, size - 1, count)
        if count > head + tail + 4:
            held = np.linspace(head, size - 1 - tail, count - head - tail)
            frames = np.concatenate((np.arange(head), held, np.arange(size - tail, size)))
        frames = begin + np.clip(np.round(frames).astype(int), 0, size - 1)
        times = np.arange(count) * STEP
        swell = np.clip((times - rng.uniform(0.12, 0.35)) / 0.3, 0, 1)
        cents = (
            swell * self.depth * rng.uniform(0.3, 1.2) * np.sin(2 * np.pi * (self.vibrato + rng.normal(0, 0.2)) * times)
        )
        cents += 9 * np.cumsum(rng.normal(size=count)) / np.sqrt(np.arange(1, count + 1)) + rng.normal(0, 8)
        glide = rng.uniform(20, 150) if before is None else np.clip((pitch - before) * 100, -300, 300)
        cents -= glide * np.exp(-times / rng.uniform(0.02, 0.06))
        bins = speech.colour.shape[1]
        warped = np.clip((np.arange(bins) / self.throat).astype(int), 0, bins - 1)
        colour = np.ascontiguousarray(speech.colour[frames][:, warped])
        breath = np.ascontiguousarray(np.clip(speech.breath[frames] + self.air, 0, 1))
        level, sounds = 0.08 * rng.uniform(0.55, 1.2), []
        for shift in (0, self.harmony) if self.harmony else (0,):
            hertz = 440 * 2 ** ((pitch + shift - 69) / 12 + (cents + (rng.normal(0, 10) if shift else 0)) / 1200)
            sound = pyworld.synthesize(
                np.where(speech.pitch[frames] > 0, hertz, 0.0), colour, breath, RATE, 1000 * STEP
            )
            fade = int(0.008 * RATE)
            sound[:fade] *= np.linspace(0, 1, fade)
            sound[-4 * fade :] *= np.linspace(1, 0, 4 * fade)
            sounds.append(sound * level / np.sqrt((sound**2).mean() + 1e-9))
        return sounds


def speak(speeches: list[Speech], rng: Rng) -> Sound:
    """Return recordings in a row, as they were spoken."""
    out, place = np.zeros((LENGTH + 4 * RATE, 2)), 0
    while place < LENGTH:
        samples = speeches[rng.integers(len(speeches))].samples
        loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
        samples = samples[loud[0] : loud[-1]]
        samples = np.interp(np.arange(0, len(samples) - 1, rng.uniform(0.9, 1.15)), np.arange(len(samples)), samples)
        room = out[place : place + len(samples), 0]
        room += samples[: len(room)] * 0.08 / (np.sqrt((samples**2).mean()) + 1e-9)
        place += len(samples) + int(RATE * rng.choice([0.03, 0.1, 0.2, 0.6, 2]))
    return out[:LENGTH]


def main() -> None:
    """Sing what there is to sing until the time is over."""
    pool, seed, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    rng, begun = np.random.default_rng(7000 + seed), time.monotonic()
    languages: dict[str, list[Path]] = {}
    for path in sorted(STAMPS.rglob("*.ogg")):
        if re.search(r"_desc_..$", path.stem):
            languages.setdefault(path.stem[-2:], []).append(path)
    names = list(languages)
    while time.monotonic() - begun < seconds:
        songs = [path for path in sorted(pool.glob("*.json")) if not (pool / f"vocals__{path.stem}.npy").exists()]
        if not songs:
            time.sleep(2)  # until ``songs`` has written one
            continue
        song = songs[rng.integers(len(songs))]
        notes = json.loads(song.read_text())
        if len(notes) < 4:
            np.save(pool / f"vocals__{song.stem}.npy", np.zeros((LENGTH, 2), dtype=np.int16))
            continue
        files = languages[names[rng.integers(len(names))]]
        middle = rng.integers(len(files))
        near = {int(middle + step) % len(files) for step in rng.integers(-30, 30, 5)}
        speeches = [speech for speech in (listen(files[place]) for place in sorted(near)) if speech]
        if speeches:
            sound = speak(speeches, rng) if rng.random() < 0.12 else Singer(speeches, rng).sing(notes)
            whole = np.clip(np.round(sound * 0.75 * 16_384), -32_767, 32_767)
            np.save(pool / f"vocals__{song.stem}.npy", whole.astype(np.int16))
            print(song.stem, round(time.monotonic() - begun), flush=True)


if __name__ == "__main__":
    main()
