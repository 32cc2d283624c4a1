from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stembridge_reaper.slices import cut_slice, describe_clipping, plan_slices

from plugin_core.errors import PlacementError
from plugin_core.operations.song import inspect
from plugin_core.recordings.tables import Slice
from tests.audio_files import encode, read_samples, write_song


@pytest.mark.parametrize(
    ("spans", "slices"),
    [
        ([], []),
        ([(2.0, 3.0)], [(1.5, 3.5)]),
        ([(0.2, 1.0)], [(0.0, 1.5)]),
        ([(9.0, 10.0)], [(8.5, 10.0)]),
        ([(2.0, 3.0), (3.9, 4.0)], [(1.5, 4.5)]),
        ([(6.0, 7.0), (2.0, 3.0)], [(1.5, 3.5), (5.5, 7.5)]),
        ([(0.0, 8.0)], []),
    ],
    ids=["whole", "one", "at the start", "at the end", "touching", "two", "not worth it"],
)
def test_plan(tmp_path: Path, spans: list[tuple[float, float]], slices: list[tuple[float, float]]) -> None:
    source = inspect(write_song(tmp_path / "Song.wav", 10.0, 8000))
    found = plan_slices(source, spans, 0.5)
    assert [(one.start / 8000, one.end / 8000) for one in found] == slices


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT"])
def test_cut_is_exact(tmp_path: Path, subtype: str) -> None:
    path = write_song(tmp_path / "Song.wav", 4.0, 48000, subtype=subtype)
    source = inspect(path)
    cut = cut_slice(source, "1a", Slice(start=70001, end=140003), tmp_path / "slices")
    samples, rate = read_samples(cut)
    assert rate == 48000
    assert np.array_equal(samples, read_samples(path)[0][70001:140003].astype(samples.dtype)) or subtype == "PCM_32"
    assert np.abs(samples - read_samples(path)[0][70001:140003]).max() < 2**-24
    assert cut_slice(source, "1a", Slice(start=70001, end=140003), tmp_path / "slices") == cut
    assert list(cut.parent.iterdir()) == [cut]


def test_slices_of_one_millisecond_are_not_mistaken(tmp_path: Path) -> None:
    path = write_song(tmp_path / "Song.wav", 1.0, 48000)
    source = inspect(path)
    for start in (24000, 24001, 24002):
        cut = cut_slice(source, "1a", Slice(start=start, end=30000), tmp_path / "slices")
        assert np.array_equal(read_samples(cut)[0], read_samples(path)[0][start:30000])


def test_slice_that_cannot_be_written(tmp_path: Path) -> None:
    source = inspect(write_song(tmp_path / ("S" * 240 + ".wav"), 1.0, 8000))
    with pytest.raises(PlacementError, match="cannot be written"):
        cut_slice(source, "1a", Slice(start=10, end=20), tmp_path / "slices")
    assert [path for path in (tmp_path / "slices").rglob("*") if path.is_file()] == []


def test_what_is_clipped_of_a_hot_lossy_song_is_said(tmp_path: Path) -> None:
    song = encode(write_song(tmp_path / "Song.wav", 2.0), tmp_path / "Song.mp3", "-af", "volume=12dB")
    decoded = read_samples(song)[0][1000:60_000]
    for _ in range(2):
        cut = cut_slice(inspect(song), "1a", Slice(start=1000, end=60_000), tmp_path / "slices")
        said = describe_clipping(cut)
        count = np.count_nonzero(np.abs(decoded) > 1)
        assert count > 100
        assert said == f"{count} samples over full scale were clipped where the used part was cut out, as a player does"
    quiet = cut_slice(inspect(tmp_path / "Song.wav"), "2b", Slice(start=1000, end=60_000), tmp_path / "slices")
    assert describe_clipping(quiet) == ""
