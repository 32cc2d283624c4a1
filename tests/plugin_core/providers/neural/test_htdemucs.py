from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from plugin_core.errors import SettingsError
from plugin_core.providers.neural import htdemucs
from plugin_core.providers.neural.htdemucs import demix
from plugin_core.providers.neural.networks import Computing, Weights, read_catalogue
from plugin_core.providers.neural.onnx import Graph
from tests.plugin_core.providers.neural.onnx_cases import (
    DEMUCS,
    FIXTURE,
    ArrayMix,
    Float32,
    choose,
    demucs_net,
    ignore,
    make_mix,
    make_model,
)
from tests.plugin_core.providers.neural.onnx_files import save_graph, stack, weigh

FOUR = ("drums", "bass", "other", "vocals")


def run(
    net: Callable[[Float32], Float32], song: Float32, segment: int = 2_000, rows: Sequence[int] = range(4)
) -> Float32:
    return np.concatenate(list(demix(net, segment, list(rows), ArrayMix(song), ignore)), axis=1)


def fourfold(mix: Float32) -> Float32:
    return np.stack([mix * gain for gain in np.array((1, 0.5, 0.25, 0.125), np.float32)], axis=1)


@pytest.mark.parametrize("name", DEMUCS)
def test_equals_demucs(name: str) -> None:
    frames, segment = DEMUCS[name]
    found = choose(run(demucs_net, make_mix(frames), segment), axis=1)
    with np.load(FIXTURE) as recorded:
        np.testing.assert_allclose(found, recorded[name], atol=2e-6)


@pytest.mark.parametrize("frames", [1, 2, 1_499, 1_500, 1_501, 2_000, 2_001, 9_000])
def test_identity_gives_the_song_from_its_first_sample_to_its_last(frames: int) -> None:
    song = make_mix(frames)
    found = run(fourfold, song)
    assert found.shape == (4, frames, 2)
    np.testing.assert_allclose(found[0], song, atol=1e-6)
    assert found[0, 0, 0] == pytest.approx(0.05, abs=1e-6)


def test_each_song_is_heard_at_the_same_level() -> None:
    heard: list[Float32] = []

    def listen(mix: Float32) -> Float32:
        heard.append(mix.copy())
        return fourfold(mix)

    for gain, offset in ((1.0, 0.0), (0.01, 0.0), (1.0, 0.2)):
        run(listen, make_mix(2_000) * np.float32(gain) + np.float32(offset))
    loud, soft, shifted = heard[0], heard[2], heard[4]
    np.testing.assert_allclose(soft, loud, atol=1e-4)
    np.testing.assert_allclose(shifted, loud, atol=1e-4)
    middle = loud[0].mean(axis=0)
    assert (abs(float(middle.mean())), float(middle.std())) == pytest.approx((0, 1), abs=1e-2)


def test_the_last_segment_is_heard_in_the_middle_with_the_song_before_it() -> None:
    heard: list[Float32] = []

    def listen(mix: Float32) -> Float32:
        heard.append(mix.copy())
        return fourfold(mix)

    run(listen, make_mix(3_500))  # segments of 2,000 from 0, 1,500 and 3,000: 500 are left
    last = heard[-1][0, 0]
    assert np.all(last[:1_250] != 0)
    assert np.all(last[1_250:] == 0)
    np.testing.assert_array_equal(last[:1_250], heard[1][0, 0][750:])


def test_silence_stays_silent_and_no_song_gives_nothing() -> None:
    assert not run(fourfold, np.zeros((5_000, 2), np.float32)).any()
    assert list(demix(fourfold, 2_000, [0], ArrayMix(make_mix(0)), ignore)) == []


def test_reads_only_where_it_is_once_the_level_is_known() -> None:
    song = ArrayMix(make_mix(40_000))
    told: list[float] = []
    blocks = demix(fourfold, 2_000, [0], song, told.append)
    done = next(blocks).shape[1]
    song.furthest = 0
    for block in blocks:
        done += block.shape[1]
        assert song.furthest <= done + 2 * 2_000
    assert done == 40_000
    assert told == sorted(told)
    assert told[-1] == 1


@pytest.mark.parametrize("stems", [FOUR, (*FOUR, "guitar", "piano")])
def test_rows_are_told_in_the_networks_order_whatever_the_models(tmp_path: Path, stems: tuple[str, ...]) -> None:
    gains = [2.0**-row for row in range(len(stems))]
    file = weigh(save_graph(tmp_path / "h.onnx", [1, 2, 2_000], stack(gains), [1, len(stems), 2, 2_000]))
    names = tuple(sorted(stems))
    network = htdemucs.load(make_model("htdemucs", names, [file]), [file], Computing())
    assert network.stems == tuple(stem for stem in names if stem != "other")
    song = make_mix(5_000)
    blocks = list(network.separate(ArrayMix(song), tmp_path, ignore))
    for row, stem in enumerate(stems):
        if stem != "other":
            found = np.concatenate([block[stem] for block in blocks])
            level = song.mean(dtype=np.float64)
            np.testing.assert_allclose(found, (song - level) * gains[row] + level, atol=1e-5)


def test_of_each_file_of_a_bag_its_own_row_is_taken(tmp_path: Path) -> None:
    files = []
    for number, stem in enumerate(("drums", "bass", "vocals")):
        gains = [0.0] * 4
        gains[FOUR.index(stem)] = 2.0**-number
        path = save_graph(tmp_path / f"{stem}.onnx", [1, 2, 2_000], stack(gains), [1, 4, 2, 2_000])
        files.append(weigh(path, stem))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    song = make_mix(5_000)
    song -= song.mean()
    network = htdemucs.load(make_model("htdemucs", FOUR, files), files, Computing())
    blocks = list(network.separate(ArrayMix(song), scratch, ignore))
    for number, stem in enumerate(("drums", "bass", "vocals")):
        found = np.concatenate([block[stem] for block in blocks])
        np.testing.assert_allclose(found, song * 2.0**-number, atol=1e-5)


def refusal(tmp_path: Path, inputs: Sequence[int], outputs: Sequence[int], **names: object) -> str:
    path = save_graph(tmp_path / "export.onnx", inputs, stack([1.0] * outputs[1]), outputs, **names)  # type: ignore[arg-type]
    weights = weigh(path)
    network = htdemucs.load(make_model("htdemucs", FOUR, [weights]), [weights], Computing())
    with pytest.raises(SettingsError) as caught:
        next(iter(network.separate(ArrayMix(make_mix(100)), tmp_path, ignore)))
    return str(caught.value)


def test_other_exports_are_refused_by_name(tmp_path: Path) -> None:
    assert "it takes mix and mag" in refusal(tmp_path, [1, 2, 50], [1, 4, 2, 50], extra="mag")
    assert "it is no htdemucs" in refusal(tmp_path, [1, 2, 50], [1, 4, 2, 50], names=("audio", "stems"))
    assert "it is no htdemucs" in refusal(tmp_path, [1, 2, 50], [1, 4, 2, 50], names=("mix", "sources"))
    assert "it is no htdemucs" in refusal(tmp_path, [2, 2, 50], [2, 4, 2, 50])
    assert "it gives (1, 3, 2, 50), and no stereo of drums, bass, other, vocals" in refusal(
        tmp_path, [1, 2, 50], [1, 3, 2, 50]
    )


def test_an_export_that_does_not_say_what_it_gives_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of demucs-onnx do not; of which constants are not worked out at load, which takes 5 GB."""
    folded: list[bool] = []

    class Watched(Graph):
        def __init__(self, weights: Weights, computing: Computing, *, is_folded: bool = True) -> None:
            folded.append(is_folded)
            super().__init__(weights, computing, is_folded=is_folded)

    monkeypatch.setattr(htdemucs, "Graph", Watched)
    unsaid = [f"Addstems_dim_{number}" for number in range(4)]
    weights = weigh(save_graph(tmp_path / "unsaid.onnx", [1, 2, 2_000], stack([1.0] * 4), unsaid))
    network = htdemucs.load(make_model("htdemucs", FOUR, [weights]), [weights], Computing())
    blocks = list(network.separate(ArrayMix(make_mix(100)), tmp_path, ignore))
    np.testing.assert_allclose(blocks[0]["drums"], make_mix(100), atol=1e-6)
    assert folded == [False]


def test_the_models_that_are_known_are_of_stems_that_it_gives() -> None:
    models = [model for model in read_catalogue().values() if model.kind == "htdemucs"]
    assert {model.id for model in models} == {"htdemucs", "htdemucs_ft", "htdemucs_6s"}
    for model in models:
        assert {*model.stems} <= {*htdemucs.ROWS}
        assert model.commerce == "forbidden"
        assert {file.stem for file in model.files} in ({""}, {*model.stems} - {model.rest})
        assert all(len(file.sha256) == 64 and file.bytes and file.addresses for file in model.files)
