"""A small network that hears which stem a band belongs to: four numbers for each of 216 bands of each frame.

An encoder of convolutions over time and frequency, a bottleneck that looks 60 frames ahead and back, a decoder that
looks at both (Ronneberger, MICCAI 2015; Bai, arXiv 1803.01271). ``tests/training`` makes its weights. Arrays are
(frames, bands, channels), so that a convolution is one matrix product over patches that lie in one piece.
"""

from __future__ import annotations

import hashlib
import math
from functools import cache
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from plugin_core.errors import SettingsError
from plugin_core.model import show_path
from plugin_core.providers.local import request

Float32 = NDArray[np.float32]

BANDS: Final = 216
CHANNELS: Final = 6
"""Of the input: power of middle and side, stereo centre, and the masks of signal processing."""
DILATIONS: Final = (1, 2, 4, 8)
STRIDE: Final = 4
"""Frames that one step of the bottleneck stands for."""
NEAR: Final = 8
"""Frames to each side that the encoder, or the decoder, looks at; six at most, in whole steps."""
FAR: Final = STRIDE * sum(DILATIONS)
"""The same for the bottleneck."""
PATCHES: Final = 70_000
"""Values of patches multiplied at once, few enough for the processor's caches."""

SHAPES: Final = {
    "e0": (3, 5, CHANNELS, 16),
    "d1": (3, 5, 16, 32),
    "d2": (3, 5, 32, 48),
    "d3": (3, 5, 48, 64),
    "q": (64, 32),
    "i": (27 * 32, 128),
    **{f"c{step}": (2, 3 * 64, 64) for step in range(len(DILATIONS))},
    **{f"m{step}": (128, 128) for step in range(len(DILATIONS))},
    "o": (128, 27 * 32),
    "p": (32, 64),
    "u3": (3, 3, 112, 48),
    "u2": (3, 3, 80, 32),
    "r1": (32, 16),
    "u1": (3, 3, 32, 16),
    "out": (16, 4),
}
"""Weights by layer, in the order of the file: (time, frequency, in, out), (groups, in, out) or (in, out); after each
one its biases, (out) or for groups (groups, out)."""


COARSE: Final = {"u3": (64, 2), "u2": (48, 1), "u1": (16, 2)}
"""Of the layers that join two inputs: channels of the coarse one, and how many frames each of its frames stands for."""


class NetworkManifest(msgspec.Struct, frozen=True):
    """What the program reads of the file that stands beside the weights."""

    file: str
    sha256: str
    strength: Annotated[float, msgspec.Meta(ge=0, le=1)]
    """How much the network counts against signal processing, 0 to 1."""
    bias: tuple[float, float, float, float]
    """Added to the logits of drums, bass, vocals, other."""


class Encoded(NamedTuple):
    """What the encoder hears: at every frame, every second one twice, and every fourth one."""

    full: Float32
    half: Float32
    narrow: Float32
    deep: Float32
    power: Float32
    """At every frame, of each band; nothing that the network made."""

    def cut(self, begin: int, end: int) -> Encoded:
        """Return the frames between; both begin steps."""
        ratios = (1, 2, 2, STRIDE, 1)
        return Encoded(*(part[begin // ratio : end // ratio] for part, ratio in zip(self, ratios, strict=True)))

    def join(self, later: Encoded) -> Encoded:
        """Return both, one after the other."""
        return Encoded(*(np.concatenate(pair) for pair in zip(self, later, strict=True)))


def read_network() -> MaskNetwork:
    """Return the network that is installed; read once a process.

    Raises:
        SettingsError: there is none, or it is damaged.
    """
    return _read(request.NETWORK_MANIFEST)


@cache
def _read(path: Path) -> MaskNetwork:
    stands = path.name
    try:
        manifest = msgspec.toml.decode(path.read_bytes(), type=NetworkManifest)
        path = path.with_name(Path(manifest.file).name)
        is_whole = path.stat().st_size == 2 * count_parameters()
        data = path.read_bytes() if is_whole else b""
    except OSError as error:
        raise _unusable(path, error.strerror or "it cannot be read") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise _unusable(path, f"it is no manifest ({error})") from error
    if not is_whole:
        raise _unusable(path, "it is cut short, or of another network")
    if hashlib.sha256(data).hexdigest() != manifest.sha256:
        raise _unusable(path, f"its digest is not the one in {stands}")
    return MaskNetwork(np.frombuffer(data, dtype="<f2").astype(np.float32), manifest)


def count_parameters() -> int:
    """Return how many numbers the file holds."""
    return sum(math.prod(shape) + _biases(shape) for shape in SHAPES.values())


def _biases(shape: tuple[int, ...]) -> int:
    return shape[0] * shape[-1] if len(shape) == 3 else shape[-1]


def _unusable(path: Path, why: str) -> SettingsError:
    return SettingsError(f"{show_path(path)}: {why}", remedy="install stembridge again")


class MaskNetwork:
    """The network with its weights.

    Args:
        parameters: all numbers of the file.
        manifest: what belongs to them.
    """

    def __init__(self, parameters: Float32, manifest: NetworkManifest) -> None:
        self.strength = manifest.strength
        self.bias: Float32 = np.array(manifest.bias, dtype=np.float32)
        self._weights: dict[str, Float32] = {}
        self._biases: dict[str, Float32] = {}
        place = 0
        for name, shape in SHAPES.items():
            for table, form in ((self._weights, shape), (self._biases, (_biases(shape),))):
                size = math.prod(form)
                table[name] = parameters[place : place + size].reshape(form)
                place += size
        self._phases = {
            name: _split_phases(self._weights[name][:, :, :depth], times) for name, (depth, times) in COARSE.items()
        }

    def encode(self, inputs: Float32, power: Float32) -> Encoded:
        """Hear whole steps of frames (frames, bands, channels), and keep their power with what is heard."""
        full = self._layer("e0", inputs, (1, 1))
        half = self._layer("d1", full, (2, 2))
        narrow = self._layer("d2", half, (1, 2))
        return Encoded(full, half, narrow, self._layer("d3", narrow, (2, 2)), power)

    def remember(self, deep: Float32) -> Float32:
        """Add to each step what the steps around it say."""
        steps, bands, _ = deep.shape
        memory = self._mix("i", self._mix("q", deep).reshape(steps, -1))
        np.maximum(memory, 0, out=memory)
        for number, dilation in enumerate(DILATIONS):
            padded = np.pad(memory, ((dilation, dilation), (0, 0)))
            taps = np.stack([padded[tap * dilation :][:steps] for tap in range(3)], axis=1)
            halves = taps.reshape(steps, 3, 2, -1).transpose(2, 0, 1, 3).reshape(2, steps, -1)
            heard = (halves @ self._weights[f"c{number}"]).transpose(1, 0, 2).reshape(steps, -1)
            heard += self._biases[f"c{number}"]
            memory = memory + self._mix(f"m{number}", np.maximum(heard, 0))
        told = self._mix("p", self._mix("o", memory).reshape(steps, bands, -1))
        told += deep
        return np.maximum(told, 0, out=told)

    def decode(self, heard: Encoded, told: Float32) -> Float32:
        """Return logits (frames, stems, bands) of drums, bass, vocals and other."""
        narrow = self._join("u3", told, heard.narrow)
        half = self._join("u2", narrow, heard.half)
        logits = self._mix("out", self._join("u1", self._mix("r1", half), heard.full))
        return np.ascontiguousarray(logits.transpose(0, 2, 1))

    def _mix(self, name: str, values: Float32) -> Float32:
        mixed: Float32 = values @ self._weights[name]
        mixed += self._biases[name]
        return mixed

    def _layer(self, name: str, values: Float32, stride: tuple[int, int]) -> Float32:
        heard = _convolve(values, self._weights[name], stride)
        heard += self._biases[name]
        return np.maximum(heard, 0, out=heard)

    def _join(self, name: str, coarse: Float32, fine: Float32) -> Float32:
        """Convolve both, as if every value of the coarse one were repeated until it is as fine."""
        heard = _convolve(fine, self._weights[name][:, :, coarse.shape[2] :])
        rows, bands, _ = coarse.shape
        times, out = len(fine) // rows, heard.shape[2]
        parts = _convolve(coarse, self._phases[name])
        parts = parts.reshape(*parts.shape[:2], times, 2, out)
        places = heard.reshape(rows, times, bands, 2, out)
        for late in range(times):
            for high in range(2):
                places[:, late, :, high] += parts[late : late + rows, high : high + bands, late, high]
        heard += self._biases[name]
        return np.maximum(heard, 0, out=heard)


def _convolve(values: Float32, weights: Float32, stride: tuple[int, int] = (1, 1)) -> Float32:
    """Return (frames, bands, out) with nothing around ``values``; weights (time, frequency, in, out).

    Weights of even length look from between two places, so that there is one more place than there are values.
    """
    tall, wide, depth, out = weights.shape
    frames, bands = values.shape[:2]
    above, before = tall // 2, wide // 2
    padded = np.empty((frames + 2 * above, bands + 2 * before, depth), dtype=np.float32)
    padded[:above] = padded[above + frames :] = 0
    padded[:, :before] = padded[:, before + bands :] = 0
    padded[above : above + frames, before : before + bands] = values
    rows, columns = (len(padded) - tall) // stride[0] + 1, (padded.shape[1] - wide) // stride[1] + 1
    down, across, item = padded.strides
    strides = (stride[0] * down, stride[1] * across, down, item)
    shape = (rows, columns, tall, wide * depth)
    patches = np.lib.stride_tricks.as_strided(padded, shape, strides, writeable=False)
    matrix = weights.reshape(-1, out)
    result = np.empty((rows * columns, out), dtype=np.float32)
    step = max(1, PATCHES // (columns * len(matrix)))
    for start in range(0, rows, step):
        flat = patches[start : start + step].reshape(-1, len(matrix))
        np.matmul(flat, matrix, out=result[start * columns :][: len(flat)])
    return result.reshape(rows, columns, out)


def _split_phases(weights: Float32, times: int) -> Float32:
    """Return what 3 by 3 weights are to values before each is repeated: ``times`` along the frames, twice along bands.

    Repeated values make neighbours equal, so that weights add up: one set for each place in the repetition. A place
    that is repeated looks at its own value and one neighbour, the one on its side: two weights instead of three.
    """
    depth, out = weights.shape[2:]
    tall = 2 if times == 2 else 3
    phases = np.zeros((tall, 2, depth, times, 2, out), dtype=np.float32)
    for late in range(times):
        for high in range(2):
            for row in range(3):
                for column in range(3):
                    source = (late + row + 1) // 2 - late if times == 2 else row
                    phases[source, (high + column + 1) // 2 - high, :, late, high] += weights[row, column]
    return phases.reshape(tall, 2, depth, -1)
