from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from plugin_core.errors import ServiceError, SettingsError, TransientError, UsageError
from plugin_core.providers.neural import mdx
from plugin_core.providers.neural.networks import Computing, StereoMix, Told, Weights
from plugin_core.providers.neural.onnx import LARGEST, Graph, OnnxNetwork, Segment, check_file, find_runtime, join
from tests.plugin_core.providers.neural.onnx_cases import ArrayMix, Float32, ignore, make_mix, make_model
from tests.plugin_core.providers.neural.onnx_files import save_graph, scale, weigh


def open_graph(weights: Weights, computing: Computing | None = None, *, is_folded: bool = True) -> Graph:
    return Graph(weights, computing or Computing(), is_folded=is_folded)


def refusal(weights: Weights) -> str:
    with pytest.raises(SettingsError) as caught:
        open_graph(weights)
    assert caught.value.remedy == "remove the file, and fetch it again"
    assert weights.path.name in caught.value.message
    assert "\n" not in str(caught.value)
    return caught.value.message.removesuffix("; nothing of it was run")


@pytest.fixture
def doubling(tmp_path: Path) -> Weights:
    return weigh(save_graph(tmp_path / "doubling.onnx", ["batch", 4, 8, 16], scale(2)))


@pytest.mark.parametrize("is_folded", [True, False])
def test_computes_with_threads_and_without_folding(doubling: Weights, is_folded: bool) -> None:
    graph = open_graph(doubling, Computing(threads=2), is_folded=is_folded)
    values = np.random.default_rng(1).standard_normal((1, 4, 8, 16)).astype(np.float32)
    np.testing.assert_array_equal(graph.run(values), values * 2)
    assert (graph.inputs, graph.outputs) == ({"input": ("batch", 4, 8, 16)}, ("output",))
    assert graph.note == ""


def test_memory_is_asked_for_flatly(doubling: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = find_runtime()
    asked: list[tuple[Any, dict[str, Any]]] = []
    real = runtime.InferenceSession

    def open_session(path: str, options: Any, **more: Any) -> Any:
        asked.append((options, more))
        return real(path, options, **more)

    monkeypatch.setattr(runtime, "InferenceSession", open_session)
    open_graph(doubling, Computing(threads=3))
    open_graph(doubling, is_folded=False)
    (plain, _), (unfolded, more) = asked
    assert (plain.enable_cpu_mem_arena, plain.enable_mem_pattern) == (False, False)
    assert (plain.intra_op_num_threads, plain.inter_op_num_threads) == (3, 1)
    assert plain.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    levels = runtime.GraphOptimizationLevel
    assert plain.graph_optimization_level == levels.ORT_ENABLE_ALL
    assert unfolded.graph_optimization_level == levels.ORT_DISABLE_ALL
    assert more["disabled_optimizers"] == ["ConstantFolding"]


def spoil(weights: Weights, data: bytes) -> Weights:
    weights.path.write_bytes(data)
    return weights


def test_what_is_no_model_is_told_in_a_line(doubling: Weights) -> None:
    whole = doubling.path.read_bytes()
    assert refusal(spoil(doubling, b"")).endswith("it is empty")
    assert refusal(spoil(doubling, b"\n <!DOCTYPE html><html></html>")).endswith("it is a web page, no model")
    for data in (
        b"version https://git-lfs.github.com/spec/v1\n",
        bytes(500),
        *(whole[: len(whole) * k // 10] for k in range(1, 10)),
    ):
        assert "it is no whole ONNX model" in refusal(spoil(doubling, data))
    unknown = whole.replace(b"Mul", b"Mxl")
    assert unknown != whole
    assert refusal(spoil(doubling, unknown)).count("doubling.onnx") == 1
    assert "ONNX Runtime does not take it: " in refusal(spoil(doubling, unknown))


def test_three_gigabytes_are_refused_before_they_are_read(doubling: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    with doubling.path.open("r+b") as file:
        file.truncate(3_000_000_000)  # takes no room on the disk
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "it has 3.0 GB, and an ONNX model has at most 2" in refusal(doubling)
    with doubling.path.open("r+b") as file:
        file.truncate(LARGEST)
    assert "at most 2" in refusal(doubling)


def test_weights_in_other_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"save_as_external_data": True, "all_tensors_to_one_file": True, "size_threshold": 0}
    path = save_graph(tmp_path / "split.onnx", ["batch", 4, 8, 16], scale(2), location="factor.data", **options)
    assert (tmp_path / "factor.data").exists()
    said = "it keeps weights in other files, which nobody can vouch for"
    data = path.read_bytes()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # nothing of it is loaded
    assert refusal(weigh(path)).endswith(said)
    overlong = data.replace(b"\x08location", b"\x88\x00location")
    assert overlong != data
    assert refusal(spoil(weigh(path), overlong)).endswith(said)


def test_a_name_that_holds_the_word_is_no_other_file(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "named.onnx", ["batch", 4, 8, 16], scale(2), names=("my_location", "relocation_1"))
    assert open_graph(weigh(path)).run(np.ones((1, 4, 8, 16), np.float32)).max() == 2


def test_a_file_that_is_gone_is_named(tmp_path: Path, doubling: Weights) -> None:
    doubling.path.unlink()
    with pytest.raises(Exception, match=r"doubling\.onnx cannot be read"):
        check_file(doubling.path)


@pytest.mark.parametrize("gain", [float("nan"), float("inf")])
def test_what_is_no_number_is_an_error(tmp_path: Path, gain: float) -> None:
    graph = open_graph(weigh(save_graph(tmp_path / "broken.onnx", [1, 4], scale(gain))))
    with pytest.raises(ServiceError, match=r"broken\.onnx on cpu gave values that are no numbers"):
        graph.run(np.ones((1, 4), np.float32))


def test_an_error_of_the_runtime_is_one_line(doubling: Weights) -> None:
    with pytest.raises(ServiceError, match=r"doubling\.onnx on cpu gave up: Got invalid dimensions") as caught:
        open_graph(doubling).run(np.ones((1, 4, 8, 17), np.float32))
    assert "\n" not in str(caught.value)


class Runtime:
    """Stands for an ONNX Runtime of another machine: some devices, one of which may not start.

    Args:
        available: providers.
        started: what sessions have, for each that opens; an exception is raised.
    """

    def __init__(self, available: list[str], *started: list[str] | Exception) -> None:
        self._real = find_runtime()
        self._available, self._started = available, list(started)
        self.asked: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get_available_providers(self) -> list[str]:
        return self._available

    def InferenceSession(self, path: str, options: Any, *, providers: list[Any], **more: Any) -> Any:  # noqa: N802
        self.asked.append(providers)
        started = self._started.pop(0)
        if isinstance(started, Exception):
            raise started
        return SimpleNamespace(
            get_providers=lambda: started, get_inputs=list, get_outputs=list, run=self._real.InferenceSession
        )


CPU, CUDA, COREML = "CPUExecutionProvider", "CUDAExecutionProvider", "CoreMLExecutionProvider"


def test_a_device_that_is_missing_or_does_not_start_is_told_in_a_line(
    doubling: Weights, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def note(runtime: Runtime, device: Any) -> str:
        monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
        graph = open_graph(doubling, Computing(device=device))
        assert runtime.asked[-1][-1] == CPU
        return graph.note

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    begin = 'computed on the processor, not with device = "cuda": '
    assert note(Runtime([CPU], [CPU]), "cuda") == f"{begin}that needs onnxruntime-gpu"
    assert note(Runtime([CUDA, CPU], RuntimeError("no driver\nstack"), [CPU]), "cuda") == f"{begin}no driver"
    assert note(Runtime([CUDA, CPU], [CPU]), "cuda") == f"{begin}it could not be started"
    assert note(Runtime([CUDA, CPU], [CUDA, CPU]), "cuda") == ""
    apple = Runtime([COREML, CPU], [COREML, CPU])
    assert note(apple, "coreml") == ""
    (name, options), _ = apple.asked[0]
    assert name == COREML
    assert Path(options["ModelCacheDirectory"]).is_dir()
    assert Path(options["ModelCacheDirectory"]).is_relative_to(tmp_path)


def test_without_onnxruntime_the_extra_is_named(doubling: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    weights = Weights(file=doubling.file, path=doubling.path)
    weights.file.parameters.update(n_fft=2048.0, dim_f=8.0, dim_t=16.0)
    with pytest.raises(
        UsageError, match=r"needs onnxruntime, which is not installed; .*pip install 'stembridge\[neural\]'"
    ):
        mdx.load(make_model("mdx", ("vocals", "other"), [weights]), [weights], Computing())


def test_an_onnxruntime_that_does_not_load_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('DLL load failed\\nwhile importing')")
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match="does not load: DLL load failed while importing;"):
        find_runtime()


def collect(segments: list[Segment], length: int) -> Float32:
    return np.concatenate(list(join(iter(segments), length)), axis=1)


def test_segments_are_joined_by_weight_from_before_the_song_to_beyond_it() -> None:
    def segment(start: int, values: list[float], weight: list[float]) -> Segment:
        stems = np.repeat(np.array(values, np.float32)[None, :, None], 2, axis=2)
        return Segment(start, np.array(weight, np.float32), stems)

    found = collect(
        [segment(-1, [9, 1, 1], [1, 1, 1]), segment(1, [4, 4, 4], [3, 1, 1]), segment(3, [8, 9], [1, 1])], 4
    )
    np.testing.assert_allclose(found[0, :, 0], [1, (1 + 3 * 4) / 4, 4, 6])


def test_each_block_is_given_as_soon_as_nothing_can_change_it() -> None:
    given: list[int] = []

    def segments() -> Iterator[Segment]:
        for start in range(0, 1_000, 75):
            assert sum(given) == max(0, start - 75)
            yield Segment(start, np.ones(100, np.float32), np.ones((1, 100, 2), np.float32))

    for block in join(segments(), 1_000):
        given.append(block.shape[1])
        assert block.shape[1] <= 100
    assert sum(given) == 1_000


class Turn:
    """Stands for a file of a model, which counts those in memory."""

    loaded = 0

    def __init__(self, stem: str, blocks: list[int], note: str = "") -> None:
        self.stems, self.note = (stem,), ""
        self._blocks, self._note = blocks, note

    def run(self, mix: StereoMix, tell: Told) -> Iterator[Float32]:
        Turn.loaded += 1
        assert Turn.loaded == 1
        self.note = self._note
        at = 0
        try:
            for number, count in enumerate(self._blocks, 1):
                yield mix.read(at, count)[None] * np.float32(len(self.stems[0]))
                at += count
                tell(number / len(self._blocks))
        finally:
            Turn.loaded -= 1


@pytest.fixture
def runtime() -> None:
    pytest.importorskip("onnxruntime")


@pytest.mark.usefixtures("runtime")
def test_files_take_turns_whatever_their_blocks(tmp_path: Path) -> None:
    song = make_mix(100)
    turns = [Turn("a", [30, 70], "note"), Turn("bb", [100]), Turn("ccc", [1, 60, 39], "note")]
    told: list[float] = []
    network = OnnxNetwork(turns)
    blocks = list(network.separate(ArrayMix(song), tmp_path, told.append))
    assert [len(block["a"]) for block in blocks] == [1, 60, 39]
    for gain, stem in enumerate(network.stems, 1):
        np.testing.assert_array_equal(np.concatenate([block[stem] for block in blocks]), song * np.float32(gain))
    assert told == sorted(told)
    assert told[-1] == 1
    assert network.notes == ("note",)


@pytest.mark.usefixtures("runtime")
def test_a_full_disk_is_told_as_one(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    (tmp_path / "0.f32").symlink_to("/dev/full")
    turns = [Turn("a", [60_000, 60_000]), Turn("bb", [120_000])]
    with pytest.raises(TransientError, match="no space left on the disk"):
        list(OnnxNetwork(turns).separate(ArrayMix(make_mix(120_000)), tmp_path, ignore))
