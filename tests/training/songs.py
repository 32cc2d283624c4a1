"""Stems of accompaniment of 24 seconds: ``songs POOL FILES SEED SECONDS``.

Grooves of MMA over random progressions with a composed melody, or free MIDI, rendered by fluidsynth with General MIDI
sound fonts, drums also from Hydrogen's kits. POOL gets ``drums``, ``bass``, ``other`` and ``lead`` (an instrument that
plays the melody) as ``STEM__SONG.npy``, and ``SONG.json``, the melody to be sung. FILES holds what README.md unpacks.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

import mido
import numpy as np
import soundfile
from scipy.signal import resample_poly

from tests.training.mixes import POOL_SECONDS, RATE, Sound

LENGTH = POOL_SECONDS * RATE
SHARE = Path("/usr/share")
FONTS = (
    *["sounds/sf2/FluidR3_GM.sf2"] * 4,
    *["sounds/sf2/TimGM6mb.sf2"] * 2,
    *["sounds/sf3/MuseScore_General_Lite.sf3"] * 3,
    *["sounds/sf2/sf_GMbank.sf2"] * 2,
)
JUDGED = [
    "tttheme2",
    "ultimate_run",
    "mighty_giant_run",
    "busy_schedule",
    "midnight_snow_run",
    "keep_on_rolling",
    "the_fast_route",
    "freedoom1_D_E1M1",
    "freedoom2_D_RUNNIN",
    "freedoom2_D_TENSE",
    "freedoom2_D_MESSG2",
    "freedoom2_D_THE_DA",
]
"""Songs that figures are measured on: never to be learnt from."""
MAJOR = [
    "C Am F G",
    "C G Am F",
    "F G Em Am",
    "C F C G",
    "C Em F G",
    "Am F C G",
    "C F G C",
    "C Dm7 G7 C",
    "F C G Am",
    "CM7 FM7 Dm7 G7",
    "C E7 Am F",
    "C Bb F C",
    "Em7 Am7 Dm7 G7",
    "C G F F",
    "C C7 F Fm",
]
MINOR = [
    "Am F G Am",
    "Am Dm E7 Am",
    "Am G F E7",
    "Am C G D",
    "Am7 Dm7 Am7 Em7",
    "Am Em F G",
    "Am Am Dm E7",
    "F G Am Am",
    "Dm Am E7 Am",
]
TONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
RHYTHMS: tuple[tuple[float, ...], ...] = (
    (1, 1, 1, 1),
    (0.5, 0.5, 1, 0.5, 0.5, 1),
    (1.5, 0.5, 1, 1),
    (2, 1, 1),
    (0.5,) * 8,
    (3, 0.5, 0.5),
    (4,),
    (0.75, 0.75, 0.5, 1, 1),
    (1, 0.5, 0.5, 2),
    (0.5, 1, 0.5, 1, 1),
    (0.25, 0.25, 0.5, 0.5, 0.5, 1, 1),
    (2, 2),
)
OTHERS = (0, 1, 2, 4, 5, 7, 16, 17, 18, 21, 24, 25, 26, 27, 28, 29, 29, 30, 30, 48, 49, 50, 51, 56, 57, 61, 62, 63, 65)
LEADS = (40, 40, 41, 42, 56, 57, 60, 64, 65, 66, 67, 68, 71, 73, 73, 75, 78, 79, 80, 80, 81, 81, 82, 84, 85, 87, 29, 30)
"""Programs of instruments that sing."""
DRUMS = 9
"""Channel of the drums."""
PIECES = {
    "kick|bass.?drum|(^|[^a-z])bd|kdrum": (35, 36),
    "snare|(^|[^a-z])sd": (37, 38, 39, 40),
    "open.*h|h.*open|hho|oh": (46,),
    "hat|hh": (42, 44),
    "crash|splash": (49, 57, 55, 52),
    "ride": (51, 59, 53),
    "tom": (41, 43, 45, 47, 48, 50),
}
"""Notes of a kit by what its files are called."""


class ScoreNote(NamedTuple):
    """In seconds and semitones."""

    start: float
    end: float
    pitch: int


Events = list[tuple[float, mido.Message]]


class Studio:
    """Renders songs.

    Args:
        pool: gets the stems.
        files: unpacked packages, and ``midi/``.
        seed: decides.
    """

    def __init__(self, pool: Path, files: Path, seed: int) -> None:
        self.pool, self.rng, self.seed = pool, np.random.default_rng(1000 + seed), seed
        self.work = pool / f"work{seed}"
        self.work.mkdir(parents=True, exist_ok=True)
        roots = (SHARE, files / "usr" / "share")
        self.fonts = [root / font for font in FONTS for root in roots if (root / font).exists()]
        folders = [kit for root in roots for kit in sorted(root.glob("hydrogen/data/drumkits/*/"))]
        self.kits = [kit for kit in map(read_kit, folders) if 36 in kit and 38 in kit]
        midi = [*SHARE.glob("games/openttd/baseset/openmsx/*.mid"), *files.glob("midi/*.mid")]
        self.midi = [path for path in midi if path.stem not in JUDGED]
        lines = "".join(path.read_text(errors="ignore") for path in SHARE.glob("mma/lib/*/*.mma"))
        names = set(re.findall(r"(?mi)^\s*DefGroove\s+(\S+)", lines))
        self.grooves = sorted(name for name in names if not re.search(r"intro|end|fill|metronome", name, re.I))

    def make(self, number: int) -> str:
        """Write one song; return its name."""
        rng, lead, start = self.rng, None, 0.0
        if rng.random() < 0.78:
            name = f"m{self.seed}_{number}"
            path, melody = self.compose()
            events, roles, _ = read_midi(path)
        else:
            name = f"f{self.seed}_{number}"
            events, roles, seconds = read_midi(self.midi[rng.integers(len(self.midi))])
            start = float(rng.uniform(0, max(0.1, seconds - POOL_SECONDS)))
            lead = self.find_lead(events, roles)
            melody = [] if lead is None else move(top_line(events, lead), start)
        for stem in ("drums", "bass", "other"):
            channels = [c for c in roles if roles[c] == stem and not (c == lead and rng.random() < 0.6)]
            if channels:
                is_kit = stem == "drums" and rng.random() < 0.5
                self.save(stem, name, self.drum(events, start) if is_kit else self.play(stem, events, channels, start))
        if len(melody) > 6 and rng.random() < 0.6:
            self.save("lead", name, self.lead(melody))
        (self.pool / f"{name}.json").write_text(json.dumps(melody))
        return name

    def compose(self) -> tuple[Path, list[ScoreNote]]:
        """Let MMA play a groove over random chords; return its MIDI, and a melody over them."""
        rng = self.rng
        kind = MINOR if rng.random() < 0.4 else MAJOR
        chords = str(rng.choice(kind)).split() + (str(rng.choice(kind)).split() if rng.random() < 0.6 else [])
        shift, tempo, groove = int(rng.integers(-5, 7)), int(rng.integers(68, 165)), str(rng.choice(self.grooves))
        slow = 1 if tempo < 130 else 2
        bars = int(np.ceil(POOL_SECONDS / (180 / tempo))) + 1
        lines = [f"Tempo {tempo}", f"Groove {groove}", f"Transpose {shift}"]
        lines += [f"{bar + 1} {chords[bar // slow % len(chords)]}" for bar in range(bars)]
        score, path = self.work / "song.mma", self.work / "song.mid"
        score.write_text("\n".join(lines) + "\n")
        subprocess.run(["mma", "-f", path, score], check=True, capture_output=True, timeout=300)
        scale = [0, 2, 4, 5, 7, 9, 11] if rng.random() < 0.4 else [0, 2, 4, 7, 9]
        beat, time_, sung, notes = 60 / tempo, 0.0, 0, []
        low = int(rng.integers(48, 66))
        pitch = low + int(rng.integers(2, 10))
        rhythms = rng.choice(len(RHYTHMS), 4)
        while time_ < POOL_SECONDS:
            if sung >= rng.integers(1, 5):
                time_ += beat * float(rng.choice([1, 2, 2, 4, 8]))
                sung = 0
                continue
            chord = chords[int(time_ / beat / 4 / slow) % len(chords)]
            root = TONES[chord[0]] - (chord[1:2] == "b")
            triad = [root, root + (3 if "m" in chord else 4), root + 7]
            place = 0.0
            for length in RHYTHMS[rhythms[rng.integers(4)]]:
                tones = {tone % 12 for tone in (triad if place % 2 == 0 and rng.random() < 0.7 else scale)}
                offers = [offer for offer in range(low, low + 15) if (offer - shift) % 12 in tones]
                weights = np.exp(-np.abs(np.array(offers) - pitch) / 2.2)
                pitch = int(rng.choice(offers, p=weights / weights.sum()))
                start = time_ + place * beat
                if rng.random() < 0.93 and start < POOL_SECONDS - 0.2:
                    notes.append(ScoreNote(start, start + length * float(rng.uniform(0.7, 1)) * beat, pitch))
                place += length
            time_ += 4 * beat
            sung += 1
        return path, notes

    def find_lead(self, events: Events, roles: dict[int, str]) -> int | None:
        """Return the channel that plays most like a melody: many notes, one at a time."""
        scores = {}
        for channel in roles:
            line = top_line(events, channel) if roles[channel] == "other" else []
            if len(line) > 25:
                struck = sum(is_struck(event) and event.channel == channel for _, event in events)
                scores[channel] = len(line) / struck + 0.2 * self.rng.random()
        return max(scores, key=lambda channel: scores[channel]) if scores else None

    def play(self, stem: str, events: Events, channels: list[int], start: float) -> Sound:
        """Render a stem, with some of its instruments exchanged."""
        rng, changed = self.rng, []
        for second, event in events:
            new = event
            if event.type == "program_change" and event.channel in channels:
                if event.channel == DRUMS:
                    new = event.copy(program=int(rng.choice([0, 8, 16, 24, 25, 32, 40])))
                elif rng.random() < 0.3:
                    new = event.copy(program=int(rng.integers(32, 40) if stem == "bass" else rng.choice(OTHERS)))
            changed.append((second, new))
        pans = {}
        if stem != "drums":
            is_wide = stem == "other"
            pans = {c: int(rng.integers(5, 123)) if is_wide and rng.random() < 0.75 else 64 for c in channels}
        return self.render(changed, channels, start, pans)

    def lead(self, melody: list[ScoreNote]) -> Sound:
        """Let an instrument play the melody, in the centre."""
        rng, up = self.rng, int(self.rng.choice([0, 0, 12]))
        events = [(0.0, mido.Message("program_change", channel=0, program=int(rng.choice(LEADS))))]
        for start, end, pitch in melody:
            velocity = int(rng.integers(70, 120))
            events.append((start, mido.Message("note_on", channel=0, note=pitch + up, velocity=velocity)))
            events.append((end, mido.Message("note_off", channel=0, note=pitch + up)))
        return self.render(sorted(events, key=lambda event: event[0]), [0], 0.0, {0: 64})

    def render(self, events: Events, channels: list[int], start: float, pans: dict[int, int]) -> Sound:
        """Let fluidsynth play some channels of 24 seconds with a font of its choice."""
        rng, song, track, last = self.rng, mido.MidiFile(ticks_per_beat=480), mido.MidiTrack(), 0
        song.tracks.append(track)
        track.append(mido.MetaMessage("set_tempo", tempo=500_000, time=0))
        gains = {channel: int(rng.integers(70, 127)) for channel in channels}
        track += [mido.Message("control_change", channel=c, control=10, value=pans[c]) for c in channels if c in pans]
        for second, event in events:
            if second > start + POOL_SECONDS:
                break
            is_placed = event.type == "control_change" and event.control in (0, 10, 32) and event.channel in pans
            is_over = second < start and event.type in ("note_on", "note_off")
            if getattr(event, "channel", None) not in channels or is_placed or is_over:
                continue
            new = event
            if event.type == "control_change" and event.control == 7:
                new = event.copy(value=min(127, max(30, event.value * gains[event.channel] // 100)))
            tick = round(max(0.0, second - start) * 960)
            track.append(new.copy(time=max(0, tick - last)))
            last = max(last, tick)
        track += [mido.Message("control_change", channel=c, control=123, value=0, time=480) for c in channels[:1]]
        path, wave = self.work / "stem.mid", self.work / "stem.wav"
        song.save(path)
        dry = ["-R", "0"] if rng.random() < 0.5 else []
        font = self.fonts[rng.integers(len(self.fonts))]
        command = [
            "fluidsynth",
            "-ni",
            "-q",
            *dry,
            "-F",
            str(wave),
            "-T",
            "wav",
            "-O",
            "float",
            "-r",
            str(RATE),
            "-g",
            "0.4",
        ]
        subprocess.run([*command, str(font), str(path)], check=True, capture_output=True, timeout=900)
        sound = soundfile.read(wave, dtype="float32", always_2d=True)[0][:LENGTH]
        return np.pad(sound, ((0, LENGTH - len(sound)), (0, 0)))

    def drum(self, events: Events, start: float) -> Sound:
        """Play the drums with a kit of Hydrogen's."""
        rng, kit = self.rng, self.kits[self.rng.integers(len(self.kits))]
        out, pitch = np.zeros((LENGTH + 4 * RATE, 2), np.float32), float(rng.uniform(0.9, 1.1))
        gains = 10 ** (rng.normal(0, 2.5, 128) / 20)
        for second, event in events:
            if is_struck(event) and event.channel == DRUMS and start <= second < start + POOL_SECONDS:
                files = kit.get(event.note) or kit.get(51 if event.note == 56 else 42)
                if files:
                    sound = read_sample(files[rng.integers(len(files))])
                    sound = sound[(np.arange(int(len(sound) / pitch)) * pitch).astype(int)]
                    place = int((second - start) * RATE)
                    room = out[place : place + len(sound)]
                    room += sound[: len(room)] * (event.velocity / 127) ** 1.5 * gains[event.note]
        return out[:LENGTH]

    def save(self, stem: str, name: str, sound: Sound) -> None:
        """Write a stem, if it is not silent, at one level where it plays."""
        powers = (sound**2).mean(axis=1)[: len(sound) // 4410 * 4410].reshape(-1, 4410).mean(axis=1)
        if powers.max() > 1e-7:
            level = np.sqrt(powers[powers > powers.max() * 1e-3].mean())
            whole = np.clip(np.round(sound * 0.06 / level * 16_384), -32_767, 32_767)
            np.save(self.pool / f"{stem}__{name}.npy", whole.astype(np.int16))


def is_struck(event: mido.Message) -> bool:
    return bool(event.type == "note_on" and event.velocity > 0)


def read_midi(path: Path) -> tuple[Events, dict[int, str], float]:
    """Return events in seconds, the stem of each channel, and the length."""
    events: Events = []
    seconds, program = 0.0, {}
    counts: dict[int, list[bool]] = {}
    for event in mido.MidiFile(path):
        seconds += event.time
        if event.is_meta:
            continue
        events.append((seconds, event))
        if event.type == "program_change":
            program[event.channel] = event.program
        if is_struck(event):
            counts.setdefault(event.channel, []).append(32 <= program.get(event.channel, 0) <= 39)
    roles = {c: "drums" if c == DRUMS else "bass" if np.mean(low) > 0.5 else "other" for c, low in counts.items()}
    return events, roles, seconds


def top_line(events: Events, channel: int) -> list[ScoreNote]:
    """Return the highest notes of a channel, one at a time."""
    begun: dict[int, float] = {}
    notes: list[ScoreNote] = []
    for second, event in events:
        if getattr(event, "channel", None) == channel:
            if is_struck(event):
                begun[event.note] = second
            elif event.type in ("note_off", "note_on") and event.note in begun:
                notes.append(ScoreNote(begun.pop(event.note), second, event.note))
    line: list[ScoreNote] = []
    for note in sorted(notes):
        if line and note.start - line[-1].start < 0.03:
            line[-1] = max(line[-1], note, key=lambda one: one.pitch)
        else:
            line.append(note)
    ends = [note.start for note in line[1:]] + [np.inf]
    return [
        n._replace(end=min(n.end, end)) for n, end in zip(line, ends, strict=True) if min(n.end, end) - n.start > 0.07
    ]


def move(line: list[ScoreNote], start: float) -> list[ScoreNote]:
    """Return the notes of 24 seconds, where a voice can sing them."""
    middle = np.median([note.pitch for note in line])
    shift = 12 * int(np.ceil((54 - middle) / 12)) if middle < 54 else -12 * int(np.ceil(max(0, middle - 68) / 12))
    inside = [note for note in line if start <= note.start < start + POOL_SECONDS - 0.2]
    return [ScoreNote(note.start - start, note.end - start, note.pitch + shift) for note in inside]


def read_kit(folder: Path) -> dict[int, list[Path]]:
    """Return the samples of a kit by note."""
    kit: dict[int, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in (".wav", ".flac", ".aiff"):
            notes = next((notes for words, notes in PIECES.items() if re.search(words, file.name.lower())), ())
            for note in notes:
                kit.setdefault(note, []).append(file)
    return kit


@cache
def read_sample(path: Path) -> Sound:
    sound, rate = soundfile.read(path, always_2d=True)
    sound = np.repeat(sound[: rate * 3], 2, axis=1)[:, :2] if sound.shape[1] == 1 else sound[: rate * 3, :2]
    return resample_poly(sound, RATE, rate, axis=0) if rate != RATE else sound


def main() -> None:
    """Write songs until the time is over."""
    pool, files, seed, seconds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    studio, begun, number = Studio(pool, files, seed), time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        try:
            print(studio.make(number), round(time.monotonic() - begun), flush=True)
        except (subprocess.SubprocessError, OSError, ValueError, EOFError) as error:  # a groove or file that is none
            print(f"song {number}: {error}", flush=True)
        number += 1


if __name__ == "__main__":
    main()
