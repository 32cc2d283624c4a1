from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_core.providers.local.masks import Features, Masker, _median_of_rows, _medians_of_columns
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
