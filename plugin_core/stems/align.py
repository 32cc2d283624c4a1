"""By how many samples a service's parts come late, found by cross-correlation with the source.

Lossy encoders add delay: an MP3 without a LAME tag decodes 1105 samples late, raw AAC 1024.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from plugin_core.audio.reader import open_reader
from plugin_core.audio.samples import Samples
from plugin_core.stems.conform import BLOCK, Conformed, Shape
from plugin_core.threads import Stopper

MAX_LAG: Final = 4096
"""Frames searched in each direction."""

SECONDS: Final = 60.0
"""How much of the beginning is compared."""

CONFIDENT: Final = 0.5
"""Correlation from which an offset is believed and removed."""

Mono = npt.NDArray[np.float32]


class Alignment(msgspec.Struct, frozen=True):
    """How parts lie against their source."""

    lag: int
    """Frames by which the parts come late; 0 where no offset is sure."""
    correlation: float | None
    """Of the sum of the parts with the source at the best lag, -1..1; None where either is silent."""


class Listener:
    """Hears the beginnings of a source and its parts while something else decodes them, all at one sample rate.

    Args:
        sample_rate: hertz.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._room = round(SECONDS * sample_rate)
        self._blocks: list[Mono] = []
        self._total: Mono | None = None

    def hear_source(self, block: Samples) -> None:
        """Take the source's next block, (n, channels)."""
        if self._room > 0 and len(block):
            self._blocks.append(_to_mono(block[: self._room]).astype(np.float32))
            self._room -= len(self._blocks[-1])

    def hear_part(self, block: Samples, start: int) -> None:
        """Add a block of a part that begins at frame ``start``; every block of the source was heard before."""
        total = self._sum()
        head = block[: max(0, len(total) - start)]
        if len(head):
            total[start : start + len(head)] += _to_mono(head)

    def conclude(self) -> Alignment:
        """Return how the sum of the parts lies against the source."""
        total = self._sum()
        return find_lag(np.concatenate(self._blocks) if self._blocks else total, total)

    def _sum(self) -> Mono:
        if self._total is None:
            self._total = np.zeros(sum(map(len, self._blocks)), np.float32)
        return self._total


def measure_alignment(source: Path, parts: Sequence[Path], shape: Shape, stopper: Stopper) -> Alignment:
    """Compare the sum of the parts with the source, over the first minute, whatever their sample rates.

    Args:
        source: the source.
        parts: what to sum; one that has other channels is brought to the source's.
        shape: of the source.
        stopper: checked for each block.

    Raises:
        SourceError: a file cannot be decoded.
    """
    frames = min(shape.frames, round(SECONDS * shape.sample_rate))
    limit = Shape(shape.sample_rate, shape.channels, frames)
    reference = np.zeros(frames, np.float32)
    total = np.zeros(frames, np.float32)
    with ExitStack() as stack:
        streams = [Conformed(stack.enter_context(open_reader(path)), limit) for path in (source, *parts)]
        for start in range(0, frames, BLOCK):
            stopper.check()
            first, *others = [_to_mono(stream.read(BLOCK)) for stream in streams]
            reference[start : start + BLOCK] = first
            total[start : start + BLOCK] = np.sum(others, axis=0)
    return find_lag(reference, total)


def find_lag(reference: Mono, delayed: Mono) -> Alignment:
    """Return by how many frames ``delayed`` comes after ``reference``; both one-dimensional and of equal length."""
    energy = float(np.vdot(reference, reference)) * float(np.vdot(delayed, delayed))
    if energy <= 0.0:
        return Alignment(0, None)
    products = _cross_correlate(reference, delayed) / np.sqrt(energy)
    best = int(np.argmax(products))
    correlation = float(products[best])
    return Alignment(best - MAX_LAG if correlation >= CONFIDENT else 0, correlation)


def _cross_correlate(reference: Mono, delayed: Mono) -> Samples:
    """Return the inner products at lags -MAX_LAG..MAX_LAG, block-wise so that memory stays small."""
    # Transforms that fit into the processor's cache take half the time of larger, fewer ones.
    size = 1 << (4 * MAX_LAG - 1).bit_length()
    step = size - 2 * MAX_LAG
    padded = np.pad(delayed, MAX_LAG)
    spectrum = np.zeros(size // 2 + 1, np.complex128)
    for start in range(0, len(reference), step):
        block = reference[start : start + step]
        window = padded[start : start + len(block) + 2 * MAX_LAG]
        spectrum += np.conj(np.fft.rfft(block, size)) * np.fft.rfft(window, size)
    return np.fft.irfft(spectrum, size)[: 2 * MAX_LAG + 1]


def _to_mono(block: Samples) -> Samples:
    """Average the channels; a product takes a twentieth of the time of ``mean`` over so short an axis."""
    return block @ np.full(block.shape[1], 1.0 / block.shape[1], block.dtype)
