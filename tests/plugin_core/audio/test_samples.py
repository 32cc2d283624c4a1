from __future__ import annotations

import numpy as np
import pytest

from plugin_core.audio.samples import Samples, find_other_channels, find_smoother, to_integers
from tests.audio_files import make_song


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


KINDS = ("pcm_16", "pcm_24", "pcm_32", "float", "double", "pcm_u8", "pcm_s8")


@pytest.mark.parametrize("coding", KINDS)
def test_no_other_kind_of_samples_is_smoother_than_the_right_one(coding: str) -> None:
    generator = np.random.default_rng(1)
    time = np.arange(8192)[:, None] / 44100
    tone, noise = np.sin(2 * np.pi * 110 * time), generator.uniform(-1, 1, (8192, 2))
    click = 0.01 * tone + (np.arange(8192) % 1000 < 20)[:, None] * noise
    kept = {"pcm_24": 24, "pcm_32": 32, "pcm_u8": 8, "pcm_s8": 8}.get(coding, 16)
    for sound in (make_song(1.0)[10_000:18_192], tone, noise, click, np.cumsum(noise, 0) / 100, np.zeros_like(noise)):
        for bits, level in ((kept, 0.99), (8, 0.99), (kept, 0.1), (kept, 0.001)):
            block = to_integers(np.clip(sound, -1, 1) * level, bits) / float(1 << (bits - 1))
            assert not find_smoother(block.astype(np.float32 if coding == "float" else np.float64), coding)


def test_channels_that_are_others_are_told_and_no_others() -> None:
    generator = np.random.default_rng(1)
    time = np.arange(16384)[:, None] / 44100
    stereo = np.sin(2 * np.pi * time * [[110, 165]]) + generator.normal(0, 0.001, (16384, 2))
    noise = generator.uniform(-1, 1, (16384, 2))
    mono, high = stereo[:, :1], np.sin(2 * np.pi * 21_000 * time)
    for sound in (stereo, mono, noise, noise[:, :1], high, np.repeat(mono, 2, axis=1), np.repeat(mono, 2, axis=0)):
        assert find_other_channels(sound) == ""
    assert find_other_channels(stereo.reshape(-1, 1)) == "in 2 channels"
    assert find_other_channels(stereo.reshape(-1, 4)) == "in 2 channels"
    # As a recorder leaves them that took both channels by turns.
    assert find_other_channels(mono.reshape(-1, 2)) == ""
