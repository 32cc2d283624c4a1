from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_core.providers.local.melody import JUMP_PRICE, REACH, STEP_PRICE, Melody, _running_mean
from plugin_core.providers.local.stft import Frames

Float32 = NDArray[np.float32]


def follow(melody: Melody, power: Float32) -> Float32:
    """Return the comb of a whole stream."""
    melody.hear(power.copy())
    melody.finish()
    return melody.combs(len(power))


@pytest.mark.parametrize("pitch", [110.0, 220.0, 440.0, 700.0], ids=str)
def test_comb_stands_on_the_harmonics_of_the_melody(pitch: float) -> None:
    frames = Frames(44100, 4096 / 44100)
    melody = Melody(frames, 1.0)
    hertz = frames.frequencies[: melody.bins]
    power = sum(np.exp(-(((hertz - k * pitch) / 12) ** 2)) / k for k in range(1, 11))
    comb = follow(melody, np.tile(np.asarray(power, dtype=np.float32), (30, 1)))
    assert comb.shape == (30, frames.bins)
    on, off = (np.argmin(np.abs(frames.frequencies - k * pitch)) for k in (3, 3.5))
    assert comb[-1, on] > 0.8
    assert comb[-1, on] > comb[-1, off] + 0.3


def test_a_quiet_song_is_followed_like_a_loud_one() -> None:
    frames = Frames(44100, 4096 / 44100)
    power = np.random.default_rng(1).random((40, Melody(frames, 0.7).bins), dtype=np.float32)
    loud = follow(Melody(frames, 0.7), power)
    quiet = follow(Melody(frames, 0.7), power * np.float32(2.0**-40))
    np.testing.assert_array_equal(loud, quiet)


def test_what_is_heard_at_once_changes_nothing() -> None:
    frames = Frames(8000, 4096 / 44100)
    whole, pieces = Melody(frames, 0.7), Melody(frames, 0.7)
    power = np.random.default_rng(1).random((300, whole.bins), dtype=np.float32) ** 8
    combs = [np.empty((0, frames.bins), dtype=np.float32)]
    for start, stop in ((0, 1), (1, 40), (40, 41), (41, 250), (250, 300)):
        pieces.hear(power[start:stop].copy())
        combs.append(pieces.combs(max(0, stop - pieces.lag) - sum(map(len, combs))))
    pieces.finish()
    combs.append(pieces.combs(300 - sum(map(len, combs))))
    np.testing.assert_array_equal(np.concatenate(combs), follow(whole, power))


def test_silence_before_a_song_does_not_make_it_loud() -> None:
    frames = Frames(8000, 4096 / 44100)
    power = np.random.default_rng(1).random((60, Melody(frames, 0.7).bins), dtype=np.float32)
    silence = np.zeros((200, power.shape[1]), dtype=np.float32)
    scaled = Melody(frames, 0.7)._scale(Melody(frames, 0.7)._salience(np.concatenate((silence, power))))
    np.testing.assert_allclose(scaled[200:], Melody(frames, 0.7)._scale(Melody(frames, 0.7)._salience(power)))


def test_silence_has_a_comb_too() -> None:
    frames = Frames(8000, 4096 / 44100)
    melody = Melody(frames, 0.7)
    assert np.isfinite(follow(melody, np.zeros((5, melody.bins), dtype=np.float32))).all()


def test_each_state_comes_from_where_it_scores_most() -> None:
    melody = Melody(Frames(8000, 4096 / 44100), 0.7)
    salience = 3 * np.random.default_rng(1).random((30, len(melody._scores)), dtype=np.float32)
    melody._follow(salience)
    scores = np.zeros(salience.shape[1])
    for origins, best, gain in zip(melody._origins, melody._bests, salience, strict=True):
        top = int(scores.argmax())
        offers = {
            state: {near: scores[near] - STEP_PRICE * abs(near - state) for near in range(len(scores))}
            for state in range(len(scores))
        }
        found = []
        for state, near in offers.items():
            near = {place: score for place, score in near.items() if abs(place - state) <= REACH}
            one = max(near, key=near.__getitem__)
            found.append((one, near[one]) if near[one] >= scores[top] - JUMP_PRICE else (top, scores[top] - JUMP_PRICE))
        assert [origin for origin, _ in found] == origins.tolist()
        scores = np.array([score for _, score in found]) + gain
        assert best == scores.argmax()


def test_running_mean_narrows_at_the_ends() -> None:
    means = _running_mean(np.array([[1, 2, 3, 4, 8]], dtype=np.float32), 3)
    np.testing.assert_allclose(means, [[1.5, 2, 3, 5, 6]], rtol=1e-6)
