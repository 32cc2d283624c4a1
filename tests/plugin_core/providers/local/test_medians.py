from __future__ import annotations

import numpy as np
import pytest

from plugin_core.providers.local import medians
from plugin_core.providers.local.medians import median_network, running_median


@pytest.mark.parametrize("length", [1, 3, 5, 7, 9, 11, 13, 17, 23, 31, 45])
def test_median_equals_the_sorted_middle(length: int) -> None:
    values = np.random.default_rng(length).standard_normal(300).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(values, length)
    np.testing.assert_array_equal(running_median(values, length, 1), np.sort(windows, axis=1)[:, length // 2])


def test_ties_and_constants_are_kept() -> None:
    values = np.repeat(np.array([3, 1, 3, 2], dtype=np.float32), 25)
    windows = np.lib.stride_tricks.sliding_window_view(values, 11)
    np.testing.assert_array_equal(running_median(values, 11, 1), np.sort(windows, axis=1)[:, 5])


@pytest.mark.parametrize("chunk", [7, 100, 100_000], ids=str)
def test_median_of_columns_for_any_chunk(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(medians, "CHUNK", chunk)
    values = np.random.default_rng(1).random((40, 13), dtype=np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(values, 9, axis=0)
    found = running_median(values.reshape(-1), 9, 13).reshape(-1, 13)
    np.testing.assert_array_equal(found, np.median(windows, axis=-1))


def test_too_short_for_a_window_gives_nothing() -> None:
    assert running_median(np.zeros(5, dtype=np.float32), 7, 1).size == 0


def test_what_windows_share_is_sorted_once() -> None:
    """By itself a median of 23 takes 116 steps."""
    network = median_network(23)
    assert (network.group, len(network.steps)) == (8, 168)
