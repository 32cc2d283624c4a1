from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_core.providers.local.estimates import Estimates, separate
from plugin_core.providers.local.network import MaskNetwork, read_network
from plugin_core.providers.local.request import Parameters
from tests.audio_files import make_noise, make_song, make_stems

Block = NDArray[Any]


BOTH = pytest.mark.parametrize("network", [None, read_network()], ids=["classic", "network"])


def run(
    samples: Block,
    rate: int = 44100,
    block_seconds: float = 5.0,
    network: MaskNetwork | None = None,
    **parameters: float,
) -> Estimates:
    """Separate a whole array and join the blocks."""
    position = 0

    def read(frames: int) -> Block:
        nonlocal position
        position += frames
        return samples[position - frames : position]

    blocks = list(
        separate(
            read,
            sample_rate=rate,
            channels=samples.shape[1],
            parameters=Parameters(**parameters),
            block_seconds=block_seconds,
            network=network,
        )
    )
    return Estimates(*(np.concatenate([block[part] for block in blocks]) for part in range(4)))


def ratio(truth: Block, estimate: Block) -> float:
    return float(10 * np.log10(np.sum(truth**2) / np.sum((truth - estimate) ** 2)))


@BOTH
@pytest.mark.parametrize(
    ("channels", "block_seconds"),
    [*((channels, 0.7) for channels in (1, 2, 3, 6, 8, 9)), (2, 0.02), (3, 0.02), (2, 5.0)],
)
def test_every_frame_comes_out_once(channels: int, block_seconds: float, network: MaskNetwork | None) -> None:
    samples = make_noise(9001, channels).astype(np.float32)
    found = run(samples, 8000, block_seconds, network)
    np.testing.assert_array_equal(found.source, samples)
    assert all(part.shape == samples.shape and np.isfinite(part).all() for part in found)


@BOTH
@pytest.mark.parametrize("frames", [1, 2, 80, 1023, 1024, 1025, 40_000])
def test_any_length(frames: int, network: MaskNetwork | None) -> None:
    found = run(make_noise(frames).astype(np.float32), 8000, 0.5, network)
    assert all(part.shape == (frames, 2) for part in found)


def test_length_that_is_a_whole_number_of_blocks() -> None:
    hop = 256
    samples = make_noise(hop * 16 * 3).astype(np.float32)
    assert len(run(samples, 8000, 16 * hop / 8000).source) == len(samples)


def test_nothing_gives_nothing() -> None:
    empty = np.zeros((0, 2), dtype=np.float32)
    assert list(separate(lambda _: empty, sample_rate=8000, channels=2)) == []


@BOTH
def test_same_input_same_output(network: MaskNetwork | None) -> None:
    samples = make_song(4).astype(np.float32)
    for first, second in zip(run(samples, network=network), run(samples, network=network), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("network", "depth"), [(None, 0.7), (None, 0.0), (read_network(), 0.7)], ids=["classic", "no melody", "network"]
)
def test_the_block_length_is_not_heard(network: MaskNetwork | None, depth: float) -> None:
    rate = 11025
    song = make_song(1.25, rate)
    levels = np.repeat([0.0, 0.01, 1.0, 0.1, 0.5, 0.0, 0.003, 1.0], len(song))[:, None]
    samples = np.tile(song, (8, 1)) * levels + make_noise(8 * len(song), peak=0.001)
    long = run(samples.astype(np.float32), rate, block_seconds=30.0, network=network, melody_depth=depth)
    for seconds in (1.0, 7.3):
        short = run(samples.astype(np.float32), rate, seconds, network, melody_depth=depth)
        for mine, theirs in zip(short[1:], long[1:], strict=True):
            assert ratio(theirs, mine) > (80 if network else 100), seconds


@BOTH
def test_known_stems_are_found(network: MaskNetwork | None) -> None:
    stems = make_stems(10)
    mixture = sum(stems.values(), start=np.zeros((1, 2)))
    found = run(mixture.astype(np.float32), network=network)
    rest = mixture - found.drums - found.bass - found.vocals
    estimates: dict[str, Block] = {"vocals": found.vocals, "drums": found.drums, "bass": found.bass, "other": rest}
    gains = {name: ratio(stem, estimates[name]) - ratio(stem, mixture) for name, stem in stems.items()}
    assert all(gain > 3 for gain in gains.values()), gains
    if network is None:  # which learnt from no stems as bare as these
        assert np.mean([ratio(stem, estimates[name]) for name, stem in stems.items()]) > 3


def test_drums_stay_out_of_bass_and_a_tone_out_of_drums() -> None:
    time = np.arange(5 * 44100) / 44100
    tone = np.repeat(0.5 * np.sin(2 * np.pi * 70 * time)[:, None], 2, axis=1).astype(np.float32)
    found = run(tone)
    middle = slice(44100, -44100)
    assert ratio(tone[middle], found.bass[middle]) > 15
    assert np.abs(found.drums[middle]).max() < 0.02


def test_wide_sound_is_kept_out_of_vocals() -> None:
    song = make_noise(3 * 44100, 1)
    wide = np.hstack((song, -song)).astype(np.float32)
    found = run(wide)
    assert np.abs(found.vocals).max() < 1e-3
    assert np.abs(found.bass).max() < 1e-3


def test_surround_channels_share_the_masks_of_their_stereo_pair() -> None:
    song = make_song(3, channels=2).astype(np.float32)
    quad = np.hstack((song, song))
    stereo, four = (run(sound, network=read_network()) for sound in (song, quad))
    # The pair hears every channel twice as loud, which changes no mask.
    np.testing.assert_allclose(four.drums[:, 2:], stereo.drums, atol=1e-5)


@pytest.mark.parametrize("level", [1e-30, 1e-6, 40.0, 1e20, 3e38], ids=str)
def test_any_level_stays_finite(level: float) -> None:
    found = run((make_noise(8000) * level).astype(np.float32), 8000, network=read_network())
    assert all(np.isfinite(part).all() for part in found)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 48000, 96000, 192000])
def test_any_sample_rate(rate: int) -> None:
    samples = make_song(1, rate).astype(np.float32)
    found = run(samples, rate, network=read_network())
    assert all(part.shape == samples.shape for part in found)
    assert np.abs(found.drums).max() > 0.01
