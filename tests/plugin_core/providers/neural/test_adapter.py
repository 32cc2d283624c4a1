from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from plugin_core.errors import SettingsError, SourceError, StembridgeError, UsageError
from plugin_core.model import Progress, Separation
from plugin_core.protocols import Order, Separator
from plugin_core.providers.neural import adapter
from plugin_core.providers.neural.adapter import NeuralSeparator, NeuralSettings
from plugin_core.providers.neural.library import Library
from plugin_core.providers.neural.networks import NeuralModel
from plugin_core.settings import Settings
from tests.audio_files import make_noise, write_endless, write_samples, write_song
from tests.plugin_core.providers.local.conftest import make_source
from tests.plugin_core.providers.neural.conftest import MakeNeuralOrder, describe_file, make_model
from tests.plugin_core.providers.neural.onnx_files import save_graph, scale, stack, weigh


def ignore(progress: Progress) -> None: ...


def read_all(folder: Path, dtype: str = "int32") -> dict[str, NDArray[np.int64]]:
    return {
        path.stem: soundfile.read(path, dtype=dtype, always_2d=True)[0].astype(np.int64) for path in folder.iterdir()
    }


def separate(neural: NeuralSeparator, order: Order) -> tuple[list[Progress], dict[str, NDArray[np.int64]]]:
    said: list[Progress] = []
    asyncio.run(neural.poll(order, said.append))
    return said, read_all(order.folder / order.attempt)


def test_it_keeps_the_promise(neural: NeuralSeparator) -> None:
    assert isinstance(neural, Separator)


@pytest.mark.parametrize(
    ("rate", "channels", "subtype", "name"),
    [(44_100, 2, "PCM_16", "flac16"), (48_000, 1, "PCM_24", "flac24"), (22_050, 2, "PCM_16", "wav24")],
)
def test_stems_sum_to_the_song_at_any_rate(
    neural: NeuralSeparator,
    make_neural_order: MakeNeuralOrder,
    tmp_path: Path,
    rate: int,
    channels: int,
    subtype: str,
    name: str,
) -> None:
    song = write_song(tmp_path / "Song.wav", 2.0, rate, channels=channels, subtype=subtype)
    order = make_neural_order(song, format=name)
    said, stems = separate(neural, order)
    whole = soundfile.read(song, dtype="int32", always_2d=True)[0].astype(np.int64)
    assert list(stems) and {*stems} == {"vocals", "drums", "bass", "other"}
    np.testing.assert_array_equal(sum(stems.values()), whole)
    powers = {stem: float(np.std(one / 2**31)) for stem, one in stems.items()}
    assert all(power > 1e-4 for power in powers.values()), powers
    fractions = [one.fraction for one in said if one.fraction is not None]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert neural.speed("small") is None, "too short a song to tell"


def test_another_rate_gives_the_same_stems(
    neural: NeuralSeparator, make_neural_order: MakeNeuralOrder, tmp_path: Path
) -> None:
    """What the network hears of a song at 88.2 kHz is what it hears at 44.1."""
    import soxr

    samples = soxr.resample(make_noise(22_050), 22_050, 88_200, "VHQ").astype(np.float32)
    plain = soxr.resample(samples, 88_200, 44_100, "VHQ")
    found = {}
    for rate, one in ((44_100, plain), (88_200, samples)):
        order = make_neural_order(write_samples(tmp_path / f"{rate}.wav", one, rate, "FLOAT"), format="wav32f")
        asyncio.run(neural.poll(order, ignore))
        found[rate] = soundfile.read(order.folder / order.attempt / "vocals.wav")[0]
    assert len(found[88_200]) == len(samples)
    again = soxr.resample(found[88_200], 88_200, 44_100, "VHQ")
    middle = slice(5_000, 35_000)
    assert np.abs(again[middle] - found[44_100][middle]).max() < 2e-4 * np.abs(found[44_100]).max()


def test_of_a_voice_alone_one_file_is_enough(
    neural: NeuralSeparator, make_neural_order: MakeNeuralOrder, tmp_path: Path, models_folder: Path
) -> None:
    song = write_song(tmp_path / "Song.wav", 1.0)
    for stem in ("drums", "bass", "other"):
        (models_folder / f"{stem}.pth").unlink()
    wish = Separation(provider="neural", stems=("vocals", "instrumental"), minus=("vocals",))
    plan = asyncio.run(neural.plan(make_source(song), wish))
    assert plan.stems == ("vocals", "instrumental")
    assert isinstance(plan.operation, Separation) and plan.operation.model == "small"
    order = make_neural_order(song, stems=wish.stems, format="flac16", options=plan.operation.options)
    _, stems = separate(neural, order)
    whole = soundfile.read(song, dtype="int32", always_2d=True)[0].astype(np.int64)
    assert {*stems} == {"vocals", "instrumental"}
    np.testing.assert_array_equal(stems["vocals"] + stems["instrumental"], whole)
    assert [model.state for model in asyncio.run(neural.models())] == ["in part here"]
    with pytest.raises(UsageError, match="small is not on this machine; stembridge models fetch small"):
        asyncio.run(neural.plan(make_source(song), Separation(provider="neural", model="small")))


def test_plans(neural: NeuralSeparator, tmp_path: Path, small: NeuralModel) -> None:
    source = make_source(write_song(tmp_path / "Song.wav", 1.0))

    def plan(**wish: object) -> Separation:
        found = asyncio.run(neural.plan(source, Separation(provider="neural", **wish)))  # type: ignore[arg-type]
        assert found.seconds and found.seconds > 2
        assert isinstance(found.operation, Separation)
        return found.operation

    assert plan().model == plan(model="Small Unmix").model == "small"
    assert plan().options == {"segment_seconds": "6.966"}
    assert plan().format == "flac16"
    for wish, word in (
        ({"model": "smal"}, "no model 'smal', did you mean 'small'"),
        ({"stems": ("guitar",)}, "no network that is known gives all of these stems"),
        ({"model": "small", "stems": ("guitar",)}, "gives no 'guitar'"),
        ({"minus": ("instrumental",)}, "no network that is known gives all of these stems"),
        ({"options": {"depth": "1"}}, "has no options"),
        ({"format": "flac17"}, "flac17"),
    ):
        with pytest.raises(UsageError, match=word):
            plan(**wish)
    wide = msgspec.structs.replace(source, channels=6)
    with pytest.raises(SourceError, match=r"6 channels.*--provider local"):
        asyncio.run(neural.plan(wide, Separation(provider="neural")))


def test_research_weights_are_taken_only_by_name(models_folder: Path, small: NeuralModel, tmp_path: Path) -> None:
    model = msgspec.structs.replace(small, commerce="forbidden", licence="for research")
    neural = NeuralSeparator(NeuralSettings(), Library(models_folder, others=()), catalogue={"small": model})
    source = make_source(write_song(tmp_path / "Song.wav", 1.0))
    with pytest.raises(UsageError, match=r"no model that gives these stems.*for research alone.*--model small"):
        asyncio.run(neural.plan(source, Separation(provider="neural")))
    plan = asyncio.run(neural.plan(source, Separation(provider="neural", model="small")))
    assert plan.notes == ("small: for research",)


def test_without_onnxruntime_its_models_are_refused_with_the_command(
    models_folder: Path, small: NeuralModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    model = msgspec.structs.replace(small, kind="mdx")
    neural = NeuralSeparator(NeuralSettings(), Library(models_folder, others=()), catalogue={"small": model})
    source = make_source(write_song(tmp_path / "Song.wav", 1.0))
    for named in ("small", ""):
        with pytest.raises(UsageError, match=r"small needs onnxruntime.*pip install 'stembridge\[neural\]'"):
            asyncio.run(neural.plan(source, Separation(provider="neural", model=named)))
    (finding,) = asyncio.run(neural.examine())
    assert finding.verdict == "warning" and "onnxruntime" in finding.found and "stembridge[neural]" in finding.remedy


def test_doctor_hears_what_is_here(
    neural: NeuralSeparator, models_folder: Path, make_neural_order: MakeNeuralOrder, tmp_path: Path
) -> None:
    assert neural.speeds is not None
    separate(neural, make_neural_order(write_song(tmp_path / "Song.wav", 12.0)))
    assert neural.speed("small")
    (models_folder.parent / "speeds.json").unlink()
    neural.speeds.note("neural small", 120.0, 10.0)
    (finding,) = asyncio.run(neural.examine())
    assert finding.found == "small (12.0 x as fast as songs play)"
    for path in models_folder.glob("*.pth"):
        path.unlink()
    (finding,) = asyncio.run(neural.examine())
    assert "no models here" in finding.found


def test_a_file_that_changed_is_not_run(
    neural: NeuralSeparator,
    make_neural_order: MakeNeuralOrder,
    tmp_path: Path,
    models_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where its size and times are as they were, by which its digest is held to be known."""
    order = make_neural_order(write_song(tmp_path / "Song.wav", 1.0), format="flac16")
    weights = neural._library.weights(neural._catalogue["small"].files)
    monkeypatch.setattr(neural._library, "weights", lambda _files: weights)
    path = models_folder / "bass.pth"
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    with pytest.raises(SettingsError, match=r"bass\.pth: its digest is not the one it had; nothing of it was run"):
        asyncio.run(neural.poll(order, ignore))
    path.unlink()
    with pytest.raises(SettingsError, match=r"bass\.pth: No such file"):
        asyncio.run(neural.poll(order, ignore))
    assert list(order.folder.iterdir()) == []


def test_what_goes_wrong_leaves_nothing(
    neural: NeuralSeparator, make_neural_order: MakeNeuralOrder, tmp_path: Path
) -> None:
    song = write_song(tmp_path / "Song.flac", 1.0)
    order = make_neural_order(song, format="flac16")
    song.write_bytes(song.read_bytes()[:3_000])
    with pytest.raises(SourceError, match=r"Song\.flac"):
        asyncio.run(neural.poll(order, ignore))
    assert list(order.folder.iterdir()) == []
    loud = write_samples(tmp_path / "loud.wav", 2 * make_noise(9_000, peak=1.0), 44_100, "FLOAT")
    with pytest.raises(SourceError, match=r"loud\.wav: peaks"):
        asyncio.run(neural.poll(make_neural_order(loud, format="flac16"), ignore))
    assert list(order.folder.iterdir()) == []


def test_cancelling_ends_it_at_once(
    neural: NeuralSeparator, make_neural_order: MakeNeuralOrder, tmp_path: Path
) -> None:
    order = make_neural_order(write_endless(tmp_path / "endless.wav"), format="flac16")

    async def cancel_at_work() -> None:
        working = asyncio.Event()

        def report(progress: Progress) -> None:
            if progress.fraction:
                working.set()

        task = asyncio.create_task(neural.poll(order, report))
        await asyncio.wait_for(working.wait(), 600)
        assert any(order.folder.iterdir())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert list(order.folder.iterdir()) == []

    asyncio.run(cancel_at_work())


def test_settings_and_their_bounds(tmp_path: Path) -> None:
    environ = {"STEMBRIDGE_NEURAL_THREADS": "3", "STEMBRIDGE_NEURAL_DEVICE": "cuda"}
    found = Settings(tmp_path, environ=environ).section("neural", NeuralSettings)
    assert (found.threads, found.device, found.workers) == (3, "cuda", 1)
    for wrong in ({"DEVICE": "gpu"}, {"THREADS": "0"}, {"SEGMENT_SECONDS": "0.1"}):
        environ = {f"STEMBRIDGE_NEURAL_{key}": value for key, value in wrong.items()}
        with pytest.raises(StembridgeError, match="STEMBRIDGE_NEURAL_"):
            Settings(tmp_path, environ=environ).section("neural", NeuralSettings)
    assert adapter.NAME == "neural"


def test_models_in_onnx_go_the_same_way(
    models_folder: Path, make_neural_order: MakeNeuralOrder, tmp_path: Path
) -> None:
    """One gives the accompaniment alone, one all stems from one file; the device is not there."""
    parameters = {"n_fft": 2048.0, "dim_f": 1025.0, "dim_t": 16.0}
    half = weigh(
        save_graph(models_folder / "half.onnx", ["batch", 4, 1025, 16], scale(0.5)), "instrumental", parameters
    )
    rows = weigh(save_graph(models_folder / "rows.onnx", [1, 2, 4_000], stack([0.5, 0.25, 9, 0.125]), [1, 4, 2, 4_000]))
    two = make_model((half.file,), id="two", kind="mdx", stems=("vocals", "instrumental"), rest="vocals")
    four = make_model((rows.file,), id="four", kind="htdemucs")
    settings = NeuralSettings(device="directml", threads=1)
    neural = NeuralSeparator(settings, Library(models_folder, others=()), catalogue={"four": four, "two": two})
    song = write_samples(tmp_path / "Song.wav", make_noise(44_100), 44_100, "PCM_16")
    whole = soundfile.read(song, dtype="int32", always_2d=True)[0].astype(np.int64)
    for model, shares in (
        ("two", {"instrumental": 0.5, "vocals": 0.5}),
        ("four", {"drums": 0.5, "bass": 0.25, "vocals": 0.125, "other": 0.125}),
    ):
        order = make_neural_order(song, model=model, format="flac16")
        said, stems = separate(neural, order)
        np.testing.assert_array_equal(sum(stems.values()), whole)
        middle = slice(10_000, 38_000)
        found = {stem: float(np.std(one[middle]) / np.std(whole[middle])) for stem, one in stems.items()}
        assert found == pytest.approx(shares, abs=0.03)
        assert 'not with device = "directml"' in said[-1].note
        for path in (order.folder / order.attempt).iterdir():
            path.unlink()


def test_an_onnx_file_that_is_none_is_said_in_a_line(
    models_folder: Path, make_neural_order: MakeNeuralOrder, tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime")
    (models_folder / "cut.onnx").write_bytes(b"\x08\x07\x12\x04page" * 40)
    file = describe_file(
        models_folder / "cut.onnx", "vocals", parameters={"n_fft": 2048.0, "dim_f": 1025.0, "dim_t": 16.0}
    )
    model = make_model((file,), kind="mdx", stems=("vocals", "instrumental"), rest="instrumental")
    neural = NeuralSeparator(NeuralSettings(), Library(models_folder, others=()), catalogue={"small": model})
    order = make_neural_order(write_song(tmp_path / "Song.wav", 1.0), format="flac16")
    with pytest.raises(SettingsError, match=r"cut\.onnx: .*; nothing of it was run"):
        asyncio.run(neural.poll(order, ignore))
    assert list(order.folder.iterdir()) == []
