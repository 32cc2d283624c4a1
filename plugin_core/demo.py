"""The song of ``stembridge demo``, made on the spot with its true stems, and how well a separation of it went."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plugin_core.errors import PlacementError

RATE = 44100

Samples = NDArray[np.float64]
TITLE = "Small Hours"
ARTIST = "The Demonstration"
BEAT = 0.6
BARS = 5
LENGTH = round(BARS * 4 * BEAT * RATE)

#: Level of the loudest sample of each part; they add up to less than full scale.
LEVELS = {"vocals": 0.26, "drums": 0.42, "bass": 0.16, "other": 0.15}

#: One chord a bar, as MIDI notes; the bass plays its root.
CHORDS = ((57, 60, 64), (53, 57, 60), (60, 64, 67), (55, 59, 62), (57, 60, 64))

#: The tune: beat it starts on, MIDI note, length in beats.
MELODY = (
    (0.5, 64, 0.9), (1.5, 67, 0.9), (2.5, 69, 1.3),
    (4.5, 67, 0.9), (5.5, 65, 0.5), (6.0, 64, 0.5), (6.5, 60, 1.3),
    (8.5, 64, 0.9), (9.5, 67, 0.5), (10.0, 72, 1.6),
    (12.0, 71, 0.9), (13.0, 69, 0.5), (13.5, 67, 0.9), (14.5, 62, 1.2),
    (16.0, 64, 0.9), (17.0, 62, 0.5), (17.5, 60, 0.5), (18.0, 57, 1.8),
)  # fmt: skip

Part = NDArray[np.int16]


class Demo(NamedTuple):
    """Where a demo song lies."""

    song: Path
    truth: Mapping[str, Path]
    """The true parts by canonical name."""
    seconds: float


def make_demo(folder: Path) -> Demo:
    """Write the song and its parts into a folder that is new; where the name is taken it is numbered.

    Raises:
        PlacementError: the folder cannot be made or written.
    """
    parts = compose()
    try:
        folder = _make_new(folder)
        (folder / "truth").mkdir()
        truth = {name: folder / "truth" / f"{TITLE} - {name.title()}.flac" for name in parts}
        for name, path in truth.items():
            write_song(path, parts[name], f"{TITLE} - {name.title()}")
        write_song(folder / f"{TITLE}.flac", mix(parts))
    except OSError as error:
        raise PlacementError(f"{folder}: {error.strerror or error}", remedy="choose another with --to") from error
    return Demo(folder / f"{TITLE}.flac", truth, LENGTH / RATE)


def _make_new(folder: Path) -> Path:
    folder.parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        found = folder if number == 1 else folder.with_name(f"{folder.name} ({number})")
        with suppress(FileExistsError):
            found.mkdir()
            return found
    raise AssertionError("count() ends never")


def compose() -> dict[str, Part]:
    """Return the parts by canonical name, each of shape (samples, 2), always the same."""
    parts = {"vocals": _vocals(), "drums": _drums(), "bass": _bass(), "other": _other()}
    return {name: _to_pcm(part, LEVELS[name]) for name, part in parts.items()}


def mix(parts: Mapping[str, Part]) -> Part:
    """Return the exact sum of the parts."""
    total: Part = np.sum([part.astype(np.int32) for part in parts.values()], axis=0).astype(np.int16)
    return total


def write_song(path: Path, samples: Part, title: str = TITLE) -> None:
    """Write samples as a 16-bit FLAC file with title and artist."""
    import soundfile

    with soundfile.SoundFile(path, "w", RATE, 2, subtype="PCM_16", format="FLAC") as file:
        file.title = title
        file.artist = ARTIST
        file.write(samples)


def _to_pcm(part: Samples, level: float) -> Part:
    pcm: Part = np.round(part * (level * 32767 / np.abs(part).max())).astype(np.int16)
    return pcm


def _hertz(note: float) -> float:
    return float(440.0 * 2.0 ** ((note - 69) / 12))


def _silence() -> Samples:
    return np.zeros((LENGTH, 2))


def _place(part: Samples, beat: float, note: Samples, left: float = 1.0, right: float = 1.0) -> None:
    """Add a note to a part, what reaches past the end cut off."""
    start = round(beat * BEAT * RATE)
    note = note[: LENGTH - start]
    part[start : start + note.size, 0] += left * note
    part[start : start + note.size, 1] += right * note


def _vocals() -> Samples:
    part = _silence()
    before: float | None = None
    for beat, note, beats in MELODY:
        _place(part, beat, sing(_hertz(note - 5), beats * BEAT, before))
        before = _hertz(note - 5)
    return part


def _drums() -> Samples:
    chance = np.random.default_rng(7)
    part = _silence()
    for bar in range(0, BARS * 4, 4):
        for beat in (0.0, 1.5, 2.0):
            _place(part, bar + beat, kick())
        for beat in (1.0, 3.0):
            _place(part, bar + beat, snare(chance))
        for half in range(8):
            _place(part, bar + half / 2, hat(chance), 0.6, 0.9)
    return part


def _bass() -> Samples:
    part = _silence()
    for bar, notes in enumerate(CHORDS):
        for beat, step, beats in ((0.0, 0, 1.4), (1.5, 0, 0.9), (2.5, 7, 0.5), (3.0, 0, 0.9)):
            _place(part, bar * 4 + beat, bass_note(_hertz(notes[0] - 24 + step), beats * BEAT))
    return part


def _other() -> Samples:
    part = _silence()
    for bar, notes in enumerate(CHORDS):
        frequencies = tuple(_hertz(note) for note in notes)
        for half in range(2):
            beat = bar * 4 + half * 2
            _place(part, beat, chord(frequencies, 2 * BEAT, 1.003), 1.0, 0.15)
            _place(part, beat, chord(frequencies, 2 * BEAT, 0.997), 0.15, 1.0)
    return part


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


def read_pcm(path: Path) -> NDArray[np.int32]:
    """Return a file's samples, shape (samples, channels), scaled so that full scale is 32 bits whatever its depth."""
    import soundfile

    samples: NDArray[np.int32] = soundfile.read(path, dtype="int32", always_2d=True)[0]
    return samples


def measure_sdr(truth: NDArray[np.int32], estimate: NDArray[np.int32]) -> float:
    """Return the signal-to-distortion ratio in dB: 10 log10(sum s^2 / sum (s - e)^2), over all channels.

    Infinite when both are equal; minus infinite when the truth is silent and the estimate is not.
    """
    signal = float(np.sum(np.square(truth, dtype=np.float64)))
    distortion = float(np.sum(np.square(truth.astype(np.float64) - estimate)))
    if distortion == 0.0:
        return math.inf
    return 10.0 * math.log10(signal / distortion) if signal else -math.inf


def largest_difference(whole: NDArray[np.int32], parts: Iterable[NDArray[np.int32]]) -> int:
    """Return the largest difference between a whole and the sum of its parts, in steps of 32-bit full scale."""
    total = np.sum([part.astype(np.int64) for part in parts], axis=0)
    return int(np.abs(whole - total).max())


class Score(NamedTuple):
    """A separation measured against the truth."""

    sdr: Mapping[str, float]
    """dB for each stem."""
    untouched: Mapping[str, float]
    """dB for each stem if the song itself were taken for it: where any separation starts."""
    difference: float
    """Largest difference between the song and the sum of the stems, of full scale; 0 is exact."""


def score(mixture: Path, truth: Mapping[str, Path], stems: Mapping[str, Path]) -> Score:
    """Measure stems against the true parts of the same names.

    Raises:
        KeyError: a true part has no stem.
    """
    whole = read_pcm(mixture)
    true = {name: read_pcm(path) for name, path in truth.items()}
    found = {name: read_pcm(stems[name]) for name in truth}
    return Score(
        {name: measure_sdr(true[name], found[name]) for name in truth},
        {name: measure_sdr(true[name], whole) for name in truth},
        largest_difference(whole, found.values()) / 2**31,
    )
