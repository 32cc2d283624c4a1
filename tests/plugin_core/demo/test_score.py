from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from plugin_core.demo.score import largest_difference, measure_sdr, read_pcm, score

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
