"""The singer's pitch: salience of harmonics, the smoothest path through it, and a comb along the path.

Salience as the weighted sum of harmonics follows Klapuri (ISMIR 2006), the path is Viterbi's.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from plugin_core.providers.local.stft import Frames

Float32 = NDArray[np.float32]
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
