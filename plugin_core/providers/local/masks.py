"""Which part of each time-frequency cell belongs to drums, bass and vocals: one weight from 0 to 1 for each.

Drums are what is broad in frequency and short in time (Fitzgerald, DAFx 2010), or below the low edge what rises
above the running median; bass and vocals are what stands in the stereo centre, low or on the melody's harmonics.
The melody is the smoothest path (Viterbi) through the salience of harmonics, weighted and summed (Klapuri, ISMIR 2006).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from plugin_core.providers.local.medians import running_median
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


Indices = NDArray[np.intp]

LOWEST_HZ, HIGHEST_HZ = 90.0, 1000.0
CENTS = 20.0
HARMONICS = 14
DECAY = 0.84
"""Weight of each harmonic against the one below it."""
TOP_HZ = 6000.0
"""Harmonics above are not looked at."""
WHITENING_HZ = 650.0
REACH = 3
"""States the pitch may move from frame to frame at a price by distance."""
STEP_PRICE = 0.15
JUMP_PRICE = 2.0
STRONG = 3.0
"""What a strong salience is scaled to, so that the prices mean the same in quiet and in loud songs."""
MEMORY_SECONDS = 5.0
"""How far back the scale is taken from."""
LAG_SECONDS = 0.28
"""How much is heard after a frame before its pitch is decided."""


class Melody:
    """Follows the most salient pitch through a stream of frames, each decided by what follows it for a while.

    Nothing depends on how many frames are heard at once.

    Args:
        frames: the grid of the spectra.
        depth: how far the comb goes down between harmonics, 0 to 1.
    """

    def __init__(self, frames: Frames, depth: float) -> None:
        count = 1 + int(1200 * math.log2(HIGHEST_HZ / LOWEST_HZ) / CENTS)
        pitches = LOWEST_HZ * 2 ** (np.arange(count) * CENTS / 1200)
        self.bins = int(np.searchsorted(frames.frequencies, min(TOP_HZ, frames.sample_rate / 2)))
        self.lag = frames.odd_frames(LAG_SECONDS)
        """Frames that must be heard after a frame before its pitch is decided."""
        self._width = min(frames.odd_bins(WHITENING_HZ), 2 * ((self.bins - 1) // 2) + 1)
        self._weights = _harmonic_weights(pitches, frames, self.bins)
        self._combs = _combs(pitches, frames.frequencies, depth)
        self._peaks: Float32 = np.full(frames.odd_frames(MEMORY_SECONDS) - 1, np.inf, dtype=np.float32)
        """The highest salience of the frames before; infinite where there was none."""
        self._scores = np.zeros(count, dtype=np.float32)
        self._origins = np.empty((0, count), dtype=np.int16)
        """Of the frames that are not decided: the state before, by state."""
        self._bests = np.empty(0, dtype=np.int16)
        """The state that the best path to each of them ends in."""

    def hear(self, vocal_power: Float32) -> None:
        """Follow the next frames.

        Args:
            vocal_power: power of what may be vocals (frames, ``bins``); overwritten.
        """
        self._follow(self._scale(self._salience(vocal_power)))

    def finish(self) -> None:
        """Decide the last frames by what was heard: after them the pitch stays."""
        stay = np.arange(self._origins.shape[1], dtype=np.int16)
        self._origins = np.concatenate((self._origins, np.tile(stay, (self.lag, 1))))
        self._bests = np.concatenate((self._bests, np.repeat(self._bests[-1:], self.lag)))

    def combs(self, count: int) -> Float32:
        """Return the weight of each bin (count, all bins) along the melody of the next frames.

        Args:
            count: frames, each with ``lag`` frames heard after it.
        """
        path = self._trace(count)
        self._origins, self._bests = self._origins[count:].copy(), self._bests[count:].copy()
        return self._combs[path]

    def _salience(self, power: Float32) -> Float32:
        np.sqrt(power, out=power)
        np.sqrt(power, out=power)
        power -= _running_mean(power, self._width)
        np.maximum(power, 0, out=power)
        salience: Float32 = power @ self._weights
        return salience

    def _scale(self, salience: Float32) -> Float32:
        """Bring the strong salience of the last seconds to ``STRONG``; frames without any do not count."""
        peaks = salience.max(axis=1)
        known = np.concatenate((self._peaks, np.where(peaks > 0, peaks, np.float32(np.inf))))
        self._peaks = known[len(peaks) :].copy()
        windows = np.sort(np.lib.stride_tricks.sliding_window_view(known, len(self._peaks) + 1), axis=1)
        counts = np.isfinite(windows).sum(axis=1)
        levels = windows[np.arange(len(windows)), (0.9 * np.maximum(counts - 1, 0)).astype(np.intp)]
        salience *= (np.float32(STRONG) / levels)[:, None]
        return salience

    def _follow(self, salience: Float32) -> None:
        frames, count = salience.shape
        padded = np.full(count + 2 * REACH, -np.inf, dtype=np.float32)
        moves = np.lib.stride_tricks.sliding_window_view(padded, count)
        prices: Float32 = (STEP_PRICE * np.abs(np.arange(-REACH, REACH + 1)))[:, None].astype(np.float32)
        offers = np.empty((frames, len(prices), count), dtype=np.float32)  # of each state, by where it may come from
        near = np.empty((frames, count), dtype=np.float32)
        jumps = np.empty((frames, 1), dtype=np.float32)
        tops = np.empty(frames + 1, dtype=np.int16)
        scores = self._scores
        tops[0] = scores.argmax()
        for frame, gain in enumerate(salience):
            padded[REACH:-REACH] = scores
            np.subtract(moves, prices, out=offers[frame])
            best = offers[frame].max(axis=0, out=near[frame])
            jumps[frame] = jump = scores[tops[frame]] - np.float32(JUMP_PRICE)
            scores = np.maximum(best, jump)
            scores += gain
            tops[frame + 1] = top = scores.argmax()
            scores -= scores[top]
        self._scores = scores
        stays = offers.argmax(axis=1) + (np.arange(count) - REACH)
        origins = np.where(near >= jumps, stays, tops[:-1, None]).astype(np.int16)
        self._origins = np.concatenate((self._origins, origins))
        self._bests = np.concatenate((self._bests, tops[1:]))

    def _trace(self, count: int) -> Indices:
        """Return the state of the next frames, each on the best path to the frame ``lag`` later."""
        later = np.arange(count) + self.lag
        path = self._bests[later].astype(np.intp)
        for back in range(self.lag):
            path = self._origins[later - back, path].astype(np.intp)
        return path


def _running_mean(values: Float32, width: int) -> Float32:
    """Return the mean over ``width`` (odd) neighbours of each row, fewer at its ends."""
    columns = values.shape[1]
    sums = np.zeros((len(values), columns + 1), dtype=np.float32)
    np.cumsum(values, axis=1, out=sums[:, 1:])
    low = np.maximum(np.arange(columns) - width // 2, 0)
    high = np.minimum(np.arange(columns) + width // 2 + 1, columns)
    means: Float32 = sums[:, high] - sums[:, low]
    means /= (high - low).astype(np.float32)
    return means


def _harmonic_weights(pitches: NDArray[np.float64], frames: Frames, bins: int) -> Float32:
    """Return a matrix (bins, pitches): how much each bin speaks for each pitch."""
    weights = np.zeros((bins, pitches.size))
    states = np.arange(pitches.size)
    for harmonic in range(1, HARMONICS + 1):
        hertz = harmonic * pitches
        weight = DECAY ** (harmonic - 1) * np.clip((hertz - 90) / 180, 0, 1)
        place = hertz * frames.size / frames.sample_rate
        below = place.astype(np.intp)
        for bin_, share in ((below, 1 - (place - below)), (below + 1, place - below)):
            inside = bin_ < bins
            np.add.at(weights, (bin_[inside], states[inside]), (weight * share)[inside])
    return weights.astype(np.float32)


def _combs(pitches: NDArray[np.float64], frequencies: Float32, depth: float) -> Float32:
    """Return a table (pitches, bins): 1 at the harmonics, ``1 - depth`` far from them."""
    pitch = pitches[:, None].astype(np.float32)
    distance = frequencies / pitch
    np.maximum(np.rint(distance), 1, out=distance)
    distance *= pitch
    distance -= frequencies
    distance /= np.float32(0.6) * np.minimum(35 + np.float32(0.015) * frequencies, pitch / 2)
    distance *= distance
    distance *= np.float32(-0.5)
    table: Float32 = np.exp(distance, out=distance)
    table *= np.float32(depth)
    table += np.float32(1 - depth)
    return table
