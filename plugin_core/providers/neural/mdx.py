"""MDX-Net of the UVR community: a U-Net (TFC-TDF, Choi et al., ISMIR 2021) from spectrum to spectrum, one stem a file.

What is around the network is done as audio-separator does it, but for its gains: those leave a stem too low where a
song's peak is below full scale. The stem is scaled once, by the file's ``compensate``, before it is subtracted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from plugin_core.providers.neural.networks import (
    Computing,
    NeuralModel,
    StemNetwork,
    StereoMix,
    Told,
    WeightFile,
    Weights,
)
from plugin_core.providers.neural.onnx import Graph, OnnxNetwork, Segment, check_file, join
from plugin_core.providers.neural.spectra import hann
from plugin_core.providers.neural.tensors import spoilt

Float32 = NDArray[np.float32]

HOP: Final = 1024
OVERLAP: Final = 0.25
"""Share of a chunk that the next one covers too."""
BLOCK: Final = 16
"""Frames transformed at once."""
MUTED: Final = 3
"""Lowest bins, which the networks never heard when they learnt."""


class MdxShape(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the row of a file says of it."""

    n_fft: Annotated[int, msgspec.Meta(ge=2 * HOP)]
    """Samples of a window."""
    dim_f: Annotated[int, msgspec.Meta(ge=1)]
    """Bins that the network takes and gives, the lowest of the spectrum."""
    dim_t: Annotated[int, msgspec.Meta(ge=2)]
    """Frames that it takes at once."""
    compensate: float = 1.0
    """What it gives is too low by that."""

    @property
    def trim(self) -> int:
        """Samples at a chunk's ends that are only half heard."""
        return self.n_fft // 2

    @property
    def chunk(self) -> int:
        """Samples that the network takes at once."""
        return HOP * (self.dim_t - 1)


def load(model: NeuralModel, weights: Sequence[Weights], computing: Computing) -> StemNetwork:  # noqa: ARG001
    """Check the files of a model, one for each of its stems but the rest; each is opened in its turn.

    Raises:
        SettingsError: a file is damaged, or its row says what cannot be.
        UsageError: onnxruntime is not installed.
    """
    return OnnxNetwork([MdxPass(each, computing) for each in weights])


def read_shape(file: WeightFile) -> MdxShape:
    """Return what the row of a file says; every parameter of a row is a float, also what TOML has as a whole number."""
    whole = {name: int(value) if value.is_integer() else value for name, value in file.parameters.items()}
    return msgspec.convert(whole, MdxShape)


class MdxPass:
    """One file, which gives one stem.

    Args:
        weights: the file.
        computing: how the machine is used.
    """

    def __init__(self, weights: Weights, computing: Computing) -> None:
        check_file(weights.path)
        self._weights, self._computing = weights, computing
        self.stems = (weights.file.stem,)
        self.note = ""
        self.shape = read_shape(weights.file)

    def run(self, mix: StereoMix, tell: Told) -> Iterator[Float32]:
        graph = Graph(self._weights, self._computing)
        self.note = graph.note
        bins, frames = self.shape.dim_f, self.shape.dim_t
        if [shape[1:] for shape in graph.inputs.values()] != [(4, bins, frames)]:
            raise spoilt(graph.path, f"it is no MDX-Net of {bins} bins and {frames} frames: it takes {graph.inputs}")

        def hear(spectra: Float32) -> Float32:
            given = graph.run(spectra)
            if given.shape != spectra.shape:
                raise spoilt(graph.path, f"it is no MDX-Net: it takes {spectra.shape} and gives {given.shape}")
            return given

        yield from demix(hear, self.shape, mix, tell)


def demix(
    run: Callable[[Float32], Float32], shape: MdxShape, mix: StereoMix, tell: Told, *, overlap: float = OVERLAP
) -> Iterator[Float32]:
    """Yield the stem in blocks (1, samples, 2).

    Args:
        run: the network: spectra (1, 4, bins, frames) to spectra; left and right, real and imaginary parts.
        shape: of its spectra.
        mix: the song.
        tell: hears the share of the song that is done.
        overlap: share of a chunk that the next one covers too, below 1.
    """
    return join(_segments(run, shape, mix, tell, overlap), mix.frames)


def _segments(
    run: Callable[[Float32], Float32], shape: MdxShape, mix: StereoMix, tell: Told, overlap: float
) -> Iterator[Segment]:
    whole = shape.chunk - 2 * shape.trim
    end = mix.frames + whole + shape.trim - mix.frames % whole
    """Of the song with the silence that fills its last chunks."""
    starts = range(-shape.trim, mix.frames, int((1 - overlap) * shape.chunk))
    for number, start in enumerate(starts, 1):
        spectra = analyse(mix.read(start, shape.chunk), shape)
        spectra[:, :MUTED] = 0
        sound = synthesise(run(spectra[None])[0], shape)
        count = min(shape.chunk, end - start)
        weight = np.hanning(count).astype(np.float32) if overlap else np.ones(count, np.float32)
        sound *= np.float32(shape.compensate)
        tell(number / len(starts))
        yield Segment(start, weight, sound[None, :count])


def analyse(samples: Float32, shape: MdxShape) -> Float32:
    """Return the lower bins (4, bins, frames) of a chunk (samples, 2), which is mirrored at its ends."""
    spectra = np.empty((4, shape.dim_f, shape.dim_t), dtype=np.float32)
    window = hann(shape.n_fft) * np.float32(shape.n_fft)  # divided by again: else numpy transforms in float64
    for channel in range(2):
        padded = np.pad(samples[:, channel], shape.trim, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, shape.n_fft)[::HOP]
        for some in _blocks(shape):
            bins = np.fft.rfft(frames[some] * window, axis=-1, norm="forward")[:, : shape.dim_f].T
            spectra[2 * channel, :, some], spectra[2 * channel + 1, :, some] = bins.real, bins.imag
    return spectra


def synthesise(spectra: Float32, shape: MdxShape) -> Float32:
    """Return the chunk (samples, 2) of lower bins (4, bins, frames); above them is silence."""
    window = hann(shape.n_fft)
    sound = np.zeros((2, shape.n_fft + shape.chunk), dtype=np.float32)
    weight = np.zeros(sound.shape[1], dtype=np.float32)
    for channel in range(2):
        for some in _blocks(shape):
            bins = spectra[2 * channel, :, some].T + np.complex64(1j) * spectra[2 * channel + 1, :, some].T
            frames = np.fft.irfft(bins, n=shape.n_fft, axis=-1)
            frames *= window
            for number, frame in enumerate(frames, some.start):
                sound[channel, number * HOP : number * HOP + shape.n_fft] += frame
    for number in range(shape.dim_t):
        weight[number * HOP : number * HOP + shape.n_fft] += window * window
    inside = slice(shape.trim, shape.trim + shape.chunk)
    return (sound[:, inside] / weight[inside]).T


def _blocks(shape: MdxShape) -> list[slice]:
    """Divide the frames of a chunk: few at a time fit the processor's caches."""
    return [slice(start, min(start + BLOCK, shape.dim_t)) for start in range(0, shape.dim_t, BLOCK)]
