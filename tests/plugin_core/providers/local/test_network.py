from __future__ import annotations

import hashlib
import pickle
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin_core.errors import SettingsError
from plugin_core.providers.local import network, request
from plugin_core.providers.local.network import (
    BANDS,
    CHANNELS,
    COARSE,
    DILATIONS,
    SHAPES,
    MaskNetwork,
    NetworkManifest,
    count_parameters,
    read_network,
)
from plugin_core.providers.local.refinement import ABSENT, Singing
from plugin_core.providers.local.stft import Frames

Float32 = NDArray[np.float32]
POWER: Float32 = np.zeros((0, BANDS), dtype=np.float32)
MANIFEST = NetworkManifest("x", "", 0.5, (0.0, 0.0, 0.0, 0.0))


def make_network(seed: int = 1) -> MaskNetwork:
    parameters = np.random.default_rng(seed).standard_normal(count_parameters()).astype(np.float32)
    return MaskNetwork(parameters * np.float32(0.05), MANIFEST)


class Plain:
    """The same network as it is written down: one tap after the other, what is coarse repeated and put beside."""

    def __init__(self, fast: MaskNetwork) -> None:
        self.weights = {name: values.astype(np.float64) for name, values in fast._weights.items()}
        self.biases = {name: values.astype(np.float64) for name, values in fast._biases.items()}

    def convolve(self, name: str, values: NDArray[np.float64], stride: tuple[int, int] = (1, 1)) -> NDArray[np.float64]:
        weights = self.weights[name]
        tall, wide = weights.shape[:2]
        padded = np.pad(values, ((tall // 2, tall // 2), (wide // 2, wide // 2), (0, 0)))
        frames, bands = values.shape[:2]
        total = np.zeros((frames, bands, weights.shape[3]))
        for row in range(tall):
            for column in range(wide):
                total += padded[row : row + frames, column : column + bands] @ weights[row, column]
        return np.maximum(total[:: stride[0], :: stride[1]] + self.biases[name], 0)

    def mix(self, name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values @ self.weights[name] + self.biases[name]

    def __call__(self, inputs: Float32) -> NDArray[np.float64]:
        full = self.convolve("e0", inputs.astype(np.float64))
        half = self.convolve("d1", full, (2, 2))
        narrow = self.convolve("d2", half, (1, 2))
        deep = self.convolve("d3", narrow, (2, 2))
        memory = np.maximum(self.mix("i", self.mix("q", deep).reshape(len(deep), -1)), 0)
        for number, dilation in enumerate(DILATIONS):
            heard = np.zeros_like(memory)
            padded = np.pad(memory, ((dilation, dilation), (0, 0)))
            for tap in range(3):
                shifted = padded[tap * dilation :][: len(memory)]
                for group, columns in enumerate((slice(0, 64), slice(64, 128))):
                    weights = self.weights[f"c{number}"][group, tap * 64 : (tap + 1) * 64]
                    heard[:, columns] += shifted[:, columns] @ weights
            memory = memory + self.mix(f"m{number}", np.maximum(heard + self.biases[f"c{number}"], 0))
        told = np.maximum(deep + self.mix("p", self.mix("o", memory).reshape(*deep.shape[:2], -1)), 0)

        def join(coarse: NDArray[np.float64], fine: NDArray[np.float64]) -> NDArray[np.float64]:
            times = len(fine) // len(coarse)
            return np.concatenate((coarse.repeat(times, axis=0).repeat(2, axis=1), fine), axis=2)

        narrow = self.convolve("u3", join(told, narrow))
        half = self.convolve("u2", join(narrow, half))
        return self.mix("out", self.convolve("u1", join(self.mix("r1", half), full)))


def test_it_computes_what_is_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = make_network()
    inputs = np.random.default_rng(2).standard_normal((24, BANDS, CHANNELS)).astype(np.float32)
    heard = fast.encode(inputs, POWER)
    logits = fast.decode(heard, fast.remember(heard.deep))
    plain = Plain(fast)(inputs)
    assert np.abs(plain).max() > 0.1
    np.testing.assert_allclose(logits, plain.transpose(0, 2, 1), atol=1e-5)
    monkeypatch.setattr(network, "PATCHES", 1)
    np.testing.assert_allclose(fast.encode(inputs, POWER).deep, heard.deep, atol=1e-6)


def test_the_layers_fit_together() -> None:
    assert set(COARSE) <= set(SHAPES)
    assert count_parameters() == 546_356


def test_the_weights_that_ship_say_what_they_said_when_they_were_made() -> None:
    shipped = read_network()
    inputs = np.sin(np.arange(16 * BANDS * CHANNELS, dtype=np.float64) ** 1.5).reshape(16, BANDS, CHANNELS)
    heard = shipped.encode(inputs.astype(np.float32), POWER)
    logits = shipped.decode(heard, shipped.remember(heard.deep))
    np.testing.assert_allclose(logits[8, :, ::54].T.ravel(), RECORDED, atol=1e-3)
    assert read_network() is shipped


RECORDED = [
    -1.068,
    -1.806,
    -3.219,
    3.045,
    -3.615,
    -0.467,
    -4.833,
    4.801,
    -1.613,
    -1.727,
    -2.911,
    3.402,
    -0.829,
    -3.131,
    -2.965,
    3.499,
]


def test_the_manifest_names_every_source_with_its_licence() -> None:
    told = tomllib.loads(request.NETWORK_MANIFEST.read_text(encoding="utf-8"))
    assert told["made"]["parameters"] == count_parameters()
    assert {"date", "command", "material"} <= set(told["made"])
    assert all(source["package"] and source["licence"] and source["gave"] for source in told["source"])
    assert {"mma", "tuxpaint-stamps-default", "freedoom"} <= {source["package"] for source in told["source"]}
    assert request.NETWORK_MANIFEST.with_name(told["file"]).stat().st_size < 4 << 20


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Install weights and a manifest that fit each other."""
    data = np.zeros(count_parameters(), dtype="<f2").tobytes()
    (tmp_path / "own.f16").write_bytes(data)
    manifest = tmp_path / "own.toml"
    digest = hashlib.sha256(data).hexdigest()
    manifest.write_text(f'file = "own.f16"\nsha256 = "{digest}"\nstrength = 0.5\nbias = [0, 0, 0, 0]\n')
    monkeypatch.setattr(request, "NETWORK_MANIFEST", manifest)
    network._read.cache_clear()
    yield tmp_path
    network._read.cache_clear()


class Bomb:
    """What a pickle could do."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('a pickle was run')",))


def test_what_is_damaged_or_foreign_is_told_in_a_line(installed: Path) -> None:
    weights, manifest = installed / "own.f16", installed / "own.toml"
    assert read_network().strength == 0.5
    whole, told = weights.read_bytes(), manifest.read_text()
    cases = {
        "cut short": (weights, whole[:-2]),
        "of another network": (weights, whole + b"\0\0"),
        "digest is not the one in own.toml": (weights, b"\1" + whole[1:]),
        "or of another": (weights, pickle.dumps(Bomb())),
        "no manifest": (manifest, b"\xff\xfe"),
        "it is no manifest": (manifest, told.replace("0.5", "7").encode()),
    }
    for words, (path, data) in cases.items():
        weights.write_bytes(whole)
        manifest.write_text(told)
        path.write_bytes(data)
        network._read.cache_clear()
        with pytest.raises(SettingsError, match=words) as caught:
            read_network()
        assert path.name in str(caught.value)
        assert "\n" not in str(caught.value)
    weights.unlink()
    manifest.write_text(told.replace("own.f16", "../../etc/passwd"))
    network._read.cache_clear()
    with pytest.raises(SettingsError, match=r"passwd: No such file"):
        read_network()


@pytest.mark.parametrize("first", ["voice", "rest"])
def test_what_is_soft_counts_as_soon_as_what_was_loud_is_over(first: str) -> None:
    """A soft voice behind a loud introduction, and a soft piano behind a voice that sang alone."""
    frames = Frames(44100, 0.046)
    loud, soft, second = round(6 * frames.rate), round(6 * frames.rate), round(frames.rate)
    logits = np.zeros((loud + soft, 4, BANDS), dtype=np.float32)
    logits[:loud, 2 if first == "voice" else 3] = 20
    logits[loud:, 3 if first == "voice" else 2] = 20
    power = np.ones((loud + soft, BANDS), dtype=np.float32)
    power[loud:] = 0.001
    singing = Singing(frames)
    singing.hear(logits, power)
    voice, rest = singing.weights(0, loud + soft)
    before, after = (rest, voice) if first == "rest" else (voice, rest)
    assert after[: loud - second].max() == pytest.approx(ABSENT)
    assert after[loud + second :].min() == 1
    assert before[: loud - second].min() == 1
