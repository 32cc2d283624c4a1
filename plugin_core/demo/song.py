"""The demo song: five bars at 100 beats a minute, four parts that are known to the last sample.

The parts are 16-bit, and their sum is the song: what a separation of it can be measured against.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin_core.demo import synth
from plugin_core.demo.synth import RATE, Samples

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
        _place(part, beat, synth.sing(_hertz(note - 5), beats * BEAT, before))
        before = _hertz(note - 5)
    return part


def _drums() -> Samples:
    chance = np.random.default_rng(7)
    part = _silence()
    for bar in range(0, BARS * 4, 4):
        for beat in (0.0, 1.5, 2.0):
            _place(part, bar + beat, synth.kick())
        for beat in (1.0, 3.0):
            _place(part, bar + beat, synth.snare(chance))
        for half in range(8):
            _place(part, bar + half / 2, synth.hat(chance), 0.6, 0.9)
    return part


def _bass() -> Samples:
    part = _silence()
    for bar, notes in enumerate(CHORDS):
        for beat, step, beats in ((0.0, 0, 1.4), (1.5, 0, 0.9), (2.5, 7, 0.5), (3.0, 0, 0.9)):
            _place(part, bar * 4 + beat, synth.bass_note(_hertz(notes[0] - 24 + step), beats * BEAT))
    return part


def _other() -> Samples:
    part = _silence()
    for bar, notes in enumerate(CHORDS):
        frequencies = tuple(_hertz(note) for note in notes)
        for half in range(2):
            beat = bar * 4 + half * 2
            _place(part, beat, synth.chord(frequencies, 2 * BEAT, 1.003), 1.0, 0.15)
            _place(part, beat, synth.chord(frequencies, 2 * BEAT, 0.997), 0.15, 1.0)
    return part
