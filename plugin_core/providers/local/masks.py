"""Which part of each time-frequency cell belongs to drums, bass and vocals: one weight from 0 to 1 for each.

Drums are what is broad in frequency and short in time (Fitzgerald, DAFx 2010), or below the low edge what rises
above the running median; bass and vocals are what stands in the stereo centre, low or on the melody's harmonics.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from plugin_core.providers.local.medians import running_median
from plugin_core.providers.local.melody import Melody
from plugin_core.providers.local.request import Parameters
from plugin_core.providers.local.stft import Complex64, Frames

Float32 = NDArray[np.float32]
UInt16 = NDArray[np.uint16]

SLAB = 65_536
"""Values of neighbouring columns whose medians are taken at once, few enough for the processor's caches."""


class Features:
    """What the masks are made of, for the frames in view; rows are overwritten as the view moves on.

    Args:
        rows: frames kept at once, at most.
        bins: of a spectrum.
    """

    def __init__(self, rows: int, bins: int) -> None:
        self.amplitude = np.empty((rows, bins), dtype=np.float32)
        self.broad = np.empty((rows, bins), dtype=np.float32)
        """Running median of the amplitude over frequency."""
        self.middle = np.empty((rows, bins), dtype=np.float32)
        """Power of the stereo middle."""
        self.centre = np.empty((rows, bins), dtype=np.float32)
        """Share of the cell that stands in the stereo centre."""
        self.drums = np.empty((rows, bins), dtype=np.float32)
        """Share of the cell that is drums, of the rows that are decided."""
        self.bass = np.empty((rows, bins), dtype=np.float32)
        """The same of bass and of vocals, of the rows that are masked."""
        self.vocals = np.empty((rows, bins), dtype=np.float32)

    def heard(self) -> tuple[Float32, ...]:
        """Return what no masked row needs any more."""
        return self.amplitude, self.broad, self.middle, self.centre

    def masks(self) -> tuple[Float32, Float32, Float32]:
        """Return drums, bass and vocals."""
        return self.drums, self.bass, self.vocals


class Masker:
    """Turns spectra into features and features into masks.

    Args:
        frames: the grid of the spectra.
        parameters: of the method.
    """

    def __init__(self, frames: Frames, parameters: Parameters) -> None:
        p = parameters
        f = frames.frequencies
        self._parameters = p
        self._time_width = frames.odd_frames(p.time_median_seconds)
        self._low_width = frames.odd_frames(p.low_median_seconds)
        self._frequency_width = min(frames.odd_bins(p.frequency_median_hz), 2 * ((frames.bins - 1) // 2) - 1)
        self.context = max(self._time_width, self._low_width) // 2
        """Frames needed before and after a frame."""
        self._low_bins = min(int(np.searchsorted(f, 3.5 * p.low_edge_hz)), frames.bins)
        self._low_share = (1 / (1 + (f[: self._low_bins] / p.low_edge_hz) ** 8)).astype(np.float32)
        bass = 1 / (1 + (f.astype(np.float64) / p.bass_edge_hz) ** 4)
        low = np.maximum(f.astype(np.float64), 1e-3)
        band = 1 / (1 + (p.vocals_low_hz / low) ** 8) / (1 + (f.astype(np.float64) / p.vocals_high_hz) ** 8)
        self._bass_band = bass.astype(np.float32)
        self._vocals_band = ((1 - bass) * band).astype(np.float32)
        self.melody = Melody(frames, p.melody_depth) if p.melody_depth > 0 else None
        self.lag = self.melody.lag if self.melody else 0
        """Frames that must be decided after a frame before its masks are told."""

    def describe(self, left: Complex64, right: Complex64 | None, features: Features, rows: slice) -> None:
        """Write the features of new spectra (frames, bins) to ``rows``; one channel alone is all centre."""
        amplitude, middle, centre = (array[rows] for array in (features.amplitude, features.middle, features.centre))
        power = _power(left)
        if right is None:
            middle[:] = power
            centre[:] = 1
        else:
            power += _power(right)
            cross = left.real * right.real
            cross += left.imag * right.imag
            cross *= 2
            np.add(power, cross, out=middle)
            side = np.subtract(power, cross, out=cross)
            for part in (middle, side):  # rounding can leave less than nothing
                part *= np.float32(0.25)
                np.maximum(part, 0, out=part)
            side *= np.float32(self._parameters.centre_weight)
            side += middle
            np.divide(middle, _above_zero(side), out=centre)
        np.sqrt(power, out=amplitude)
        features.broad[rows] = _median_of_rows(amplitude, self._frequency_width)

    def decide(self, features: Features, start: int, stop: int, known: tuple[int, int]) -> None:
        """Write the drums of the rows from ``start`` to ``stop``, and hear the melody in them.

        Args:
            features: the view.
            start: first row to decide.
            stop: row after the last to decide, ``context`` before ``known`` ends unless the stream ends there.
            known: first row and row after the last that hold frames of the stream.
        """
        drums = features.drums[start:stop]
        self._tell_drums(features, start, stop, known)
        if self.melody is not None:
            bins = self.melody.bins
            voice = 1 - drums[:, :bins]
            voice *= voice
            voice *= features.centre[start:stop, :bins]
            voice *= features.middle[start:stop, :bins]
            self.melody.hear(voice)

    def mask(self, features: Features, start: int, stop: int) -> None:
        """Write bass and vocals of decided rows, ``lag`` before the last that is decided unless the stream ends."""
        bass, vocals = features.bass[start:stop], features.vocals[start:stop]
        np.subtract(1, features.drums[start:stop], out=bass)
        bass *= features.centre[start:stop]
        np.multiply(bass, self._vocals_band, out=vocals)
        if self.melody is not None:
            vocals *= self.melody.combs(stop - start)
        bass *= self._bass_band

    def _tell_drums(self, features: Features, start: int, stop: int, known: tuple[int, int]) -> None:
        p = self._parameters
        for columns, steady in _medians_of_columns(features.amplitude, start, stop, known, self._time_width):
            broad = features.broad[start:stop, columns]
            drums = np.multiply(broad, broad, out=features.drums[start:stop, columns])
            steady *= steady
            steady *= np.float32(p.harmonic_weight)
            steady += drums
            drums /= _above_zero(steady)
        low = features.amplitude[:, : self._low_bins]
        for columns, base in _medians_of_columns(low, start, stop, known, self._low_width):
            excess = np.maximum(low[start:stop, columns] - base, 0)
            excess *= excess
            base *= base
            base *= np.float32(p.low_weight)
            base += excess
            excess /= _above_zero(base)
            drums = features.drums[start:stop, columns]
            excess -= drums
            excess *= self._low_share[columns]
            drums += excess


def _power(spectra: Complex64) -> Float32:
    power: Float32 = spectra.real * spectra.real
    power += spectra.imag * spectra.imag
    return power


def _above_zero(values: Float32) -> Float32:
    """Keep a divisor from zero, in place; where it is zero, so is what it divides."""
    return np.maximum(values, np.float32(1e-30), out=values)


def _mirror(first: int, count: int, known: tuple[int, int]) -> NDArray[np.intp]:
    """Return row numbers from ``first`` on, reflected at the ends of what is known."""
    low, high = known
    period = max(1, 2 * (high - low - 1))
    place = (np.arange(first, first + count) - low) % period
    return low + np.minimum(place, period - place)


def _median_of_rows(values: Float32, width: int) -> Float32:
    """Return the running median along each row, mirrored at its ends."""
    half = width // 2
    columns = values.shape[1]
    padded = np.empty((len(values), columns + 2 * half), dtype=np.uint16)
    coarse = _coarsen(values, padded[:, half : half + columns])
    padded[:, :half] = coarse[:, half:0:-1]
    padded[:, half + columns :] = coarse[:, -2 : -2 - half : -1]
    flat = padded.reshape(-1)
    medians = np.empty(flat.size, dtype=np.uint16)
    medians[: flat.size - 2 * half] = running_median(flat, width, 1)
    return _refine(medians.reshape(padded.shape)[:, :columns])


def _medians_of_columns(
    values: Float32, start: int, stop: int, known: tuple[int, int], width: int
) -> Iterator[tuple[slice, Float32]]:
    """Yield the running median along some columns for rows ``start`` to ``stop``, mirrored where frames end."""
    rows = _mirror(start - width // 2, stop - start + width - 1, known)
    step = max(1, SLAB // (stop - start))
    for column in range(0, values.shape[1], step):
        columns = slice(column, min(column + step, values.shape[1]))
        slab = values[:, columns].take(rows, axis=0)
        coarse = _coarsen(slab, np.empty(slab.shape, dtype=np.uint16))
        yield columns, _refine(running_median(coarse.reshape(-1), width, slab.shape[1]).reshape(stop - start, -1))


def _coarsen(values: Float32, out: UInt16) -> UInt16:
    """Keep the upper half of each number that is not below zero: whole numbers in the same order, to one in 256.

    Medians of them take half as long, and what both halves of a ratio are short of cancels out.
    """
    return np.right_shift(values.view(np.uint32), 16, out=out, casting="unsafe")


def _refine(coarse: UInt16) -> Float32:
    """Return the numbers again, without the halves that are gone."""
    return np.left_shift(coarse, 16, dtype=np.uint32).view(np.float32)
