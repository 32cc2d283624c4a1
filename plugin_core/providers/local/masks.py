"""Which part of each time-frequency cell belongs to drums, bass and vocals: one weight from 0 to 1 for each.

Drums are what is broad in frequency and short in time (Fitzgerald, DAFx 2010), or below the low edge what rises
above the running median; bass and vocals are what stands in the stereo centre, low or on the melody's harmonics.

The medians use nothing but ``numpy.minimum`` and ``numpy.maximum``: a median of L neighbours is a sorting network
(Batcher's odd-even merge) pruned to its middle output. Applied to shifted views of one array, many comparators of the
network do the same work at another shift; they are computed once.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plugin_core.providers.local.melody import Melody
from plugin_core.providers.local.request import Parameters
from plugin_core.providers.local.stft import Complex64, Frames

Float32 = NDArray[np.float32]

CHUNK = 65_536
"""Values handled at once, few enough for the processor's caches, many enough to hide the cost of a call."""


class Wire(NamedTuple):
    """A value of the network: step ``node``'s result (0 is the input), taken ``shift`` neighbours further on."""

    node: int
    shift: int


class NetworkStep(NamedTuple):
    """One half of a comparator: the smaller or the larger of two wires, written to scratch row ``row``."""

    larger: bool
    first: Wire
    second: Wire
    row: int
    reach: int
    """Neighbours beyond the last output for which the result is needed."""


class Network(NamedTuple):
    """The steps that give a median, in order; ``rows`` scratch rows are in use at most."""

    steps: tuple[NetworkStep, ...]
    result: Wire
    rows: int


def running_median(values: Float32, length: int, stride: int) -> Float32:
    """Return the median of ``length`` neighbours that lie ``stride`` values apart, for every full window.

    Args:
        values: one-dimensional, contiguous.
        length: odd.
        stride: 1 for neighbours in a row, the row's width for neighbours in a column of a flattened array.

    Returns:
        ``values.size - (length - 1) * stride`` medians; the first belongs to ``values[:length * stride:stride]``.
    """
    count = values.size - (length - 1) * stride
    if length == 1:
        return values.copy()
    network = median_network(length)
    medians = np.empty(max(0, count), dtype=np.float32)
    scratch = np.empty((network.rows, CHUNK + (length - 1) * stride), dtype=np.float32)
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        _run(network, values[start : start + size + (length - 1) * stride], stride, scratch, medians[start:][:size])
    return medians


def _run(network: Network, values: Float32, stride: int, scratch: Float32, out: Float32) -> None:
    rows = [values]
    for step in network.steps:
        width = out.size + step.reach * stride
        first = rows[step.first.node][step.first.shift * stride :][:width]
        second = rows[step.second.node][step.second.shift * stride :][:width]
        target = scratch[step.row, :width]
        (np.maximum if step.larger else np.minimum)(first, second, out=target)
        rows.append(target)
    out[:] = rows[network.result.node][network.result.shift * stride :][: out.size]


@cache
def median_network(length: int) -> Network:
    """Build the network for a median of ``length`` (odd) neighbours."""
    nodes: dict[tuple[bool, Wire, Wire], int] = {}
    wires: list[Wire] = [Wire(0, shift) for shift in range(length)]
    for low, high in _batcher(length):
        first, second = wires[low], wires[high]
        base = min(first.shift, second.shift)
        pair = sorted((Wire(first.node, first.shift - base), Wire(second.node, second.shift - base)))
        for larger, place in ((False, low), (True, high)):
            node = nodes.setdefault((larger, pair[0], pair[1]), len(nodes) + 1)
            wires[place] = Wire(node, base)
    return _schedule(list(nodes), wires[length // 2])


def _batcher(length: int) -> list[tuple[int, int]]:
    """List the comparators that sort ``length`` values (Batcher 1968; Knuth, volume 3, algorithm 5.2.2M)."""
    comparators: list[tuple[int, int]] = []
    top = 1 << max(0, (length - 1).bit_length() - 1)
    size = top and 1
    while size < 2 * top:
        gap = size
        while gap >= 1:
            for start in range(gap % size, length - gap, 2 * gap):
                lows = range(start, min(start + gap, length - gap))
                comparators += [(low, low + gap) for low in lows if low // (2 * size) == (low + gap) // (2 * size)]
            gap //= 2
        size *= 2
    return comparators


def _schedule(nodes: list[tuple[bool, Wire, Wire]], result: Wire) -> Network:
    """Keep what the result needs, each step close to its use, and let steps share scratch rows that are free again."""
    order = _order_by_need(nodes, result.node)
    number = {0: 0} | {node: place for place, node in enumerate(order, 1)}
    reach = {result.node: result.shift}
    last_use = {result.node: result.node}
    for node in reversed(order):
        for wire in nodes[node - 1][1:]:
            reach[wire.node] = max(reach.get(wire.node, 0), reach[node] + wire.shift)
            last_use.setdefault(wire.node, node)
    steps: list[NetworkStep] = []
    row_of: dict[int, int] = {}
    free: list[int] = []
    for node in order:
        larger, first, second = nodes[node - 1]
        row_of[node] = free.pop() if free else len({*row_of.values()})
        first, second = (Wire(number[wire.node], wire.shift) for wire in (first, second))
        steps.append(NetworkStep(larger, first, second, row_of[node], reach[node]))
        spent = {wire.node for wire in nodes[node - 1][1:] if wire.node and last_use[wire.node] == node}
        free.extend(row_of[used] for used in sorted(spent))
    return Network(tuple(steps), Wire(number[result.node], result.shift), len({*row_of.values()}))


def _order_by_need(nodes: list[tuple[bool, Wire, Wire]], last: int) -> list[int]:
    """List the nodes that ``last`` depends on, depth first."""
    order: dict[int, None] = {}
    stack = [last] if last else []
    while stack:
        node = stack[-1]
        missing = [wire.node for wire in nodes[node - 1][1:] if wire.node and wire.node not in order]
        if missing:
            stack.append(missing[0])
        else:
            order.setdefault(stack.pop())
    return list(order)


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

    def all(self) -> tuple[Float32, ...]:
        """Return every array, for moving rows."""
        return self.amplitude, self.broad, self.middle, self.centre, self.drums, self.bass, self.vocals


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
        drums[:] = self._drums(features, start, stop, known)
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

    def _drums(self, features: Features, start: int, stop: int, known: tuple[int, int]) -> Float32:
        p = self._parameters
        steady = _median_of_columns(features.amplitude, start, stop, known, self._time_width)
        broad = features.broad[start:stop]
        drums = broad * broad
        steady *= steady
        steady *= np.float32(p.harmonic_weight)
        steady += drums
        drums /= _above_zero(steady)
        low = features.amplitude[:, : self._low_bins]
        base = _median_of_columns(low, start, stop, known, self._low_width)
        excess = np.maximum(low[start:stop] - base, 0)
        excess *= excess
        base *= base
        base *= np.float32(p.low_weight)
        base += excess
        excess /= _above_zero(base)
        excess -= drums[:, : self._low_bins]
        excess *= self._low_share
        drums[:, : self._low_bins] += excess
        return drums


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
    padded = np.empty((len(values), columns + 2 * half), dtype=np.float32)
    padded[:, half : half + columns] = values
    padded[:, :half] = values[:, half:0:-1]
    padded[:, half + columns :] = values[:, -2 : -2 - half : -1]
    flat = padded.reshape(-1)
    medians = np.empty(flat.size, dtype=np.float32)
    medians[: flat.size - 2 * half] = running_median(flat, width, 1)
    return medians.reshape(padded.shape)[:, :columns]


def _median_of_columns(values: Float32, start: int, stop: int, known: tuple[int, int], width: int) -> Float32:
    """Return the running median along the columns for rows ``start`` to ``stop``, mirrored where frames end."""
    rows = _mirror(start - width // 2, stop - start + width - 1, known)
    medians = np.empty((stop - start, values.shape[1]), dtype=np.float32)
    step = max(1, CHUNK // (stop - start))
    for column in range(0, values.shape[1], step):
        slab = values[:, column : column + step].take(rows, axis=0)
        medians[:, column : column + step] = running_median(slab.reshape(-1), width, slab.shape[1]).reshape(
            stop - start, -1
        )
    return medians
