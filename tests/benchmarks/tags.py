"""Writing labels against mutagen alone: ``python -m tests.benchmarks.tags [SECONDS]``.

The bare loop copies a song, loads it, sets two fields, saves it, flushes it and renames it over the song. Ours does the
same with everything around it: the checks, the hashes, owner, mode and attributes, reading back, and the way back for
an undo. Both write into a folder of their own on the same disk; the medians of paired rounds are compared, with the
flush to the disk and without.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import mutagen
import soundfile
from mutagen import id3

from plugin_core.files.checksum import hash_file
from plugin_core.model import Source, Tagging
from plugin_core.tags.labels import decide
from plugin_core.tags.tagger import Writing, write_labels
from tests.audio_files import make_noise, write_song
from tests.plugin_core.tagger_fakes import LABELS
from tests.plugin_core.tags.tagged_files import make_audio

ROUNDS = 15
SOURCES: dict[str, Source] = {}
WISH = Tagging(provider="ears", policy="replace")
KINDS = ("mp3", "flac", "ogg", "m4a", "wav", "wv")


def main(seconds: float) -> None:
    """Print a line a container."""
    print(f"{'song':8}{'size':>10}{'bare':>10}{'ours':>10}{'ratio':>8}{'no flush':>10}")
    with tempfile.TemporaryDirectory() as name:
        for kind in KINDS:
            song = make(Path(name), kind, seconds)
            flushed, unflushed = compare(song), compare(song, flush=False)
            size = song.stat().st_size / 2**20
            bare, ours = (1000 * value for value in flushed)
            print(
                f"{kind:8}{size:7.1f}MiB{bare:8.1f}ms{ours:8.1f}ms{ours / bare:8.2f}{unflushed[1] / unflushed[0]:10.2f}"
            )


def make(folder: Path, kind: str, seconds: float) -> Path:
    """Make a song of some length."""
    frames = round(seconds * 44100)
    if kind in ("flac", "wav"):
        return write_song(folder / f"song.{kind}", seconds)
    if kind == "ogg":
        # libsndfile's Vorbis encoder takes no long song in one piece.
        return write_long(folder / "song.ogg", round(seconds))
    return make_audio(folder / f"song.{kind}", frames)


def write_long(path: Path, seconds: int) -> Path:
    """Write noise second by second."""
    with soundfile.SoundFile(path, "w", 44100, 2) as opened:
        for number in range(seconds):
            opened.write(make_noise(44100, 2, seed=number))
    return path


def compare(song: Path, *, flush: bool = True) -> tuple[float, float]:
    """Return the median seconds of the bare loop and of ours."""
    bare: list[float] = []
    ours: list[float] = []
    with mock.patch("os.fsync", os.fsync if flush else lambda _descriptor: None):
        for _ in range(ROUNDS):
            for times, work in ((bare, write_bare), (ours, write_ours)):
                copy = Path(shutil.copy(song, song.with_stem("copy")))
                look_at(copy)
                times.append(measure(work, copy))
                copy.unlink()
    return statistics.median(bare), statistics.median(ours)


def look_at(song: Path) -> None:
    """Remember the song as a job does when it is queued."""
    status, content = song.stat(), hash_file(song).sha256
    SOURCES[song.suffix] = Source(
        path=song,
        device=status.st_dev,
        inode=status.st_ino,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        content=content,
        duration=0.0,
        frames=0,
        channels=2,
        sample_rate=44100,
        encoding="",
    )


def measure(work: Callable[[Path], object], song: Path) -> float:
    """Return how long one song takes."""
    begun = time.perf_counter()
    work(song)
    return time.perf_counter() - begun


def write_bare(song: Path) -> None:
    """Do what a script would do."""
    copy = Path(shutil.copy(song, song.with_stem("draft")))
    audio: Any = mutagen.File(copy)
    if audio.tags is None:
        audio.add_tags()
    if copy.suffix in (".mp3", ".wav"):
        frames = (id3.TCON(encoding=3, text=["Rock"]), id3.TMOO(encoding=3, text=["Calm"]))
        for frame in (*frames, id3.TXXX(encoding=3, desc="MOOD", text=["Calm"])):
            audio.tags.add(frame)
    elif copy.suffix == ".m4a":
        audio.tags.update({"©gen": ["Rock"], "----:com.apple.iTunes:MOOD": [b"Calm"]})
    else:
        audio.tags.update({"genre": ["Rock"], "mood": ["Calm"]})
    audio.save()
    with copy.open("rb+") as opened:
        os.fsync(opened.fileno())
    copy.replace(song)


def write_ours(song: Path) -> None:
    """Do what a job does."""
    write_labels(
        Writing(song, "mark", known=SOURCES[song.suffix]),
        lambda existing: decide(LABELS, WISH, existing),
        lambda _written: None,
    )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 200.0)
