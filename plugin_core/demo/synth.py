"""Instruments of the demo song: each function returns one note as mono samples, about -1 to 1.

Times are seconds, frequencies hertz, the sample rate is ``RATE``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 44100

Samples = NDArray[np.float64]


def seconds(duration: float) -> Samples:
    """Return the time of each sample of a note."""
    return np.arange(round(duration * RATE)) / RATE


def fade(duration: float, attack: float, release: float) -> Samples:
    """Return an envelope that rises and falls in straight lines."""
    time = seconds(duration)
    return np.clip(np.minimum(time / attack, (duration - time) / release), 0.0, 1.0)


def sing(frequency: float, duration: float, glide_from: float | None = None) -> Samples:
    """Sing one note on "ah": harmonics under formants, a short glide into it and a vibrato that sets in late."""
    time = seconds(duration)
    start = frequency if glide_from is None else glide_from
    depth = 0.012 * np.clip((time - 0.15) / 0.25, 0.0, 1.0)
    pitch = frequency * (start / frequency) ** np.exp(-time / 0.03) * (1.0 + depth * np.sin(2 * np.pi * 5.6 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = np.zeros_like(time)
    for harmonic in range(1, 19):
        voice += _formants(harmonic * frequency) / harmonic**0.6 * np.sin(harmonic * phase)
    return voice * fade(duration, 0.04, 0.08)


def _formants(frequency: float) -> float:
    """Return the gain of the vowel "ah" (formants at 700, 1220 and 2600 Hz, widths of a male voice)."""
    peaks = ((700.0, 160.0, 1.0), (1220.0, 200.0, 0.6), (2600.0, 300.0, 0.25))
    return 0.08 + sum(gain / (1.0 + ((frequency - centre) / width) ** 2) for centre, width, gain in peaks)


def bass_note(frequency: float, duration: float) -> Samples:
    """Pluck a round bass note."""
    time = seconds(duration)
    tone = sum(np.sin(2 * np.pi * n * frequency * time) / n**1.8 for n in range(1, 6))
    return np.asarray(tone * np.exp(-time / 0.5) * fade(duration, 0.006, 0.03))


def chord(frequencies: tuple[float, ...], duration: float, detune: float) -> Samples:
    """Hold a soft organ chord; ``detune`` (a factor near 1) sets two sides apart."""
    time = seconds(duration)
    tone = np.zeros_like(time)
    for frequency in frequencies:
        for harmonic, gain in ((1, 1.0), (2, 0.5), (3, 0.25), (4, 0.12)):
            tone += gain * np.sin(2 * np.pi * harmonic * frequency * detune * time + harmonic * detune)
    return tone / len(frequencies) * fade(duration, 0.03, 0.06)


def kick() -> Samples:
    """Hit the bass drum: a sine that falls to 48 Hz."""
    time = seconds(0.28)
    phase = 2 * np.pi * (48.0 * time + 110.0 * 0.03 * (1.0 - np.exp(-time / 0.03)))
    return np.sin(phase) * np.exp(-time / 0.08) * fade(0.28, 0.001, 0.03)


def snare(chance: np.random.Generator) -> Samples:
    """Hit the snare: a short tone under noise."""
    time = seconds(0.2)
    noise = chance.standard_normal(time.size) * np.exp(-time / 0.05)
    return (0.45 * noise + 0.5 * np.sin(2 * np.pi * 190.0 * time) * np.exp(-time / 0.04)) * fade(0.2, 0.001, 0.02)


def hat(chance: np.random.Generator) -> Samples:
    """Tick the closed hi-hat: noise without its low part."""
    time = seconds(0.06)
    noise = chance.standard_normal(time.size)
    return np.diff(noise, prepend=0.0) * np.exp(-time / 0.015) * 0.4
