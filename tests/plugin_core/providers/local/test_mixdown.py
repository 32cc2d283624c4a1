from __future__ import annotations

import numpy as np
import pytest

from plugin_core.audio.samples import to_integers
from plugin_core.providers.local.mixdown import mix_down
from plugin_core.providers.local.separate import Estimates
from tests.audio_files import make_noise


def make_estimates(peak: float, others: float) -> Estimates:
    parts = [make_noise(5000, peak=others, seed=seed).astype(np.float32) for seed in range(3)]
    return Estimates(make_noise(5000, peak=peak, seed=9).astype(np.float32), *parts)


@pytest.mark.parametrize("bits", [8, 16, 24])
@pytest.mark.parametrize("others", [0.1, 1.0, 5.0], ids=["quiet", "full scale", "clipped"])
def test_integers_sum_exactly_and_stay_in_range(bits: int, others: float) -> None:
    estimates = make_estimates(1.0, others)
    stems = mix_down(estimates, bits)
    total = np.sum([stem.astype(np.int64) for stem in stems.values()], axis=0)
    np.testing.assert_array_equal(total, to_integers(estimates.source, bits))
    limit = 1 << (bits - 1)
    assert all(stem.min() >= -limit and stem.max() < limit for stem in stems.values())


def test_excess_goes_to_drums_first() -> None:
    one = np.ones((1, 1), dtype=np.float32)
    stems = mix_down(Estimates(-one, 0.5 * one, 0 * one, 0 * one), 16)
    assert {name: int(stem[0, 0]) for name, stem in stems.items()} == {
        "vocals": 0,
        "drums": 0,
        "bass": 0,
        "other": -32768,
    }


def test_floats_sum_within_one_rounding_over_full_scale_too() -> None:
    estimates = make_estimates(3.0, 2.0)
    stems = mix_down(estimates, None)
    total = np.sum([stem.astype(np.float64) for stem in stems.values()], axis=0)
    assert all(stem.dtype == np.float32 for stem in stems.values())
    assert (
        np.abs(total - estimates.source).max() <= 2.0**-21
    )  # half a step of a float32 from 8 to 16, as large as "other" gets here
