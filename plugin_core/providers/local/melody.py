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
"""Half-life of the scale."""


class Melody:
    """Follows the most salient pitch through a stream of frames.

    Args:
        frames: the grid of the spectra.
        depth: how far the comb goes down between harmonics, 0 to 1.
    """

    def __init__(self, frames: Frames, depth: float) -> None:
        count = 1 + int(1200 * math.log2(HIGHEST_HZ / LOWEST_HZ) / CENTS)
        pitches = LOWEST_HZ * 2 ** (np.arange(count) * CENTS / 1200)
        self._frames = frames
        self.bins = int(np.searchsorted(frames.frequencies, min(TOP_HZ, frames.sample_rate / 2)))
        self._width = min(frames.odd_bins(WHITENING_HZ), 2 * ((self.bins - 1) // 2) + 1)
        self._weights = _harmonic_weights(pitches, frames, self.bins)
        self._combs = _combs(pitches, frames.frequencies, depth)
        self._scores = np.zeros(count, dtype=np.float32)
        self._level = 0.0

    def comb(self, vocal_power: Float32, settled: int) -> Float32:
        """Return the weight of each bin (settled, all bins) along the melody of the next frames.

        Args:
            vocal_power: power of what may be vocals (frames, ``bins``); overwritten.
            settled: frames whose pitch is decided now; the ones after them are looked at and given again next time.
        """
        salience = self._salience(vocal_power, settled)
        path = self._follow(salience, settled)
        return self._combs[path[:settled]]

    def _salience(self, power: Float32, settled: int) -> Float32:
        np.sqrt(power, out=power)
        np.sqrt(power, out=power)
        power -= _running_mean(power, self._width)
        np.maximum(power, 0, out=power)
        salience: Float32 = power @ self._weights
        level = float(np.quantile(salience.max(axis=1), 0.9))
        forget = 1 - 0.5 ** (settled / self._frames.rate / MEMORY_SECONDS)
        self._level = level if self._level == 0 else self._level + forget * (level - self._level)
        if self._level > 0:
            salience *= np.float32(STRONG / self._level)
        return salience

    def _follow(self, salience: Float32, settled: int) -> Indices:
        """Return the best state of each frame; what leads to the settled ones is remembered."""
        count = salience.shape[1]
        origins = np.empty(salience.shape, dtype=np.intp)
        padded = np.full(count + 2 * REACH, -np.inf, dtype=np.float32)
        moves = np.lib.stride_tricks.sliding_window_view(padded, count)
        prices: Float32 = (STEP_PRICE * np.abs(np.arange(-REACH, REACH + 1)))[:, None].astype(np.float32)
        offsets = np.arange(count) - REACH
        states = np.arange(count)
        scores = self._scores
        for frame, gain in enumerate(salience):
            padded[REACH:-REACH] = scores
            offers = moves - prices
            choice = offers.argmax(axis=0)
            best = offers[choice, states]
            top = int(scores.argmax())
            jump = scores[top] - np.float32(JUMP_PRICE)
            origins[frame] = np.where(best >= jump, choice + offsets, top)
            np.maximum(best, jump, out=best)
            scores = best + gain
            scores -= scores.max()
            if frame == settled - 1:
                self._scores = scores
        return _trace(origins, int(scores.argmax()))


def _trace(origins: Indices, last: int) -> Indices:
    path = np.empty(len(origins), dtype=np.intp)
    for frame in range(len(origins) - 1, -1, -1):
        path[frame] = last
        last = int(origins[frame, last])
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
    pitch = pitches[:, None]
    hertz = frequencies[None, :].astype(np.float64)
    distance = np.abs(hertz - pitch * np.maximum(np.rint(hertz / pitch), 1))
    width = 0.6 * np.minimum(35 + 0.015 * hertz, pitch / 2)
    table: Float32 = (1 - depth + depth * np.exp(-0.5 * (distance / width) ** 2)).astype(np.float32)
    return table
