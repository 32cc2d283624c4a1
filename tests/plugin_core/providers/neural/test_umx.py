from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_core.errors import SettingsError
from plugin_core.providers.neural import umx
from plugin_core.providers.neural.networks import Computing, NeuralModel, WeightFile, Weights
from plugin_core.providers.neural.spectra import Sound, Spectrogram, filter_stems
from tests.plugin_core.providers.neural import oracle
from tests.plugin_core.providers.neural.weights import Tensors, random_target, write_legacy, write_safetensors

Float32 = NDArray[np.float32]


class Samples:
    """A song in memory, which counts how much of it is asked for at once."""

    def __init__(self, samples: Float32) -> None:
        self._samples = samples
        self.frames = len(samples)
        self.most = 0

    def read(self, start: int, count: int) -> Float32:
        self.most = max(self.most, count)
        found = np.zeros((count, 2), dtype=np.float32)
        first, last = max(0, start), max(0, min(self.frames, start + count))
        if last > first:
            found[first - start : last - start] = self._samples[first:last]
        return found


def model_of(rest: str) -> NeuralModel:
    return NeuralModel(
        id="random",
        kind="umx",
        name="Random",
        summary="",
        stems=oracle.STEMS,
        rest=rest,
        files=(),
        licence="MIT",
        commerce="allowed",
        author="",
        page="",
    )


def load(folder: Path, targets: Mapping[str, Tensors], rest: str) -> umx.OpenUnmix:
    weights = []
    for stem, tensors in targets.items():
        path = write_legacy(folder / f"{stem}.pth", tensors)
        weights.append(Weights(file=WeightFile(name=path.name, stem=stem, addresses=(), bytes=1, sha256=""), path=path))
    return umx.load(model_of(rest), weights, Computing())


def separate(network: umx.OpenUnmix, mix: Float32, folder: Path) -> dict[str, Float32]:
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    told: list[float] = []
    blocks = list(network.separate(Samples(mix), scratch, told.append))
    assert told == sorted(told) and told[-1:] == ([1.0] if len(mix) else [])
    return {stem: np.concatenate([block[stem] for block in blocks]) for stem in network.stems}


def worst(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(np.abs(one - other).max())


def test_four_stems_are_those_of_the_original_code(tmp_path: Path) -> None:
    network = load(tmp_path, oracle.recorded_targets(), rest="nothing")
    stems = separate(network, oracle.random_mix(7, oracle.SAMPLES), tmp_path)
    recorded = np.load(oracle.RECORDED)["four"]
    assert recorded.std() > 0.01
    for stem, expected in zip(oracle.STEMS, recorded, strict=True):
        assert stems[stem].shape == (oracle.SAMPLES, 2) and stems[stem].dtype == np.float32
        assert worst(stems[stem][:: oracle.STEP], expected) < 2e-6


def test_vocals_alone_are_those_of_the_original_code_with_a_residual(tmp_path: Path) -> None:
    network = load(tmp_path, {"vocals": random_target(0)}, rest="other")
    stems = separate(network, oracle.random_mix(7, oracle.SAMPLES), tmp_path)
    assert network.stems == ("vocals",)
    assert worst(stems["vocals"][:: oracle.STEP], np.load(oracle.RECORDED)["two"][0]) < 2e-6


@pytest.mark.skipif(not oracle.is_installed(), reason="torch and openunmix are not installed")
def test_a_network_of_the_true_size_is_that_of_the_original_code(tmp_path: Path) -> None:
    targets = {stem: random_target(seed, bins=2049, crop=1487, hidden=512) for seed, stem in enumerate(oracle.STEMS)}
    mix = oracle.random_mix(3, 330_000)
    stems = separate(load(tmp_path, targets, rest="nothing"), mix, tmp_path)
    expected = oracle.separate(targets, mix, residual=False)
    assert max(worst(stems[stem], one) for stem, one in zip(oracle.STEMS, expected, strict=True)) < 1e-4


def plain(target: umx.Target, mix: Float32) -> Float32:
    """Return one target's masks with the whole song in memory, a layer after the other."""
    spectra = np.concatenate([block for _, block in Spectrogram(Samples(mix), 2 * (target.bins - 1)).blocks()])
    heard = rows = target.listen(np.abs(spectra))
    for layer in target.layers:
        states = [(np.zeros(target.hidden // 2, np.float32), np.zeros(target.hidden // 2, np.float32)) for _ in layer]
        both = [umx.recur(one, rows, states[index], is_backward=bool(index)) for index, one in enumerate(layer)]
        rows = np.concatenate(both, axis=1)
    return target.draw(target.join(heard, rows))


@pytest.mark.parametrize("frames", [1, 2, 299, 300, 301, 1025])
def test_the_song_in_pieces_is_the_song_at_once(tmp_path: Path, frames: int) -> None:
    target, mix = random_target(1), oracle.random_mix(frames, max(1, 64 * (frames - 1)))
    spectrogram = Spectrogram(Samples(mix), 256)
    masks = plain(umx.Target(target), mix)
    stems = separate(load(tmp_path, {"vocals": target}, rest="other"), mix, tmp_path)["vocals"]
    assert len(stems) == len(mix) and len(masks) == spectrogram.frames
    # A sound that nobody else makes is found in one place alone: by the same steps, with the whole song's masks.
    sound, start, parts = Sound(spectrogram, len(mix)), 0, []
    for start, spectra in spectrogram.blocks():
        mask = masks[start : start + len(spectra)]
        parts.append(sound.push(filter_stems(spectra, [mask, 1 - mask], 1)[0]))
    assert worst(stems, np.concatenate(parts)) < 1e-6


@pytest.mark.parametrize("samples", [0, 1, 2, 127, 128, 129, 2_048])
def test_short_songs_keep_their_length(tmp_path: Path, samples: int) -> None:
    network = load(tmp_path, oracle.recorded_targets(), rest="other")
    mix = oracle.random_mix(5, samples)
    if not samples:
        assert list(network.separate(Samples(mix), tmp_path, print)) == []
        return
    stems = separate(network, mix, tmp_path)
    assert {stem: one.shape for stem, one in stems.items()} == dict.fromkeys(oracle.STEMS[:3], (samples, 2))
    assert all(np.isfinite(one).all() for one in stems.values())


def test_the_stem_that_is_the_rest_changes_no_other(tmp_path: Path) -> None:
    targets, mix = {"other": random_target(1), "vocals": random_target(2)}, oracle.random_mix(3, 20_000)
    both = separate(load(tmp_path, targets, rest="bass"), mix, tmp_path)
    alone = separate(load(tmp_path, targets, rest="other"), mix, tmp_path)
    assert alone.keys() == {"vocals"} and worst(alone["vocals"], both["vocals"]) < 1e-6 < worst(*both.values())


def test_two_equal_channels_and_silence_give_numbers(tmp_path: Path) -> None:
    """In float32 what is inverted there is singular, and the original gives NaN."""
    mix = oracle.random_mix(9, 40_000)
    mix[:, 1] = mix[:, 0]
    mix[10_000:20_000] = 0
    spectra = next(Spectrogram(Samples(mix), 256).blocks())[1]
    even = [np.broadcast_to(np.float32(share), spectra.shape) for share in (0.5, 0.2, 0.3)]
    stems = filter_stems(spectra, even, 3)
    assert np.isfinite(np.array(stems)).all()
    assert np.abs(sum(stems[1:], stems[0]) - spectra).max() < 1e-3 * np.abs(spectra).max()
    assert all(worst(one[:, 0], one[:, 1]) < 1e-4 for one in stems)
    louder = filter_stems(np.complex64(1000) * spectra, even, 3)
    assert np.abs(sum(louder[1:], louder[0]) - 1000 * spectra).max() < np.abs(spectra).max()
    separated = separate(load(tmp_path, oracle.recorded_targets(), rest="other"), mix, tmp_path)
    assert all(np.isfinite(one).all() for one in separated.values())
    assert all(not one[10_300:19_700].any() for one in separated.values())


def test_memory_does_not_grow_with_the_song(tmp_path: Path) -> None:
    network = load(tmp_path, {"vocals": random_target(0)}, rest="other")
    asked = []
    for samples in (40_000, 160_000):
        mix = Samples(oracle.random_mix(2, samples))
        for block in network.separate(mix, tmp_path, lambda _: None):
            assert len(block["vocals"]) <= 303 * 64
        asked.append(mix.most)
    assert asked[0] == asked[1]


def test_layouts_give_the_same_network(tmp_path: Path) -> None:
    tensors = random_target(4)
    path = write_safetensors(tmp_path / "vocals.safetensors", tensors)
    file = WeightFile(name=path.name, stem="vocals", addresses=(), bytes=1, sha256="")
    network = umx.load(model_of("other"), [Weights(file=file, path=path)], Computing())
    mix = oracle.random_mix(1, 3_000)
    expected = separate(load(tmp_path, {"vocals": tensors}, rest="other"), mix, tmp_path)
    assert np.array_equal(separate(network, mix, tmp_path)["vocals"], expected["vocals"])


def without(name: str) -> Tensors:
    tensors = random_target(0)
    del tensors[name]
    return tensors


def changed(name: str, array: NDArray[np.generic]) -> Tensors:
    return random_target(0) | {name: array}


@pytest.mark.parametrize(
    ("tensors", "word"),
    [
        (without("fc2.weight"), "fc2.weight"),
        (without("bn3.running_var"), "bn3.running_var"),
        (without("lstm.weight_ih_l0"), "lstm"),
        (without("lstm.weight_hh_l1_reverse"), "lstm.weight_hh_l1_reverse"),
        (changed("input_mean", np.zeros(81, np.float32)), "80"),
        (changed("bn1.bias", np.zeros(31, np.float32)), "31, not 32"),
        (changed("fc1.weight", np.zeros((32, 160), np.float16)), "32-bit"),
        (changed("output_scale", np.full(129, np.nan, np.float32)), "output_scale"),
        (changed("bn2.running_var", np.full(32, -1, np.float32)), "below zero"),
        (random_target(0, hidden=33), "do not fit"),
    ],
    ids=str,
)
def test_what_is_no_network_is_refused_by_name(tmp_path: Path, tensors: Tensors, word: str) -> None:
    with pytest.raises(SettingsError, match=rf"vocals\.pth: .*{word}"):
        load(tmp_path, {"vocals": tensors}, rest="other")


def test_files_of_one_model_hear_alike(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"drums\.pth: .*resolution"):
        load(tmp_path, {"vocals": random_target(0), "drums": random_target(1, bins=65, crop=40)}, rest="other")


def test_tensors_nobody_knows_are_left_alone(tmp_path: Path) -> None:
    load(tmp_path, {"vocals": random_target(0) | {"stft.window": np.ones(4096, np.float32)}}, rest="other")
