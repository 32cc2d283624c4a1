from __future__ import annotations

import numpy as np
import pytest

from plugin_core.audio.samples import Samples, to_integers


def as_floats(integers: Samples, bits: int, dtype: str = "float32") -> Samples:
    """Return integers of a bit depth as floats in -1..1."""
    floats: Samples = integers.astype(dtype) / np.asarray(1 << (bits - 1), dtype=dtype)
    return floats


@pytest.mark.parametrize(
    ("bits", "dtype"),
    [(8, "float32"), (16, "float32"), (24, "float32"), (16, "float64"), (24, "float64"), (32, "float64")],
)
def test_integers_survive_being_floats(bits: int, dtype: str) -> None:
    limit = 1 << (bits - 1)
    drawn = np.random.default_rng(1).integers(-limit, limit, 50_000)
    integers = np.concatenate([drawn, [-limit, -limit + 1, -1, 0, 1, limit - 2, limit - 1]]).astype(np.int32)[:, None]

    assert np.array_equal(to_integers(as_floats(integers, bits, dtype), bits), integers)


def test_shallow_floats_are_exact_at_a_greater_depth() -> None:
    integers = np.arange(-32768, 32768, dtype=np.int32)

    assert np.array_equal(to_integers(as_floats(integers, 16), 24), integers << 8)


@pytest.mark.parametrize("bits", [16, 24, 32])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_exceeds_full_scale_is_clipped_not_wrapped(bits: int, dtype: str) -> None:
    limit = 1 << (bits - 1)
    block = np.array([1.0, 1.5, 1e9, -1.0, -1.5, -1e9], dtype=dtype)

    assert to_integers(block, bits).tolist() == [limit - 1] * 3 + [-limit] * 3


def test_halves_are_rounded_to_even() -> None:
    block = np.array([0.5, 1.5, 2.5, -0.5, -1.5]) / 32768

    assert to_integers(block, 16).tolist() == [0, 2, 2, 0, -2]


def test_input_is_left_alone() -> None:
    block = np.array([[0.25, 2.0]], dtype=np.float32)

    to_integers(block, 16)

    assert block.tolist() == [[0.25, 2.0]]
