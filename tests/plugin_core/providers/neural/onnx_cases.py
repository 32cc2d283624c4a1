"""What the reference pipelines were asked, and what stands for a network there and in tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plugin_core.providers.neural.mdx import MdxShape
from plugin_core.providers.neural.networks import Kind, NeuralModel, Weights

Float32 = NDArray[np.float32]
FIXTURE = Path(__file__).parent / "onnx_oracle.npz"


class Mdx(NamedTuple):
    """A song of ``frames`` samples through a network of a shape."""

    frames: int
    shape: MdxShape
    overlap: float = 0.25


class Demucs(NamedTuple):
    """A song of ``frames`` samples through a network that takes ``segment``."""

    frames: int
    segment: int


MDX = {
    "quarter": Mdx(40_000, MdxShape(2048, 900, 16)),
    "half": Mdx(40_000, MdxShape(2048, 1025, 16), 0.5),
    "none": Mdx(30_001, MdxShape(3072, 1024, 12), 0.0),
    "short": Mdx(900, MdxShape(2560, 700, 8)),
    "uneven": Mdx(61_441, MdxShape(7680, 3072, 24), 0.1),
    "true": Mdx(300_000, MdxShape(7680, 3072, 256)),
    "kuielab": Mdx(380_000, MdxShape(16384, 2048, 512)),
}
DEMUCS = {
    "even": Demucs(9_000, 2_000),
    "odd": Demucs(7_777, 1_501),
    "one": Demucs(700, 2_000),
    "exact": Demucs(4_500, 3_000),
    "whole": Demucs(800_000, 343_980),
}


def make_mix(frames: int) -> Float32:
    """Return a song (frames, 2): chirps off zero and of changing level; the same on every machine."""
    time = np.arange(frames) / 44_100
    left = np.sin(2 * np.pi * (200 + 900 * time) * time) * (0.3 + 0.2 * np.sin(5 * time)) + 0.05
    right = 0.4 * np.sin(2 * np.pi * (3000 - 150 * time) * time) + 0.2 * np.sin(2 * np.pi * 61 * time)
    return np.stack((left, right), axis=1).astype(np.float32)


def mdx_net(spectra: Float32) -> Float32:
    """Return spectra that are no multiple of what came in, and mix channels, bins and frames."""
    size = np.abs(spectra)
    bent: Float32 = 0.6 * spectra * size / (1 + size) + 0.2 * spectra[:, ::-1] + 0.1 * np.roll(spectra, (1, 1), (2, 3))
    return bent.astype(np.float32)


def demucs_net(mix: Float32) -> Float32:
    """Return four stems (1, 4, 2, samples) that depend on where in its segment a sample lies."""
    ramp = np.linspace(0.5, 1.0, mix.shape[-1], dtype=np.float32)
    return np.stack((mix * ramp, np.tanh(mix), mix[:, ::-1] * 0.3 + 0.1, np.roll(mix, 7, axis=-1)), axis=1)


def choose(samples: Float32, axis: int = 0) -> Float32:
    """Return what a fixture keeps: both ends, and a sample here and there."""
    frames = samples.shape[axis]
    places = {*range(min(60, frames)), *range(max(0, frames - 60), frames), *range(0, frames, 997)}
    kept: Float32 = samples.take(sorted(places), axis)
    return kept


class ArrayMix:
    """A song that lies in memory.

    Args:
        samples: (frames, 2).
    """

    def __init__(self, samples: Float32) -> None:
        self._samples = samples
        self.furthest = 0
        """The last sample that was asked for."""

    @property
    def frames(self) -> int:
        return len(self._samples)

    def read(self, start: int, count: int) -> Float32:
        self.furthest = max(self.furthest, start + count)
        block = np.zeros((count, 2), dtype=np.float32)
        inside = self._samples[max(0, start) : max(0, start + count)]
        block[max(0, -start) :][: len(inside)] = inside
        return block


def ignore(_share: float) -> None:
    """Hear nothing of how far it is."""


def make_model(kind: Kind, stems: tuple[str, ...], weights: Sequence[Weights]) -> NeuralModel:
    """Return the row of some files, whose rest is ``other``."""
    return NeuralModel(
        id="tiny",
        kind=kind,
        name="Tiny",
        summary="for tests",
        stems=stems,
        rest="other",
        files=tuple(each.file for each in weights),
        licence="none",
        commerce="allowed",
        author="nobody",
        page="https://example.org",
    )
