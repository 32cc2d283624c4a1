"""Where parts are found against their song, and what is done: ``python -m tests.benchmarks.alignment [FOLDER]``.

Songs with true stems (FOLDER, each a folder with ``mixture.flac`` and its stems; default those beside the project), the
first of them also as two minutes, and a minute of noise. Each is held against its stems with one or all of them
shifted, as FLAC and through lossy encoders whose delay is measured here by a plain correlation with what was encoded. A
part is right where it is moved by just its offset (or lies right and is not moved), left where it is not moved and that
is said; it is wrong where it is moved by anything else, and unsaid where it is left without a word.
"""

from __future__ import annotations

import collections
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from plugin_core.audio.reader import open_reader
from plugin_core.model import Part
from plugin_core.stems.verification import verify_parts
from plugin_core.tasks import Stopper
from tests.audio_files import encode, make_noise, read_samples, write_samples

SHARED = Path(__file__).parents[2].parent / "shared" / "audio"
RATE = 44100
OFFSETS = (0, 1, 24, 1105, 2900, -7)
"""With an encoder's delay on top the largest still lies within what is searched."""
ENCODERS = {
    "FLAC": ("flac", ()),
    "MP3": ("mp3", ("-c:a", "libmp3lame", "-b:a", "192k")),
    "MP3 without tag": ("mp3", ("-c:a", "libmp3lame", "-b:a", "192k", "-write_xing", "0")),
    "ADTS": ("aac", ("-c:a", "aac", "-b:a", "192k")),
}
LONG = 120
NOISE = 60
NEAR = 8192
"""Samples within which an encoder's delay is looked for."""

Sound = npt.NDArray[np.float32]


class Song(NamedTuple):
    """A source with its true stems."""

    name: str
    source: Path
    stems: dict[str, Sound]


def main() -> None:
    """Print a row for each song, encoder and offset, and the sums."""
    folders = [Path(sys.argv[1])] if len(sys.argv) > 1 else [SHARED / "truth", SHARED / "real"]
    totals: collections.Counter[str] = collections.Counter()
    print(f"{'song':20}{'encoder':17}{'offset':>7}  {'moved':7}{'right':>6}{'left':>6}{'unsaid':>8}{'wrong':>7}")
    with tempfile.TemporaryDirectory() as name:
        for song in list_songs(folders, Path(name)):
            for encoder in ENCODERS:
                for row, found in hold(song, encoder, Path(name)):
                    totals += found
                    print(f"{song.name:20}{encoder:17}{row}" + _say(found), flush=True)
    print(f"{sum(totals.values())} parts" + " " * 41 + _say(totals))


def _say(found: collections.Counter[str]) -> str:
    return f"{found['right']:6}{found['left']:6}{found['unsaid']:8}{found['wrong']:7}"


def list_songs(folders: list[Path], work: Path) -> Iterator[Song]:
    """Yield the songs; what is made for them lies in ``work``."""
    mixtures = sorted(path for folder in folders for path in folder.glob("*/mixture.flac"))
    for mixture in mixtures:
        stems = {path.stem: _read(path) for path in sorted(mixture.parent.glob("*.flac")) if path != mixture}
        yield Song(mixture.parent.name, mixture, stems)
        if mixture == mixtures[0]:
            long = {stem: _tile(sound) for stem, sound in stems.items()}
            yield Song(f"{mixture.parent.name}, long", _write(work / "long.flac", _tile(_read(mixture))), long)
    noise = {f"noise {seed}": make_noise(NOISE * RATE, peak=0.2, seed=seed).astype(np.float32) for seed in range(4)}
    yield Song("noise", _write(work / "noise.flac", np.sum(list(noise.values()), axis=0)), noise)


def _tile(sound: Sound) -> Sound:
    return np.tile(sound, (-(-LONG * RATE // len(sound)), 1))[: LONG * RATE]


def hold(song: Song, encoder: str, work: Path) -> Iterator[tuple[str, collections.Counter[str]]]:
    """Hold a song against its stems, shifted one and all; yield what was shifted and how many parts came out how."""
    stems = list(song.stems)
    shifted = {(stem, by): _encode(song.stems[stem], by, encoder, work) for stem in stems for by in OFFSETS}
    delays = {stem: _delay(song.stems[stem], shifted[stem, 0]) for stem in stems}
    for offset in OFFSETS:
        for late in ([stems[0]], stems) if offset else ([],):
            by = {stem: offset if stem in late else 0 for stem in stems}
            parts = [Part(stem=stem, label=stem, path=shifted[stem, by[stem]]) for stem in stems]
            alignment = verify_parts(song.source, parts, Stopper()).alignment
            true = [by[stem] + delays[stem] for stem in stems]
            found = collections.Counter(map(_judge, stems, true, alignment.lags, [alignment.notes] * len(stems)))
            yield f"{offset:7}  {'all' if len(late) > 1 else 'one' if late else 'none':7}", found
    for path in shifted.values():
        path.unlink()


def _judge(stem: str, true: int, lag: int, notes: tuple[str, ...]) -> str:
    if lag == true:
        return "right"
    if lag:
        return "wrong"
    said = any(note.startswith("no offset") or note.lower().startswith(f"{stem}:") for note in notes)
    return "left" if said else "unsaid"


def _encode(sound: Sound, by: int, encoder: str, work: Path) -> Path:
    """Write a stem that comes late by some samples, and is as long as it was."""
    filled = np.zeros_like(sound)
    filled[max(0, by) : len(sound) + min(0, by)] = sound[max(0, -by) : len(sound) - max(0, by)]
    suffix, options = ENCODERS[encoder]
    with tempfile.NamedTemporaryFile(dir=work, suffix=f".{suffix}", delete=False) as opened:
        path = Path(opened.name)
    if suffix == "flac":
        return _write(path, filled)
    return encode(_write(work / "plain.wav", filled), path, *options)


def _delay(sound: Sound, path: Path) -> int:
    """Return by how many samples a file comes late against what was encoded, as it is read."""
    with open_reader(path) as reader:
        heard = reader.read(len(sound) + NEAR)[:, 0]
    size = 1 << (len(sound) + 2 * NEAR).bit_length()
    spectrum = np.fft.rfft(heard, size) * np.fft.rfft(sound[:, 0], size).conj()
    lags = np.fft.irfft(spectrum, size)
    return int(np.argmax(np.roll(lags, NEAR)[: 2 * NEAR + 1])) - NEAR


def _read(path: Path) -> Sound:
    samples, rate = read_samples(path)
    assert rate == RATE, f"{path} has {rate} Hz"
    return samples.astype(np.float32)


def _write(path: Path, samples: Sound) -> Path:
    return write_samples(path, samples, RATE, "PCM_24")


if __name__ == "__main__":
    main()
