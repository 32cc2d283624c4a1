"""Refines the masks of signal processing by what the network hears, along a stream, in memory that does not grow.

What is kept lies between three places: encoded, decoded, and behind what either still looks back at. Nothing depends on
how many frames are heard at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from plugin_core.providers.local.masks import Features
from plugin_core.providers.local.network import BANDS, CHANNELS, FAR, NEAR, STRIDE, Encoded, MaskNetwork
from plugin_core.providers.local.stft import Frames

Float32 = NDArray[np.float32]

LOWEST_HZ: Final = 32.3
BANDS_PER_OCTAVE: Final = 24
HIGHEST_HZ: Final = 16_537.5
"""Power above does not count for the level."""
LEVEL_SECONDS: Final = (4.0, 0.5)
"""How far back and ahead the level is measured that the input is held against."""
FLOOR: Final = 1e-30
RANGE: Final = (-12.0, 8.0)
"""Natural logarithms of power against the level that are told apart."""
SCALE: Final = 0.25
"""What they are multiplied by."""
VOICE_SECONDS: Final = (5.0, 0.75)
"""How far back and ahead it is asked whether somebody sings."""
NO_VOICE, VOICE, ONLY_VOICE, VOICE_ALONE = 0.025, 0.045, 0.96, 0.99
"""Shares of the power that are surely voice: nobody sings up to the first, somebody from the second on; there is
something else up to the third, and nothing from the fourth on."""
NOW_SECONDS: Final = 0.5
"""How far back it is asked what sounds now, which counts whatever was louder before."""
HARDLY, CLEARLY = 0.25, 0.5
"""Shares of the power that sounds now: what has no more than the first need not be there, what has the second is."""
ABSENT: Final = 0.015
"""Weight of what is not there."""
TRUST: Final = 0.01
"""Added to the masks of signal processing, which may be zero where the network knows better."""
EDGES: Final = range(BANDS // 2, BANDS, BANDS // 18)
"""Bands at which matrices are cut into pieces."""
CHUNK: Final = 16
"""Frames weighed at once, few enough for the processor's caches."""


class Hearing:
    """What the network hears of each band: power of middle and side, stereo centre, the masks of signal processing.

    Power is held against the level around it.

    Args:
        frames: the grid.
    """

    def __init__(self, frames: Frames) -> None:
        self.back, self.ahead = (round(seconds * frames.rate) for seconds in LEVEL_SECONDS)
        self.known = 0
        """Frames that have been heard."""
        self._gather = Blocks(_bands(frames.frequencies), EDGES)
        self._counted = round(HIGHEST_HZ * frames.size / frames.sample_rate)
        self._inputs: Float32 = np.zeros((0, BANDS, CHANNELS), dtype=np.float32)
        self._powers: NDArray[np.float64] = np.zeros(0)
        """Mean power of the frames that are kept, and of those that their levels are measured over."""

    def hear(self, features: Features, start: int, stop: int) -> None:
        """Take the next frames, which stand in these rows with their masks."""
        power = features.amplitude[start:stop] ** 2
        whole = self._gather(power)
        whole += np.float32(FLOOR)
        middle = np.minimum(2 * self._gather(features.middle[start:stop]), whole)
        side = np.maximum(whole - middle, np.float32(FLOOR))
        shares = (features.centre, features.drums, features.bass, features.vocals)
        parts = [self._gather(share[start:stop] * power) / whole for share in shares]
        inputs = np.stack([np.log(np.maximum(middle, np.float32(FLOOR))), np.log(side), *parts], axis=2)
        sums = power[:, : self._counted].sum(axis=1, dtype=np.float64)
        self._add(inputs, sums / self._counted)

    def fill(self, count: int) -> None:
        """Take so many frames of silence."""
        silence = np.zeros((count, BANDS, CHANNELS), dtype=np.float32)
        silence[:, :, :2] = np.log(FLOOR)
        self._add(silence, np.zeros(count))

    def _add(self, inputs: Float32, powers: NDArray[np.float64]) -> None:
        self._inputs = np.concatenate((self._inputs, inputs))
        self._powers = np.concatenate((self._powers, powers))
        self.known += len(inputs)

    def inputs(self, begin: int, end: int) -> Float32:
        """Return frames that are kept: (frames, bands, channels)."""
        first = self.known - len(self._inputs)
        inputs = self._inputs[begin - first : end - first].copy()
        levels = self._levels(begin, end)[:, None]
        for power in (inputs[:, :, 0], inputs[:, :, 1]):  # long rows of one are quicker than short ones of two
            power -= levels
            np.clip(power, *RANGE, out=power)
            power *= np.float32(SCALE)
        return inputs

    def forget(self, until: int) -> None:
        """Keep no frames before."""
        self._inputs = self._inputs[max(0, until - self.known + len(self._inputs)) :].copy()
        self._powers = self._powers[max(0, until - self.back - self.known + len(self._powers)) :].copy()

    def _levels(self, begin: int, end: int) -> Float32:
        """Return the logarithm of the mean power around each frame."""
        sums = np.concatenate(([0.0], np.cumsum(self._powers)))
        places = np.arange(begin, end) - self.known + len(self._powers)
        low = np.maximum(places - self.back, 0)
        high = np.minimum(places + self.ahead + 1, len(self._powers))
        levels: Float32 = np.log((sums[high] - sums[low]) / (high - low) + FLOOR).astype(np.float32)
        return levels


class Refinement:
    """Hears masked frames and weighs their masks anew, ``lag`` frames later at most.

    Args:
        frames: the grid.
        network: with its weights.
    """

    def __init__(self, frames: Frames, network: MaskNetwork) -> None:
        self._network = network
        self._hearing = Hearing(frames)
        bins = np.searchsorted(frames.frequencies, [_centre(edge) for edge in EDGES])
        self._spread = Blocks(interpolation(frames.frequencies), bins.tolist())
        self._heard = 0
        """Frames of the stream that have been heard; below, encoded, and refined."""
        self._encoded = 0
        self._refined = 0
        self._kept: Encoded | None = None
        """The last frames that are encoded."""
        self._logits: Float32 = np.zeros((0, 4, BANDS), dtype=np.float32)
        """Of the frames that are decoded and not refined."""
        self._singing = Singing(frames)
        self.lag = 2 * NEAR + FAR + self._hearing.ahead + self._singing.ahead + 2 * STRIDE

    def hear(self, features: Features, start: int, stop: int) -> None:
        """Take the next frames, which stand in these rows with their masks."""
        self._hearing.hear(features, start, stop)
        self._heard += stop - start

    def ready(self, *, ended: bool) -> int:
        """Encode what can be; return how many frames of the stream can be refined.

        Args:
            ended: no more frames come; silence fills the last step.
        """
        hearing = self._hearing
        if ended:
            hearing.fill(-hearing.known % STRIDE)
        until = hearing.known if ended else (hearing.known - NEAR - hearing.ahead) // STRIDE * STRIDE
        if until > self._encoded:
            self._encode(until)
        decoded = self._refined + len(self._logits)
        until = hearing.known if ended else self._encoded - NEAR - FAR
        if until > decoded:
            self._decode(decoded, until)
        return self._heard if ended else max(self._refined, until - self._singing.ahead)

    def refine(self, features: Features, start: int, stop: int) -> None:
        """Write new masks over those of the next frames, which are ready and stand in these rows."""
        count = stop - start
        voice, rest = self._singing.weights(self._refined, self._refined + count)
        for first in range(0, count, CHUNK):
            chunk = slice(first, min(first + CHUNK, count))
            rows = slice(start + chunk.start, start + chunk.stop)
            self._weigh(self._logits[chunk], (rest[chunk], rest[chunk], voice[chunk], rest[chunk]), features, rows)
        self._logits = self._logits[count:].copy()
        self._refined += count

    def _encode(self, until: int) -> None:
        begin = max(0, self._encoded - NEAR)
        end = min(self._hearing.known, until + NEAR)
        inputs = self._hearing.inputs(begin, end)
        middle, side = (np.exp(inputs[:, :, channel] / np.float32(SCALE)) for channel in range(2))
        heard = self._network.encode(inputs, middle + side).cut(self._encoded - begin, until - begin)
        self._kept = self._kept.join(heard) if self._kept else heard
        self._encoded = until
        self._hearing.forget(until - NEAR)

    def _decode(self, start: int, until: int) -> None:
        """Tell the logits of the frames between, the first that are not decoded."""
        if self._kept is None:
            raise AssertionError("what is decoded has been encoded")
        first = self._encoded - len(self._kept.full)
        begin, end = max(0, start - NEAR), min(self._encoded, until + NEAR)
        far = max(0, start - NEAR - FAR)
        around = self._kept.cut(far - first, min(self._encoded, until + NEAR + FAR) - first)
        told = self._network.remember(around.deep)[(begin - far) // STRIDE : (end - far) // STRIDE]
        logits = self._network.decode(self._kept.cut(begin - first, end - first), told)[start - begin : until - begin]
        self._logits = np.concatenate((self._logits, logits))
        self._singing.hear(logits, self._kept.power[start - first : until - first])
        self._kept = self._kept.cut(max(0, until - NEAR - FAR - first), len(self._kept.full))

    def _weigh(self, logits: Float32, weights: tuple[Float32, ...], features: Features, rows: slice) -> None:
        """Take the geometric mean of both opinions in each cell, and share each cell out by it."""
        strength = self._network.strength
        opinions = self._spread(logits + self._network.bias[:, None])
        opinions *= np.float32(strength)
        np.exp(opinions, out=opinions)
        masks = (features.drums[rows], features.bass[rows], features.vocals[rows])
        rest = 1 - masks[0]
        for mask in masks[1:]:
            rest -= mask
        for number, mask in enumerate((*masks, np.maximum(rest, 0, out=rest))):
            opinions[:, number] *= (mask + np.float32(TRUST)) ** (1 - strength)
            opinions[:, number] *= weights[number][:, None]
        total = opinions.sum(axis=1)
        for number, mask in enumerate(masks):
            np.divide(opinions[:, number], total, out=mask)


class Singing:
    """Tells from what is surely voice whether anybody sings for a while, or whether there is anything else.

    Args:
        frames: the grid.
    """

    def __init__(self, frames: Frames) -> None:
        spans = (*VOICE_SECONDS, NOW_SECONDS)
        self._back, self.ahead, self._now = (STRIDE * round(seconds * frames.rate / STRIDE) for seconds in spans)
        centres = np.array([_centre(band) for band in range(BANDS)])
        self._widths = np.maximum(1, centres * (2 ** (1 / BANDS_PER_OCTAVE) - 1) / float(frames.frequencies[1]))
        self._sums: NDArray[np.float64] = np.zeros((1, 3))
        """Of voice, what is surely voice, and all, up to each frame that may be asked for."""
        self._first = 0

    def hear(self, logits: Float32, power: Float32) -> None:
        """Take the next frames."""
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        voice = shares[:, 2] / shares.sum(axis=1)
        parts = [power * voice, power * voice * (voice > 0.5), power]
        sums = np.stack([part @ self._widths for part in parts], axis=1)
        self._sums = np.concatenate((self._sums, self._sums[-1] + np.cumsum(sums, axis=0)))

    def weights(self, begin: int, end: int) -> tuple[Float32, Float32]:
        """Return how much voice, and everything else, counts in each frame; no frame before is asked for again."""
        sure, rest = self._shares(begin, end, self._back)
        sure_now, rest_now = self._shares(begin, end, self._now)
        drop = max(0, end - self._back - self._first)
        self._sums = self._sums[drop:] - self._sums[drop]
        self._first += drop
        singing = np.maximum(_fade(sure, NO_VOICE, VOICE), _fade(sure_now, HARDLY, CLEARLY))
        playing = np.maximum(_fade(rest, 1 - VOICE_ALONE, 1 - ONLY_VOICE), _fade(rest_now, HARDLY, CLEARLY))
        return singing, playing

    def _shares(self, begin: int, end: int, back: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return how much of the power is surely voice, and how much is none, looking so many frames back."""
        places = np.arange(begin, end) - self._first
        low = np.maximum(places - back, 0)
        high = np.minimum(places + self.ahead, len(self._sums) - 1)
        voice, sure, whole = (self._sums[high] - self._sums[low]).T
        whole = np.maximum(whole, FLOOR)
        return sure / whole, 1 - voice / whole


def _fade(shares: NDArray[np.float64], none: float, some: float) -> Float32:
    """Return ``ABSENT`` up to ``none``, one from ``some`` on, and what lies between."""
    presence = np.log(np.maximum(shares, none) / none) / np.log(some / none)
    weights: Float32 = (ABSENT ** (1 - np.minimum(presence, 1))).astype(np.float32)
    return weights


class Blocks:
    """A matrix to multiply rows by, most of it zeros: pieces of columns, each with the rows it needs.

    Args:
        matrix: the whole.
        edges: columns at which pieces end.
    """

    def __init__(self, matrix: Float32, edges: Sequence[int]) -> None:
        self._columns = matrix.shape[1]
        self._pieces: list[tuple[slice, slice, Float32]] = []
        for low, high in pairwise((0, *edges, self._columns)):
            used = np.flatnonzero(matrix[:, low:high].any(axis=1))
            if used.size:
                rows = slice(int(used[0]), int(used[-1]) + 1)
                self._pieces.append((rows, slice(low, high), matrix[rows, low:high].copy()))

    def __call__(self, values: Float32) -> Float32:
        """Return ``values`` times the matrix, over the last axis."""
        product = np.zeros((*values.shape[:-1], self._columns), dtype=np.float32)
        for rows, columns, block in self._pieces:
            product[..., columns] = values[..., rows] @ block
        return product


def _centre(band: int) -> float:
    return LOWEST_HZ * 2 ** (band / BANDS_PER_OCTAVE)


def _bands(frequencies: Float32) -> Float32:
    """Return (bins, bands): triangles, one bin wide at least, each adding up to one; zeros above the last bin."""
    width = float(frequencies[1])
    centres = np.array([_centre(band) for band in range(BANDS)]) / width
    reach = np.maximum(1.0, centres * (2 ** (1 / BANDS_PER_OCTAVE) - 1))
    shares = np.maximum(0, 1 - np.abs(np.arange(len(frequencies))[:, None] - centres) / reach)
    shares /= np.maximum(shares.sum(axis=0), 1e-6)
    return shares.astype(np.float32)


def interpolation(frequencies: Float32) -> Float32:
    """Return (bands, bins): each bin between the two bands around it."""
    place = BANDS_PER_OCTAVE * np.log2(np.maximum(frequencies, 1e-3) / LOWEST_HZ)
    place = np.clip(place, 0, BANDS - 1)
    below = np.minimum(place.astype(np.intp), BANDS - 2)
    share = place - below
    bins = np.arange(len(frequencies))
    matrix = np.zeros((BANDS, len(frequencies)), dtype=np.float32)
    matrix[below, bins] += 1 - share
    matrix[below + 1, bins] += share
    return matrix
