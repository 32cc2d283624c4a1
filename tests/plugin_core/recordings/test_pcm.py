"""Samples are hashed by value: any depth, type and block size; dual mono is mono."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pytest

from plugin_core.recordings.digest import OffGridError, Pcm1
from tests.audio_files import make_noise

Samples = npt.NDArray[np.floating] | npt.NDArray[np.integer]

PAIRS = [(0, 0), (1, -1), (32767, -32768), (-2, 3)]


def digest(samples: Samples, *, rate: int = 44100, block: int = 1000) -> str:
    def feed(fed: Pcm1) -> str:
        for start in range(0, len(samples), block):
            fed.feed(samples[start : start + block])
        return str(fed)

    try:
        return feed(Pcm1(rate, samples.shape[1]))
    except OffGridError:
        return feed(Pcm1(rate, samples.shape[1], "f"))


def sixteen(pairs: list[tuple[int, int]]) -> npt.NDArray[np.float64]:
    return np.array(pairs) / 2.0**15


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (sixteen(PAIRS), "pcm1:i:44100:2:4:6f2425b276284443e5732282a68f62a3d0eae218b9c36ce3a61e6202edba5814"),
        (
            sixteen([(5, 5), (-7, -7)]),
            "pcm1:i:44100:1:2:9c716b0d3c3c6ad665f03694a883564f4d9a2f60f8917f2414d7af910d0a0a3c",
        ),
        (sixteen(PAIRS) * 1.1, "pcm1:f:44100:2:4:862a7499a7cdeecc19d71b7b9905b4fb9d87b205a75ee68b4a7bc4cc4b334d83"),
        (np.array([[1.0, 1.0]]), "pcm1:f:44100:1:1:6c3c396ed6b5c36dcae172271f462051b1266b851e92df3deea8ac65478fd712"),
    ],
    ids=["integers", "dual mono", "floats", "dual mono of floats"],
)
def test_vector(samples: npt.NDArray[np.float64], expected: str) -> None:
    assert digest(samples) == expected


def test_the_text_says_what_is_hashed() -> None:
    whole = np.array(PAIRS, "<i4") << 16
    assert digest(sixteen(PAIRS)) == f"pcm1:i:44100:2:4:{hashlib.sha256(whole.tobytes()).hexdigest()}"
    floats = sixteen(PAIRS) * 1.1
    assert digest(floats) == f"pcm1:f:44100:2:4:{hashlib.sha256(floats.astype('<f8').tobytes()).hexdigest()}"


@pytest.mark.parametrize("bits", [8, 16, 24])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_type_and_blocks_make_no_difference(bits: int, channels: int) -> None:
    exact = np.rint(make_noise(5000, channels) * 2 ** (bits - 1)) / 2 ** (bits - 1)
    expected = digest(exact)
    for block in (1, 7, 4096, 5000):
        for samples in (exact, exact.astype(np.float32), (exact * 2**31).astype(np.int32)):
            assert digest(samples, block=block) == expected


def test_thirty_two_bits_need_doubles() -> None:
    exact = np.rint(make_noise(1000) * 2**31) / 2**31
    assert digest(exact) == digest((exact * 2**31).astype(np.int32))
    assert digest(exact) != digest(exact.astype(np.float32))


@pytest.mark.parametrize("late", [0, 4999])
def test_one_value_off_the_grid_takes_the_floats_wherever_it_comes(late: int) -> None:
    samples = np.rint(make_noise(5000) * 2**15) / 2**15
    samples[late, 1] = 1 / 3
    assert digest(samples).startswith("pcm1:f:44100:2:5000:")
    assert digest(samples) == digest(samples, block=5000)


@pytest.mark.parametrize("value", [1.0, 1.5, -1.5, 3e38])
def test_beyond_full_scale_takes_the_floats(value: float) -> None:
    samples = np.array([[0.5, 0.25], [value, 0.0]], np.float32)
    assert digest(samples).startswith("pcm1:f:")


def test_negative_zero_is_zero() -> None:
    for samples in (np.array([[0.0, 0.5]]), np.array([[0.0, 1 / 3]])):
        negative = samples.copy()
        negative[0, 0] = -0.0
        assert digest(negative) == digest(samples)


@pytest.mark.parametrize("scale", [1.0, 1.1], ids=["integers", "floats"])
def test_channels_equal_to_the_end_count_once(scale: float) -> None:
    mono = np.rint(make_noise(5000, 1) * 2**14) / 2**15 * scale
    assert digest(np.repeat(mono, 2, axis=1)) == digest(mono) == digest(np.repeat(mono, 6, axis=1))
    stereo = np.repeat(mono, 2, axis=1)
    stereo[-1, 1] = 0.0
    assert digest(stereo).split(":")[3] == "2"
    assert digest(stereo) == digest(stereo, block=5000)


def test_rate_order_and_length_are_part() -> None:
    samples = np.rint(make_noise(1000) * 2**15) / 2**15
    others = [digest(samples, rate=48000), digest(samples[:, ::-1]), digest(samples[:-1]), digest(-samples)]
    assert digest(samples) not in others
    assert len(set(others)) == len(others)
