from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from plugin_core.demo import (
    LENGTH,
    RATE,
    TITLE,
    compose,
    largest_difference,
    make_demo,
    measure_sdr,
    mix,
    read_pcm,
    score,
    write_song,
)
from plugin_core.errors import PlacementError


def test_parts_are_always_the_same() -> None:
    first, second = compose(), compose()
    assert list(first) == ["vocals", "drums", "bass", "other"]
    for name, part in first.items():
        assert part.shape == (LENGTH, 2)
        np.testing.assert_array_equal(part, second[name])


def test_the_song_is_about_twelve_seconds() -> None:
    assert LENGTH == 12 * RATE


def test_the_mix_is_the_exact_sum_below_full_scale() -> None:
    parts = compose()
    total = np.sum([part.astype(np.int64) for part in parts.values()], axis=0)
    np.testing.assert_array_equal(mix(parts), total)
    assert 8000 < np.abs(total).max() < 32767


def test_vocals_and_bass_are_centred_and_the_rest_is_not() -> None:
    parts = compose()
    for name in ("vocals", "bass"):
        np.testing.assert_array_equal(parts[name][:, 0], parts[name][:, 1])
    left, right = parts["other"].astype(float).T
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.9


def test_written_file_holds_the_samples_and_its_title(tmp_path: Path) -> None:
    part = compose()["drums"]
    write_song(tmp_path / "song.flac", part)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "song.flac", dtype="int16")[0], part)
    with soundfile.SoundFile(tmp_path / "song.flac") as file:
        assert (file.title, file.subtype, file.samplerate) == (TITLE, "PCM_16", RATE)


def test_demo_is_made_whole_and_a_taken_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "mine.txt").write_text("mine")
    first = make_demo(tmp_path / "demo")
    assert first.song.parent == tmp_path / "demo (2)"
    assert make_demo(tmp_path / "demo").song.parent == tmp_path / "demo (3)"
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["mine.txt"]
    total = np.sum([read_pcm(path).astype(np.int64) for path in first.truth.values()], axis=0)
    np.testing.assert_array_equal(read_pcm(first.song), total)
    assert first.seconds == 12.0


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PlacementError, match="demo"):
        make_demo(tmp_path / "demo")


def test_a_file_in_the_way_of_the_parent_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PlacementError, match="choose another with --to"):
        make_demo(tmp_path / "file" / "demo")


RNG = np.random.default_rng(1)
SIGNAL = RNG.integers(-(2**30), 2**30, (500, 2)).astype(np.int32)


def test_sdr_of_half_the_level_is_six_decibels() -> None:
    assert measure_sdr(SIGNAL, SIGNAL // 2) == pytest.approx(20 * math.log10(2), abs=1e-6)


def test_sdr_at_the_ends() -> None:
    silence = np.zeros_like(SIGNAL)
    assert measure_sdr(SIGNAL, SIGNAL) == math.inf
    assert measure_sdr(SIGNAL, silence) == 0.0
    assert measure_sdr(silence, SIGNAL) == -math.inf


def test_difference_counts_single_steps_without_overflow() -> None:
    half = SIGNAL // 2
    rest = SIGNAL - half
    assert largest_difference(SIGNAL, [half, rest]) == 0
    rest[17, 1] -= 3
    assert largest_difference(SIGNAL, [half, rest]) == 3
    loud = np.full((4, 1), 2**31 - 1, dtype=np.int32)
    assert largest_difference(loud, [loud, loud]) == 2**31 - 1


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_score_compares_depths(tmp_path: Path, subtype: str) -> None:
    a, b = (RNG.integers(-8000, 8000, (300, 2)).astype(np.int16) for _ in range(2))
    paths = {name: tmp_path / f"{name}.flac" for name in ("a", "b", "a2", "b2", "mix")}
    for name, samples in (("a", a), ("b", b), ("mix", a + b)):
        soundfile.write(paths[name], samples, 8000, subtype="PCM_16")
    for name, samples in (("a2", a), ("b2", b)):
        soundfile.write(paths[name], samples.astype(np.int32) << 16, 8000, subtype=subtype)
    found = score(paths["mix"], {"a": paths["a"], "b": paths["b"]}, {"a": paths["a2"], "b": paths["b2"]})
    assert found.difference == 0.0
    assert found.sdr == {"a": math.inf, "b": math.inf}
    assert found.untouched["a"] == pytest.approx(0.0, abs=1.5)
    assert read_pcm(paths["a"]).dtype == np.int32
