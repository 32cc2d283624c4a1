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
from plugin_core.stems.stopping import Stopper

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


def measure_alignment(source: Path, parts: Sequence[Path], shape: Shape, stopper: Stopper) -> Alignment:
    """Compare the sum of the parts with the source, over the first minute.

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
            first, *others = [stream.read(BLOCK).mean(axis=1) for stream in streams]
            reference[start : start + BLOCK] = first
            total[start : start + BLOCK] = np.sum(others, axis=0)
    return find_lag(reference, total)


def find_lag(reference: Mono, delayed: Mono, max_lag: int = MAX_LAG) -> Alignment:
    """Return by how many frames ``delayed`` comes after ``reference``; both one-dimensional and of equal length."""
    energy = float(np.vdot(reference, reference)) * float(np.vdot(delayed, delayed))
    if energy <= 0.0:
        return Alignment(0, None)
    products = _cross_correlate(reference, delayed, max_lag) / np.sqrt(energy)
    best = int(np.argmax(products))
    correlation = float(products[best])
    return Alignment(best - max_lag if correlation >= CONFIDENT else 0, correlation)


def _cross_correlate(reference: Mono, delayed: Mono, max_lag: int) -> Samples:
    """Return the inner products at lags -max_lag..max_lag, block-wise so that memory stays small."""
    size = 1 << (min(BLOCK, len(reference)) + 2 * max_lag - 1).bit_length()
    padded = np.pad(delayed, max_lag)
    spectrum = np.zeros(size // 2 + 1, np.complex128)
    for start in range(0, len(reference), BLOCK):
        block = reference[start : start + BLOCK]
        window = padded[start : start + len(block) + 2 * max_lag]
        spectrum += np.conj(np.fft.rfft(block, size)) * np.fft.rfft(window, size)
    return np.fft.irfft(spectrum, size)[: 2 * max_lag + 1]
