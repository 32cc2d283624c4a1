from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from plugin_core.stems.align import find_lag, measure_alignment
from plugin_core.stems.conform import Shape
from plugin_core.threads import StoppedError, Stopper
from tests.audio_files import make_noise, make_song, make_stems, write_samples


@pytest.mark.parametrize("lag", [0, 1, -1, 1105, -1105, 4096, -4096])
def test_lag_is_found_to_the_sample(lag: int) -> None:
    song = make_song(4.0)[:, 0].astype(np.float32)
    late = np.roll(song, lag)
    late[:lag] = 0 if lag > 0 else late[:lag]
    assert find_lag(song, late).lag == lag


def test_silence_has_no_lag() -> None:
    silence = np.zeros(10_000, np.float32)
    found = find_lag(silence, silence)
    assert (found.lag, found.correlation) == (0, None)


def test_unrelated_sound_is_not_believed() -> None:
    one, other = (make_noise(200_000, 1, seed=seed)[:, 0].astype(np.float32) for seed in (1, 2))
    found = find_lag(one, other)
    assert found.lag == 0
    assert found.correlation is not None
    assert found.correlation < 0.02


def test_sum_of_late_parts_against_the_source(tmp_path: Path) -> None:
    stems = make_stems(2.0)
    source = write_samples(tmp_path / "song.wav", np.sum(list(stems.values()), axis=0), subtype="PCM_24")
    parts = [
        write_samples(tmp_path / f"{name}.wav", np.pad(stem, ((1105, 578), (0, 0))), subtype="PCM_24")
        for name, stem in stems.items()
    ]
    found = measure_alignment(source, parts, Shape(44100, 2, 88200), Stopper())
    assert found.lag == 1105
    assert found.correlation == pytest.approx(1.0, abs=0.01)


def test_measuring_stops_when_asked(tmp_path: Path) -> None:
    source = write_samples(tmp_path / "song.wav", make_song(1.0))
    stopper = Stopper()
    stopper.request()
    with pytest.raises(StoppedError):
        measure_alignment(source, [source], Shape(44100, 2, 44100), stopper)
