from __future__ import annotations

import numpy as np
import pytest

from plugin_core.providers.local.melody import Melody, _running_mean
from plugin_core.providers.local.stft import Frames


@pytest.mark.parametrize("pitch", [110.0, 220.0, 440.0, 700.0], ids=str)
def test_comb_stands_on_the_harmonics_of_the_melody(pitch: float) -> None:
    frames = Frames(44100, 4096 / 44100)
    melody = Melody(frames, 1.0)
    hertz = frames.frequencies[: melody.bins]
    power = sum(np.exp(-(((hertz - k * pitch) / 12) ** 2)) / k for k in range(1, 11))
    comb = melody.comb(np.tile(np.asarray(power, dtype=np.float32), (30, 1)), 20)
    assert comb.shape == (20, frames.bins)
    on, off = (np.argmin(np.abs(frames.frequencies - k * pitch)) for k in (3, 3.5))
    assert comb[-1, on] > 0.8
    assert comb[-1, on] > comb[-1, off] + 0.3


def test_a_quiet_song_is_followed_like_a_loud_one() -> None:
    frames = Frames(44100, 4096 / 44100)
    power = np.random.default_rng(1).random((40, Melody(frames, 0.7).bins), dtype=np.float32)
    loud = Melody(frames, 0.7).comb(power.copy(), 30)
    quiet = Melody(frames, 0.7).comb(power * np.float32(2.0**-40), 30)
    np.testing.assert_array_equal(loud, quiet)


def test_silence_has_a_comb_too() -> None:
    frames = Frames(8000, 4096 / 44100)
    melody = Melody(frames, 0.7)
    assert np.isfinite(melody.comb(np.zeros((5, melody.bins), dtype=np.float32), 5)).all()


def test_running_mean_narrows_at_the_ends() -> None:
    means = _running_mean(np.array([[1, 2, 3, 4, 8]], dtype=np.float32), 3)
    np.testing.assert_allclose(means, [[1.5, 2, 3, 5, 6]], rtol=1e-6)
