from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from plugin_core.errors import SettingsError
from plugin_core.providers.neural import mdx
from plugin_core.providers.neural.mdx import MdxShape, demix, read_shape
from plugin_core.providers.neural.networks import Choice, Computing, NeuralRequest, read_catalogue
from plugin_core.providers.neural.worker import render
from tests.audio_files import write_samples
from tests.plugin_core.providers.neural.onnx_cases import (
    FIXTURE,
    MDX,
    ArrayMix,
    Float32,
    choose,
    ignore,
    make_mix,
    make_model,
    mdx_net,
)
from tests.plugin_core.providers.neural.onnx_files import save_graph, scale, stack, weigh

SHAPE = MdxShape(2048, 1025, 16)


def run(net: Callable[[Float32], Float32], song: Float32, shape: MdxShape = SHAPE, overlap: float = 0.25) -> Float32:
    blocks = list(demix(net, shape, ArrayMix(song), ignore, overlap=overlap))
    assert {len(block) for block in blocks} <= {1}
    joined: Float32 = np.concatenate([block[0] for block in blocks])
    assert joined.dtype == np.float32
    return joined


@pytest.mark.parametrize("name", MDX)
def test_equals_audio_separator(name: str) -> None:
    frames, shape, overlap = MDX[name]
    found = choose(run(mdx_net, make_mix(frames), shape, overlap))
    with np.load(FIXTURE) as recorded:
        np.testing.assert_allclose(found, recorded[name], atol=2e-6)


@pytest.mark.parametrize("frames", [1, 2, 1024, SHAPE.chunk - 2048, SHAPE.chunk, SHAPE.chunk + 1, 50_000])
def test_identity_gives_the_song(frames: int) -> None:
    time = np.arange(frames) / 44_100
    fade = np.hanning(frames + 2)[1:-1, None]
    tones = np.stack((np.sin(2 * np.pi * 1000.3 * time), np.cos(2 * np.pi * 4321.1 * time)), axis=1)
    song = (fade * tones).astype(np.float32)
    for overlap, most in ((0, 0.05), (0.25, 1e-3), (0.5, 1e-3)):  # a chunk is mirrored at its ends, which is heard deep
        found = run(lambda spectra: spectra, song, overlap=overlap)
        assert len(found) == frames
        if frames > 1000:
            np.testing.assert_allclose(found, song, atol=most)


def test_of_the_three_lowest_bins_nothing_is_given() -> None:
    deep = np.sin(2 * np.pi * 44_100 / 2048 * np.arange(60_000) / 44_100) + 0.5
    found = run(lambda spectra: spectra, np.stack((deep, deep), axis=1).astype(np.float32))
    assert np.abs(found[5_000:-5_000]).max() < 0.02


def test_what_the_network_halves_is_halved_and_scaled_back_by_compensate() -> None:
    song = make_mix(40_000)
    whole = run(lambda spectra: spectra, song)
    half = run(lambda spectra: spectra * np.float32(0.5), song)
    np.testing.assert_allclose(half, whole / 2, atol=1e-6)
    again = run(lambda spectra: spectra * np.float32(0.5), song, MdxShape(2048, 1025, 16, compensate=2.0))
    np.testing.assert_allclose(again, whole, atol=1e-6)


@pytest.mark.parametrize("place", [0, 1, 5_000, 11_519, 11_520, 29_999])
def test_an_impulse_stays_in_its_place(place: int) -> None:
    song = np.zeros((30_000, 2), dtype=np.float32)
    song[place] = (1.0, -0.5)
    for overlap in (0, 0.25, 0.5):
        found = run(lambda spectra: spectra, song, overlap=overlap)
        assert int(np.abs(found[:, 0]).argmax()) == place
        np.testing.assert_allclose(found[place], song[place], rtol=0.02)


def test_what_lies_above_the_networks_bins_is_left_to_the_other_stem() -> None:
    time = np.arange(40_000) / 44_100
    high = np.stack([np.sin(2 * np.pi * 9_000 * time)] * 2, axis=1).astype(np.float32)
    found = run(lambda spectra: spectra, high, MdxShape(2048, 256, 16))  # 5.5 kHz
    assert np.abs(found[2000:-2000]).max() < 1e-3


def test_tells_how_far_it_is_and_reads_only_where_it_is() -> None:
    song = ArrayMix(make_mix(60_000))
    told: list[float] = []
    blocks = demix(lambda spectra: spectra, SHAPE, song, told.append)
    done = 0
    for block in blocks:
        done += block.shape[1]
        assert song.furthest <= done + 2 * SHAPE.chunk
    assert done == 60_000
    assert told == sorted(told)
    assert told[-1] == 1


def test_silence_of_no_length_gives_nothing() -> None:
    assert list(demix(lambda spectra: spectra, SHAPE, ArrayMix(make_mix(0)), ignore)) == []


def test_files_give_a_stem_each_and_only_one_is_loaded_at_a_time(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    parameters = {"n_fft": 2048.0, "dim_f": 1025.0, "dim_t": 16.0}
    files = [
        weigh(save_graph(tmp_path / f"{stem}.onnx", ["batch", 4, 1025, 16], scale(gain)), stem, parameters)
        for stem, gain in (("vocals", 0.5), ("drums", 0.25), ("bass", 0.125))
    ]
    model = make_model("mdx", ("vocals", "drums", "bass", "other"), files)
    song = make_mix(50_000)
    network = mdx.load(model, files, Computing())
    assert network.stems == ("vocals", "drums", "bass")
    told: list[float] = []
    blocks = list(network.separate(ArrayMix(song), scratch, told.append))
    assert all(set(block) == set(network.stems) for block in blocks)
    whole = run(lambda spectra: spectra, song)
    for stem, gain in (("vocals", 0.5), ("drums", 0.25), ("bass", 0.125)):
        np.testing.assert_allclose(np.concatenate([block[stem] for block in blocks]), whole * gain, atol=1e-6)
    assert told == sorted(told)
    assert told[-1] == 1


@pytest.mark.parametrize("dims", [[1025, 8], [1024, 16]])
def test_a_file_of_other_dimensions_than_its_row_is_refused(tmp_path: Path, dims: list[int]) -> None:
    parameters = {"n_fft": 2048.0, "dim_f": 1025.0, "dim_t": 16.0}
    weights = weigh(save_graph(tmp_path / "vocals.onnx", [1, 4, *dims], scale(1)), "vocals", parameters)
    network = mdx.load(make_model("mdx", ("vocals", "other"), [weights]), [weights], Computing())
    with pytest.raises(SettingsError, match=rf"vocals\.onnx.*1025 bins and 16 frames.*{dims[0]}, {dims[1]}"):
        next(iter(network.separate(ArrayMix(make_mix(9_000)), tmp_path, ignore)))


def test_a_file_that_gives_other_shapes_than_it_takes_is_refused(tmp_path: Path) -> None:
    parameters = {"n_fft": 2048.0, "dim_f": 1025.0, "dim_t": 16.0}
    path = save_graph(tmp_path / "vocals.onnx", [1, 4, 1025, 16], stack([1]), ["a", "b", "c", "d", "e"])
    weights = weigh(path, "vocals", parameters)
    network = mdx.load(make_model("mdx", ("vocals", "other"), [weights]), [weights], Computing())
    with pytest.raises(
        SettingsError, match=r"vocals\.onnx: it is no MDX-Net: it takes .* and gives \(1, 1, 4, 1025, 16\)"
    ):
        next(iter(network.separate(ArrayMix(make_mix(9_000)), tmp_path, ignore)))


def test_the_models_that_are_known_can_be() -> None:
    models = [model for model in read_catalogue().values() if model.kind == "mdx"]
    assert {model.id for model in models} >= {"kim_vocal_2", "inst_hq_3", "inst_hq_5", "voc_ft", "kara_2", "kuielab_a"}
    for model in models:
        assert {file.stem for file in model.files} == {*model.stems} - {model.rest}
        for file in model.files:
            shape = read_shape(file)
            assert shape.dim_f <= shape.n_fft // 2 + 1
            assert shape.chunk > 2 * shape.n_fft
            assert 1 <= shape.compensate < 1.1
            assert len(file.sha256) == 64
            assert all(address.endswith(file.name) for address in file.addresses)


@pytest.mark.parametrize(("rate", "channels", "name"), [(44_100, 2, "wav16"), (48_000, 1, "flac24")])
def test_through_the_worker_stems_sum_to_the_song_exactly(tmp_path: Path, rate: int, channels: int, name: str) -> None:
    parameters = {"n_fft": 2048.0, "dim_f": 1025.0, "dim_t": 16.0}
    weights = weigh(save_graph(tmp_path / "vocals.onnx", ["batch", 4, 1025, 16], scale(0.5)), "vocals", parameters)
    model = make_model("mdx", ("vocals", "other"), [weights])
    song = write_samples(tmp_path / "Song.flac", make_mix(30_000)[:, :channels], rate, "PCM_16")
    request = NeuralRequest(
        source=song,
        folder=tmp_path / "stems",
        format=name,
        choice=Choice(model=model, stems=model.stems, rest="other", files=model.files),
        weights=(weights,),
        computing=Computing(device="cuda"),
    )
    done = render(request, lambda fraction: None)
    assert done.notes == ('computed on the processor, not with device = "cuda": that needs onnxruntime-gpu',)
    stems = {stem: soundfile.read(tmp_path / "stems" / file, dtype="int32")[0] for stem, file in done.files.items()}
    np.testing.assert_array_equal(stems["vocals"] + stems["other"], soundfile.read(song, dtype="int32")[0])
    middle = slice(5_000, -5_000)
    half = soundfile.read(song, dtype="int32")[0][middle] / 2
    assert (
        np.abs(stems["vocals"][middle] - half).max() < 0.1 * 2**31
    )  # of a voice at -6 dB, the lowest bins are missing
    assert sorted(path.name for path in (tmp_path / "stems").iterdir()) == sorted(done.files.values())
