"""Mixes of six seconds from single stems, as a network learns from them: ``mixes POOL DATA SEED SECONDS``.

A mix is what the engine would hear of it (the input of each band, the masks of signal processing) and what tells how
far any masks would be from the truth: the mixture's power and each stem's share in it, at every bin to 5.5 kHz and in
groups of four above.
"""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from plugin_core.providers.local.masks import Features, Masker
from plugin_core.providers.local.network import BANDS, CHANNELS
from plugin_core.providers.local.refinement import Hearing
from plugin_core.providers.local.request import Parameters
from plugin_core.providers.local.stft import Analysis, Frames

Sound = NDArray[np.floating]
"""Samples (frames, channels)."""
Rng = np.random.Generator

RATE, POOL_SECONDS, SECONDS = 44_100, 24, 6
LENGTH = RATE * SECONDS
MOST = 2600
"""Mixes in a file at most."""
STEMS = ("drums", "bass", "vocals", "other")
PRESENT = {"drums": 0.88, "bass": 0.88, "vocals": 0.84, "other": 0.9}
LEVEL = {"drums": 0.0, "bass": -0.5, "vocals": 3.0, "other": 0.0}
SPREAD = 4.5
"""Standard deviation of the levels, in dB."""
FRAMES = Frames(RATE, Parameters().window_seconds)
STEPS = 256
"""Frames kept of a mix."""
SINGLE, TOP = 512, 1536
"""Bins looked at one by one, and the first that is not looked at."""
ROWS = SINGLE + (TOP - SINGLE) // 4
LOOPS = Path("/usr/share/sonic-pi/samples")


class TrainingMix(NamedTuple):
    """What is kept of one mix."""

    inputs: NDArray[np.float32]
    """(frames, bands, channels)"""
    masks: NDArray[np.float32]
    """(3, frames, rows) of signal processing."""
    shares: NDArray[np.float32]
    """(5, frames, rows): the mixture's power, and each stem's product with it."""
    energies: NDArray[np.float32]
    """Of each stem."""


def hear(mixture: Sound) -> tuple[list[NDArray[np.complex64]], NDArray[np.float32], list[NDArray[np.float32]]]:
    """Return spectra, the network's input and the masks of a whole clip, as the engine has them."""
    spectra = [transform(channel) for channel in mixture.T]
    count = len(spectra[0])
    features, masker = Features(count, FRAMES.bins), Masker(FRAMES, Parameters())
    masker.describe(spectra[0], spectra[1], features, slice(0, count))
    masker.decide(features, 0, count, (0, count))
    if masker.melody:
        masker.melody.finish()
    masker.mask(features, 0, count)
    hearing = Hearing(FRAMES)
    hearing.hear(features, 0, count)
    return spectra, hearing.inputs(0, count), [features.drums, features.bass, features.vocals]


def transform(channel: Sound) -> NDArray[np.complex64]:
    """Return the spectra (frames, bins) of one channel."""
    count = FRAMES.count(len(channel))
    padded = np.zeros(count * FRAMES.hop, dtype=np.float32)
    padded[: len(channel)] = channel
    spectra = np.empty((count, FRAMES.bins), dtype=np.complex64)
    Analysis(FRAMES, count).push(padded, spectra)
    return spectra


def group(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Add up the groups of bins: (frames, bins) to (frames, rows)."""
    high = values[:, SINGLE:TOP].reshape(len(values), -1, 4).sum(axis=2)
    return np.concatenate((values[:, :SINGLE], high), axis=1)


def describe(mixture: Sound, stems: dict[str, Sound]) -> TrainingMix:
    """Return what is kept of a mix."""
    (left, right), inputs, masks = hear(mixture.astype(np.float32))
    power = np.abs(left) ** 2 + np.abs(right) ** 2
    scale = np.float32(0.1 / (power[:, :TOP].mean() + 1e-12))
    shares = np.zeros((1 + len(STEMS), len(left), ROWS), dtype=np.float32)
    shares[0] = group(power)
    energies = np.zeros(len(STEMS), dtype=np.float32)
    for number, stem in enumerate(STEMS):
        if stem in stems:
            one, two = (transform(channel) for channel in stems[stem].T)
            shares[1 + number] = group((np.conj(left) * one + np.conj(right) * two).real)
            energies[number] = sum((np.abs(part[:STEPS, :TOP]) ** 2).sum() for part in (one, two)) * scale
    means = np.stack([group(mask) for mask in masks])
    means[:, :, SINGLE:] /= 4
    return TrainingMix(inputs[:STEPS], means[:, :STEPS], (shares * scale)[:, :STEPS], energies)


def equalise(sound: Sound, rng: Rng) -> Sound:
    """Raise or lower a random region (a peaking filter of the audio EQ cookbook)."""
    frequency, gain, width = np.exp(rng.uniform(np.log(80), np.log(12_000))), rng.normal(0, 4), rng.uniform(0.4, 1.5)
    amplitude, omega = 10 ** (gain / 40), 2 * np.pi * frequency / RATE
    alpha, cosine = np.sin(omega) / 2 / width, -2 * np.cos(omega)
    over = [1 + alpha * amplitude, cosine, 1 - alpha * amplitude]
    under = [1 + alpha / amplitude, cosine, 1 - alpha / amplitude]
    return sosfilt(np.array([[*over, *under]]) / under[0], sound, axis=0)


def compress(sound: Sound, rng: Rng) -> Sound:
    """Lower what is loud."""
    decay = np.exp(-1 / (RATE * rng.uniform(0.01, 0.08)))
    envelope = lfilter([1 - decay], [1, -decay], np.abs(sound).max(axis=1)) + 1e-4
    threshold = np.sqrt((sound**2).mean()) * rng.uniform(0.5, 1.5) + 1e-6
    return sound * (np.maximum(envelope / threshold, 1) ** -rng.uniform(0.3, 0.85))[:, None]


def reverberate(sound: Sound, rng: Rng, level: tuple[float, float], seconds: tuple[float, float]) -> Sound:
    """Add a room: decaying noise, different left and right."""
    length = rng.uniform(*seconds)
    count = int(min(length, 1.5) * RATE)
    room = rng.normal(size=(count, 2)) * np.exp(-6.9 * np.arange(count) / RATE / length)[:, None]
    room[: int(rng.uniform(0.003, 0.04) * RATE)] = 0
    edges = [rng.uniform(120, 500), rng.uniform(3000, 10_000)]
    room = sosfilt(butter(1, edges, "band", fs=RATE, output="sos"), room, axis=0)
    room /= np.sqrt((room**2).sum(axis=0)) + 1e-9
    middle = sound.mean(axis=1)
    wet = np.stack([fftconvolve(middle, room[:, side])[: len(sound)] for side in (0, 1)], axis=1)
    return sound + wet * 10 ** (rng.uniform(*level) / 20)


def vary_speed(sound: Sound, ratio: float, length: int = LENGTH) -> Sound:
    """Play ``ratio`` times faster."""
    place = np.arange(length) * ratio
    below = np.minimum(place.astype(int), len(sound) - 2)
    share = (place - below)[:, None]
    return sound[below] * (1 - share) + sound[below + 1] * share


def pan(sound: Sound, place: float) -> Sound:
    """Move to a side, -1 to 1."""
    return sound * np.array([1 - place, 1 + place])


def produce_voice(sound: Sound, rng: Rng) -> Sound:
    """Make a dry voice (lead left, second voice right) what is heard on records."""
    level = np.sqrt((sound**2).mean()) + 1e-9
    lead = sound[:, :1]
    voice = np.repeat(lead, 2, axis=1)
    if rng.random() < 0.25:  # doubled
        for side in (-1, 1):
            copy = vary_speed(lead, 1 + side * rng.uniform(0.002, 0.008))
            delay = int(rng.uniform(0.01, 0.035) * RATE)
            copy = np.concatenate((np.zeros((delay, 1)), copy[:-delay]))
            voice = voice + pan(copy, side * rng.uniform(0, 0.9)) * 10 ** (rng.uniform(-10, -2) / 20)
    if rng.random() < 0.6 and (sound[:, 1] ** 2).mean() > 1e-7:
        voice = voice + pan(sound[:, 1:], rng.uniform(-0.8, 0.8)) * 10 ** (rng.uniform(-12, 0) / 20)
    voice = sosfilt(butter(2, rng.uniform(60, 180), "high", fs=RATE, output="sos"), voice, axis=0)
    voice = equalise(equalise(voice, rng), rng)
    if rng.random() < 0.5:
        air = sosfilt(butter(1, rng.uniform(3000, 7000), "high", fs=RATE, output="sos"), voice, axis=0)
        voice = voice + rng.uniform(0.2, 1.2) * air
    if rng.random() < 0.7:
        voice = compress(voice, rng)
    if rng.random() < 0.3:
        voice = np.tanh(voice / level * rng.uniform(0.3, 1.5)) * level
    if rng.random() < 0.2:
        delay, gain, place = int(rng.uniform(0.09, 0.45) * RATE), rng.uniform(0.15, 0.45), rng.uniform(-1, 1)
        echoes = np.zeros_like(voice)
        for number in range(1, 4):
            if number * delay < LENGTH:
                echoes[number * delay :] += pan(voice[: -number * delay], place) * gain**number
        voice = voice + echoes
    if rng.random() < 0.85:
        voice = reverberate(voice, rng, (-24, -6), (0.3, 2.2))
    return pan(voice, rng.uniform(-0.05, 0.05) if rng.random() < 0.88 else rng.uniform(-0.6, 0.6))


def produce_instrument(stem: str, sound: Sound, rng: Rng) -> Sound:
    """Make a rendered stem what is heard on records."""
    level = np.sqrt((sound**2).mean()) + 1e-9
    is_low = stem in ("drums", "bass")
    for _ in range(2):
        if rng.random() < 0.6:
            sound = equalise(sound, rng)
    if rng.random() < (0.5 if is_low else 0.25):
        sound = compress(sound, rng)
    if rng.random() < (0.4 if is_low else 0.25):
        sound = np.tanh(sound / level * rng.uniform(0.3, 2.5)) * level
    if stem != "bass" and rng.random() < 0.4:
        sound = reverberate(sound, rng, (-22, -8), (0.15, 0.8) if stem == "drums" else (0.3, 2))
    middle = sound.mean(axis=1, keepdims=True)
    width: float = rng.uniform(0, 0.2) if stem == "bass" else rng.uniform(0.2, 1.5) if rng.random() < 0.9 else 0.0
    sound = middle + (sound - middle) * width
    place = rng.normal(0, {"bass": 0.03, "drums": 0.07, "other": 0.35}[stem])
    return pan(sound, float(np.clip(place, -0.9, 0.9)))


def produce(stem: str, sound: Sound, rng: Rng) -> Sound:
    """Treat a stem and keep its level, and its silence."""
    level = np.sqrt((sound**2).mean()) + 1e-9
    done = produce_voice(sound, rng) if stem == "vocals" else produce_instrument(stem, sound, rng)
    return done * level / (np.sqrt((done**2).mean()) + 1e-9)


def squeeze(sound: Sound, level: float) -> Sound:
    """Encode as MP3 and decode."""
    file = io.BytesIO()
    soundfile.write(file, np.clip(sound, -1, 1), RATE, format="MP3", subtype="MPEG_LAYER_III", compression_level=level)
    file.seek(0)
    decoded = soundfile.read(file, always_2d=True)[0][:LENGTH]
    return np.pad(decoded, ((0, LENGTH - len(decoded)), (0, 0)))


class Pool:
    """Single stems of 24 seconds, by kind and song.

    Args:
        folder: what ``songs`` and ``voices`` wrote.
    """

    def __init__(self, folder: Path) -> None:
        self.files: dict[str, dict[str, Path]] = {stem: {} for stem in (*STEMS, "lead")}
        for file in sorted(folder.glob("*__*.npy")):
            stem, song = file.stem.split("__")
            self.files[stem][song] = file
        self.loops = sorted(LOOPS.glob("loop_*.flac"))

    def names(self, stem: str) -> list[str]:
        return list(self.files[stem])

    def read(self, stem: str, song: str, start: int, length: int) -> Sound:
        sound = np.load(self.files[stem][song], mmap_mode="r")[start : start + length].astype(np.float32) / 16_384
        return np.pad(sound, ((0, length - len(sound)), (0, 0)))

    def loop(self, length: int, rng: Rng) -> Sound:
        """Return a loop of drums, again and again."""
        sound = soundfile.read(self.loops[rng.integers(len(self.loops))], always_2d=True)[0]
        sound = np.repeat(sound, 2, axis=1)[:, :2] if sound.shape[1] == 1 else sound
        sound = np.tile(sound, (-(-length // len(sound)), 1))[:length]
        return sound * 0.06 / (np.sqrt((sound**2).mean()) + 1e-9)


def make_stems(pool: Pool, rng: Rng) -> dict[str, Sound]:
    """Draw and treat the stems of a mix; two thirds of them play together."""
    ratio = float(rng.uniform(0.86, 1.17))
    length = int(LENGTH * ratio) + 8
    room = POOL_SECONDS * RATE - length
    start, is_one_song = int(rng.integers(0, room)), rng.random() < 0.65
    songs = pool.names("vocals")
    song = songs[rng.integers(len(songs))]

    def fetch(stem: str) -> Sound:
        names = pool.names(stem)
        name = song if is_one_song and song in pool.files[stem] else names[rng.integers(len(names))]
        place = start if is_one_song else int(rng.integers(0, room))
        sound = (
            pool.loop(length, rng) if stem == "drums" and rng.random() < 0.06 else pool.read(stem, name, place, length)
        )
        return vary_speed(sound, ratio)

    stems: dict[str, Sound] = {}
    is_a_cappella = rng.random() < 0.04
    has_lead = not is_a_cappella and rng.random() < 0.3
    for stem in STEMS:
        if is_a_cappella and stem != "vocals":
            continue
        present = PRESENT[stem] * (0.6 if stem == "vocals" and has_lead else 1)
        if not is_a_cappella and rng.random() > present:
            continue
        sound = fetch(stem)
        if stem == "other":
            if rng.random() < 0.3:
                sound = sound + 10 ** (rng.uniform(-8, 0) / 20) * fetch("other")
            if has_lead:  # an instrument where a singer would stand
                sound = sound + 10 ** (rng.uniform(-4, 8) / 20) * fetch("lead")
        stems[stem] = produce(stem, sound, rng) * 10 ** ((LEVEL[stem] + rng.normal(0, SPREAD)) / 20)
    stems = {stem: sound for stem, sound in stems.items() if (sound**2).mean() > 1e-8}
    if stems and rng.random() < 0.15:
        gain = 0.5 / max(1e-3, float(np.abs(sum(stems.values())).max()))
        level = float(rng.uniform(0.3, 0.8))
        stems = {stem: squeeze(sound * gain, level) for stem, sound in stems.items()}
    return stems


def main() -> None:
    """Write mixes until the time is over."""
    pool_folder, data, seed, seconds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    rng, begun = np.random.default_rng(seed), time.monotonic()
    data.mkdir(parents=True, exist_ok=True)
    shapes = {"inputs": (STEPS, BANDS, CHANNELS), "masks": (3, STEPS, ROWS), "shares": (5, STEPS, ROWS)}
    kinds = {"inputs": np.float16, "masks": np.uint8, "shares": np.float16}
    arrays = {
        name: np.lib.format.open_memmap(data / f"{seed}.{name}.npy", "w+", kinds[name], (MOST, *shape))
        for name, shape in shapes.items()
    }
    energies: list[NDArray[np.float32]] = []
    pool = Pool(pool_folder)
    while time.monotonic() - begun < seconds and len(energies) < MOST:
        if len(energies) % 25 == 24:
            pool = Pool(pool_folder)
        stems = make_stems(pool, rng)
        mixture = sum(stems.values(), start=np.zeros((LENGTH, 2)))
        if (mixture**2).mean() < 1e-7:
            continue
        mix = describe(mixture, stems)
        if not all(np.isfinite(part).all() for part in mix):
            continue
        arrays["inputs"][len(energies)] = mix.inputs
        arrays["masks"][len(energies)] = np.round(np.clip(mix.masks, 0, 1) * 255)
        arrays["shares"][len(energies)] = np.clip(mix.shares, -60_000, 60_000)
        energies.append(mix.energies)
        if len(energies) % 10 == 0:
            np.save(data / f"{seed}.energies.npy", np.array(energies))
            print(len(energies), round(time.monotonic() - begun), flush=True)


if __name__ == "__main__":
    main()
