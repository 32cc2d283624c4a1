"""Hybrid Transformer Demucs (Rouard et al., ICASSP 2023) as ONNX: from sound to sound, all stems at once.

What is around the network is done as demucs does it, but for its random shift: the same song gives the same stems.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from plugin_core.providers.neural.networks import Computing, NeuralModel, StemNetwork, StereoMix, Told, Weights
from plugin_core.providers.neural.onnx import Graph, OnnxNetwork, Segment, check_file, join
from plugin_core.providers.neural.tensors import spoilt

Float32 = NDArray[np.float32]

ROWS: Final = ("drums", "bass", "other", "vocals", "guitar", "piano")
"""What the network gives, in its order; the last two where it gives six."""
OVERLAP: Final = 0.25
"""Share of a segment that the next one covers too."""


def load(model: NeuralModel, weights: Sequence[Weights], computing: Computing) -> StemNetwork:
    """Check the files of a model: one that gives all stems, or one for each, which gives that best.

    Raises:
        SettingsError: a file is damaged.
        UsageError: onnxruntime is not installed.
    """
    return OnnxNetwork([HtdemucsPass(model, each, computing) for each in weights])


class HtdemucsPass:
    """One file.

    Args:
        model: the row.
        weights: the file.
        computing: how the machine is used.
    """

    def __init__(self, model: NeuralModel, weights: Weights, computing: Computing) -> None:
        check_file(weights.path)
        self._weights, self._computing = weights, computing
        own = weights.file.stem
        self.stems = (own,) if own else tuple(stem for stem in model.stems if stem != model.rest)
        self.note = ""

    def run(self, mix: StereoMix, tell: Told) -> Iterator[Float32]:
        # Constants that are worked out at load take 5 GB of this graph.
        graph = Graph(self._weights, self._computing, is_folded=False)
        self.note = graph.note
        segment = self._segment(graph)
        rows = [ROWS.index(stem) for stem in self.stems]

        def hear(samples: Float32) -> Float32:
            given = graph.run(samples)
            if given.ndim != 4 or given[:, 0].shape != samples.shape or len(given[0]) <= max(rows):
                raise spoilt(graph.path, f"it gives {given.shape}, and no stereo of {', '.join(ROWS[: max(rows) + 1])}")
            return given

        yield from demix(hear, segment, rows, mix, tell)

    def _segment(self, graph: Graph) -> int:
        """Return the samples of a segment.

        Raises:
            SettingsError: another graph, by its names or what it takes.
        """
        if len(graph.inputs) > 1:
            names = " and ".join(graph.inputs)
            raise spoilt(graph.path, f"it takes {names}, so spectra are left to the program; only whole exports work")
        takes = graph.inputs.get("mix", ())
        if takes[:2] != (1, 2) or not isinstance(takes[-1], int) or graph.outputs != ("stems",):
            given = ", ".join(graph.outputs)
            raise spoilt(graph.path, f"it is no htdemucs: it takes {graph.inputs} and gives {given}")
        return takes[-1]


class Level(NamedTuple):
    """Mean and spread of the two channels' mean, by which the network hears every song alike."""

    mean: float
    spread: float

    @classmethod
    def measure(cls, mix: StereoMix, block: int) -> Level:
        """Listen to the whole song."""
        total = squares = 0.0
        for start in range(0, mix.frames, block):
            middle = mix.read(start, min(block, mix.frames - start)).mean(axis=1, dtype=np.float64)
            total += float(middle.sum())
            squares += float(np.square(middle).sum())
        mean = total / mix.frames
        variance = max(0.0, squares - total * mean) / max(1, mix.frames - 1)
        return cls(mean, float(np.sqrt(variance)) + 1e-8)


def demix(
    run: Callable[[Float32], Float32], segment: int, rows: Sequence[int], mix: StereoMix, tell: Told
) -> Iterator[Float32]:
    """Yield some stems in blocks (stems, samples, 2).

    Args:
        run: the network, from (1, 2, segment) to (1, stems, 2, segment).
        segment: samples that it takes at once.
        rows: which of its stems.
        mix: the song.
        tell: hears the share of the song that is done.
    """
    return join(_segments(run, segment, rows, mix, tell), mix.frames)


def _segments(
    run: Callable[[Float32], Float32], segment: int, rows: Sequence[int], mix: StereoMix, tell: Told
) -> Iterator[Segment]:
    if not mix.frames:
        return
    level = Level.measure(mix, segment)
    up = np.arange(1, segment + 1, dtype=np.float32)
    weight = np.minimum(up, up[::-1])
    starts = range(0, mix.frames, int((1 - OVERLAP) * segment))
    for number, start in enumerate(starts, 1):
        count = min(segment, mix.frames - start)
        lead = (segment - count) // 2  # the last one is heard with what is before it
        samples = _read(mix, start - lead, segment, level)
        stems = run(np.ascontiguousarray(samples.T[None]))[0, rows, :, lead : lead + count].transpose(0, 2, 1)
        tell(number / len(starts))
        yield Segment(start, weight[:count], stems * np.float32(level.spread) + np.float32(level.mean))


def _read(mix: StereoMix, start: int, count: int, level: Level) -> Float32:
    """Return a stretch of the song at its usual level, and silence outside the song."""
    samples = mix.read(start, count)
    inside = samples[max(0, -start) : max(0, mix.frames - start)]
    inside -= np.float32(level.mean)
    inside /= np.float32(level.spread)
    return samples
