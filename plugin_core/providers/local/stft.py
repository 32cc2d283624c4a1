"""Short-time Fourier transform of a stream, there and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Complex64 = NDArray[np.complex64]

# numpy transforms float32 to complex64 and back, but its annotations of ``out`` know only the wider types; hence Any.

OVERLAP = 4
"""Windows that cover each sample."""


class Frames:
    """The grid of windows on a stream: frame t covers ``size`` samples from ``t * hop - (size - hop)`` on.

    Args:
        sample_rate: hertz.
        window_seconds: wished length of a window.
    """

    def __init__(self, sample_rate: int, window_seconds: float) -> None:
        self.sample_rate = sample_rate
        self.size = 1 << max(6, round(math.log2(sample_rate * window_seconds)))
        self.hop = self.size // OVERLAP
        self.lead = self.size - self.hop
        """Samples before the stream that the first window covers; as many come late out of ``Synthesis``."""
        self.bins = self.size // 2 + 1
        self.rate = sample_rate / self.hop
        """Frames in a second."""
        self.frequencies: Float32 = (np.arange(self.bins) * sample_rate / self.size).astype(np.float32)
        self.window: Float32 = np.hanning(self.size + 1)[:-1].astype(np.float32)

    def count(self, samples: int) -> int:
        """Return how many frames cover that many samples."""
        return -(-(samples + self.lead) // self.hop)

    def odd_bins(self, hertz: float) -> int:
        """Return the odd number of bins nearest to a width."""
        return 2 * int(hertz * self.size / self.sample_rate / 2) + 1

    def odd_frames(self, seconds: float) -> int:
        """Return the odd number of frames nearest to a time."""
        return 2 * int(seconds * self.rate / 2) + 1


class Analysis:
    """Turns a stream of samples into spectra, one channel.

    Args:
        frames: the grid.
        most: frames wanted at once, at most.
    """

    def __init__(self, frames: Frames, most: int) -> None:
        self._frames = frames
        # With a whole number as its factor numpy transforms in float64, five times as slow; so it divides by the size,
        # a power of two that the window brings in again without any rounding.
        self._window: Float32 = frames.window * np.float32(frames.size)
        self._past = np.zeros(frames.lead, dtype=np.float32)
        self._windowed = np.empty((most, frames.size), dtype=np.float32)

    def push(self, samples: Float32, out: Any) -> None:
        """Write the spectra of the next ``samples.size / hop`` frames to ``out``, complex64 (frames, bins)."""
        frames = self._frames
        known = np.concatenate((self._past, samples))
        self._past = known[known.size - frames.lead :].copy()
        rows = np.lib.stride_tricks.sliding_window_view(known, frames.size)[:: frames.hop]
        windowed = self._windowed[: len(rows)]
        np.multiply(rows, self._window, out=windowed)
        np.fft.rfft(windowed, axis=1, norm="forward", out=out)


class Synthesis:
    """Turns spectra back into a stream by overlap and add, one channel; ``lead`` samples late.

    Args:
        frames: the grid.
        most: frames given at once, at most.
    """

    def __init__(self, frames: Frames, most: int) -> None:
        self._frames = frames
        self._window: Float32 = frames.window / np.float32(1.5)  # four squared Hann windows sum to 1.5
        self._tail = np.zeros(frames.lead, dtype=np.float32)
        self._waves: Any = np.empty((most, frames.size), dtype=np.float32)

    def push(self, spectra: Complex64) -> Float32:
        """Return the next ``frames * hop`` samples; the very first ``lead`` samples lie before the stream."""
        frames = self._frames
        waves = self._waves[: len(spectra)]
        np.fft.irfft(spectra, n=frames.size, axis=1, out=waves)
        waves *= self._window
        mixed = np.zeros((len(spectra) + OVERLAP - 1, frames.hop), dtype=np.float32)
        mixed[: OVERLAP - 1] = self._tail.reshape(OVERLAP - 1, frames.hop)
        for quarter in range(OVERLAP):
            mixed[quarter : quarter + len(spectra)] += waves[:, quarter * frames.hop : (quarter + 1) * frames.hop]
        self._tail = mixed[len(spectra) :].reshape(-1).copy()
        return mixed[: len(spectra)].reshape(-1)
