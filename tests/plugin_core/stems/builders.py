"""Sources, parts and staged stems for the tests of this folder and of ``operations``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from plugin_core.model import Part, Source, Stem
from plugin_core.operations.song import inspect
from plugin_core.stems.layout import Layout, read_layout, ready_folder
from tests.audio_files import STEMS, make_stems, write_samples

Integers = npt.NDArray[np.int16]


def make_exact_song(
    folder: Path, seconds: float = 1.0, sample_rate: int = 44100, channels: int = 2, name: str = "Song.flac"
) -> tuple[Source, list[Part]]:
    """Write a 16-bit song and its four stems, which sum to it exactly."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "parts").mkdir(exist_ok=True)
    stems = make_stems(seconds, sample_rate, channels)
    integers = {stem: np.rint(signal * 32767).astype(np.int16) for stem, signal in stems.items()}
    song: Integers = np.add.reduce(list(integers.values()), dtype=np.int16)
    source = inspect(write_samples(folder / name, song, sample_rate))
    parts = [
        Part(
            stem=stem,
            label=stem.title(),
            path=write_samples(folder / "parts" / f"{stem}.flac", integers[stem], sample_rate),
            exact=True,
        )
        for stem in STEMS
    ]
    return source, parts


def stage(staging: Path, depth: int, files: Mapping[str, bytes]) -> tuple[Layout, list[Stem]]:
    """Write finished stems into staging, by path below the destination."""
    stems = []
    ready = ready_folder(staging, depth)
    for name, data in files.items():
        path = ready / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        stems.append(make_stem(path))
    layout = read_layout(staging, stems)
    assert layout is not None
    return layout, stems


def make_stem(path: Path) -> Stem:
    """Record a file as a stem."""
    data = path.read_bytes()
    return Stem(name=path.stem, label="", path=path, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its bytes."""
    return {
        str((Path(base) / name).relative_to(folder)): (Path(base) / name).read_bytes()
        for base, _, names in os.walk(folder)
        for name in names
    }
