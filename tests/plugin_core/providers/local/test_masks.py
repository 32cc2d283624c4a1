from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_core.providers.local.masks import (
    JUMP_PRICE,
    REACH,
    STEP_PRICE,
    Features,
    Masker,
    Melody,
    _median_of_rows,
    _medians_of_columns,
    _running_mean,
)
from plugin_core.providers.local.request import Parameters
from plugin_core.providers.local.stft import Frames


def test_medians_mirror_at_the_ends() -> None:
    values = np.random.default_rng(1).random((30, 40), dtype=np.float32)
    across = np.lib.stride_tricks.sliding_window_view(np.pad(values, ((0, 0), (4, 4)), "reflect"), 9, axis=1)
    along = np.lib.stride_tricks.sliding_window_view(np.pad(values, ((4, 4), (0, 0)), "reflect"), 9, axis=0)
    for found, true in (
        (_median_of_rows(values, 9), np.median(across, axis=-1)),
        (median_of_columns(values, 0, 30, 9), np.median(along, axis=-1)),
        (median_of_columns(values, 7, 19, 9), np.median(along, axis=-1)[7:19]),
    ):
        short = 1 - found / true
        assert short.min() >= 0
        assert short.max() < 1 / 128


def median_of_columns(values: NDArray[np.float32], start: int, stop: int, width: int) -> NDArray[np.float32]:
    pieces = _medians_of_columns(values, start, stop, (0, len(values)), width)
    return np.concatenate([medians for _, medians in pieces], axis=1)


def test_fewer_frames_than_a_median_reaches() -> None:
    values = np.array([[1.0], [5.0]], dtype=np.float32)
    assert median_of_columns(values, 0, 2, 9).shape == (2, 1)
    assert median_of_columns(values[:1], 0, 1, 9) == 1


@pytest.mark.parametrize("depth", [0.0, 0.7])
def test_masks_are_shares_and_the_three_never_exceed_the_whole(depth: float) -> None:
    frames = Frames(8000, 4096 / 44100)
    masker = Masker(frames, Parameters(melody_depth=depth))
    rng = np.random.default_rng(1)
    left, right = (
        rng.standard_normal((50, frames.bins, 2)).astype(np.float32).view(np.complex64)[..., 0] for _ in "lr"
    )
    features = Features(50, frames.bins)
    masker.describe(left, right, features, slice(0, 50))
    masker.decide(features, 0, 50, (0, 50))
    masker.mask(features, 0, 50 - masker.lag)
    masks = [part[: 50 - masker.lag] for part in (features.drums, features.bass, features.vocals)]
    assert all(mask.shape == (50 - masker.lag, frames.bins) and mask.min() >= 0 and mask.max() <= 1 for mask in masks)
    assert np.sum(masks, axis=0).max() <= 1 + 1e-5


def test_centre_is_told_from_side() -> None:
    frames = Frames(8000, 4096 / 44100)
    masker, features = Masker(frames, Parameters()), Features(3, frames.bins)
    wave = np.ones((1, frames.bins), dtype=np.complex64)
    for row, right in enumerate((wave, -wave, 0 * wave)):
        masker.describe(wave, right, features, slice(row, row + 1))
    assert features.centre[:, 5] == pytest.approx([1.0, 0.0, 0.2])


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
