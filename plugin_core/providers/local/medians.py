"""Running medians by nothing but ``numpy.minimum`` and ``numpy.maximum``.

Neighbouring windows share most of their values: those that a group of windows shares are sorted once, and each half of
the group merges what only its own windows have, until one window is left (Adams, SIGGRAPH 2021, in one dimension). Of
every list only what can still become the median is kept. Every merge is Batcher's odd-even one, whose comparators run
on whole arrays: one array for each place in a group, shifted by whole groups; what is the same at another shift is
computed once.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]
"""Of one kind of number, none of them missing."""

CHUNK = 32_768
"""Values of each array handled at once: few enough for the processor's caches, enough to hide the cost of a call."""


class Wire(NamedTuple):
    """A value of the network: that of ``node``, ``shift`` groups further on; the first nodes are the inputs."""

    node: int
    shift: int


class NetworkStep(NamedTuple):
    """One half of a comparator: the smaller or the larger of two wires, written to scratch row ``row``."""

    larger: bool
    first: Wire
    second: Wire
    row: int
    reach: int
    """Groups beyond the last output for which the result is needed."""


class Network(NamedTuple):
    """The steps that give the medians of ``group`` neighbouring windows; ``rows`` scratch rows are in use at most."""

    group: int
    steps: tuple[NetworkStep, ...]
    results: tuple[Wire, ...]
    rows: int


def running_median(values: Values, length: int, stride: int) -> Values:
    """Return the median of ``length`` neighbours that lie ``stride`` values apart, for every full window.

    Args:
        values: one-dimensional, contiguous.
        length: odd.
        stride: 1 for neighbours in a row, the row's width for neighbours in a column of a flattened array.

    Returns:
        ``values.size - (length - 1) * stride`` medians; the first belongs to ``values[:length * stride:stride]``.
    """
    count = values.size - (length - 1) * stride
    if count <= 0 or length == 1:
        return values[: max(0, count)].copy()
    network = median_network(length)
    group = network.group
    groups = -(-count // (group * stride))
    reach = (length + group - 2) // group
    padded = np.zeros((groups + reach, group, stride), dtype=values.dtype)
    padded.reshape(-1)[: values.size] = values
    inputs = padded.transpose(1, 0, 2).reshape(group, -1)
    medians = np.empty((group, groups * stride), dtype=values.dtype)
    scratch = np.empty((network.rows, CHUNK + reach * stride), dtype=values.dtype)
    for start in range(0, groups * stride, CHUNK):
        out = medians[:, start : start + CHUNK]
        _run(network, inputs[:, start : start + out.shape[1] + reach * stride], stride, scratch, out)
    return medians.reshape(group, groups, stride).transpose(1, 0, 2).reshape(-1)[:count]


def _run(network: Network, inputs: Values, stride: int, scratch: Values, out: Values) -> None:
    rows = list(inputs)
    size = out.shape[1]
    for step in network.steps:
        width = size + step.reach * stride
        first = rows[step.first.node][step.first.shift * stride :][:width]
        second = rows[step.second.node][step.second.shift * stride :][:width]
        target = scratch[step.row, :width]
        (np.maximum if step.larger else np.minimum)(first, second, out=target)
        rows.append(target)
    for place, wire in zip(out, network.results, strict=True):
        place[:] = rows[wire.node][wire.shift * stride :][:size]


@cache
def median_network(length: int) -> Network:
    """Build the network for medians of ``length`` (odd, three at least) neighbours."""
    group = 1 << ((length + 1) // 2).bit_length() - 1
    builder = _Builder(length, group)
    shared = builder.sort(range(group - 1, length))
    spare = group - 1
    first = max(0, length // 2 - spare)
    return builder.schedule(builder.medians(0, group, shared[first : length // 2 + 1], first))


class _Builder:
    """Collects comparators.

    Args:
        length: of a window.
        group: windows that are handled together, a power of two.
    """

    def __init__(self, length: int, group: int) -> None:
        self._length = length
        self._group = group
        self._nodes: dict[tuple[bool, Wire, Wire], int] = {}

    def medians(self, window: int, count: int, kept: list[Wire], rank: int) -> list[Wire]:
        """Return the medians of some windows.

        Args:
            window: the first.
            count: how many, a power of two.
            kept: of the values that all of them share, in order, those that may be a median.
            rank: of the first that is kept among all that are shared.
        """
        if count == 1:
            return kept
        half, middle = count // 2, self._length // 2
        found: list[Wire] = []
        for first, more in ((window, window + half - 1), (window + half, window + self._length)):
            both = self._merge(kept, self.sort(range(more, more + half)))
            low = max(0, middle - (half - 1) - rank)
            found += self.medians(first, half, both[low : middle - rank + 1], rank + low)
        return found

    def sort(self, places: range) -> list[Wire]:
        """Return the values of these places, counted from the first window's first, in order."""
        if len(places) == 1:
            return [Wire(places[0] % self._group, places[0] // self._group)]
        half = len(places) // 2
        return self._merge(self.sort(places[:half]), self.sort(places[half:]))

    def _merge(self, first: list[Wire], second: list[Wire]) -> list[Wire]:
        """Merge two sorted lists (Batcher 1968; Knuth, volume 3, section 5.3.4)."""
        if not first or not second:
            return first or second
        if len(first) == len(second) == 1:
            return self._compare(first[0], second[0])
        even, odd = self._merge(first[::2], second[::2]), self._merge(first[1::2], second[1::2])
        merged = even[:1]
        for one, other in zip(odd, even[1:], strict=False):
            merged += self._compare(one, other)
        paired = (len(merged) - 1) // 2
        return [*merged, *odd[paired:], *even[paired + 1 :]]

    def _compare(self, first: Wire, second: Wire) -> list[Wire]:
        """Return the smaller and the larger."""
        base = min(first.shift, second.shift)
        low, high = sorted((Wire(first.node, first.shift - base), Wire(second.node, second.shift - base)))
        known = self._nodes
        return [Wire(known.setdefault((larger, low, high), self._group + len(known)), base) for larger in (False, True)]

    def schedule(self, results: list[Wire]) -> Network:
        """Keep what the results need, each step close to its use, and let steps share scratch rows that are free."""
        nodes = list(self._nodes)
        order = self._order_by_need(nodes, results)
        number = {node: node for node in range(self._group)} | {
            node: place for place, node in enumerate(order, self._group)
        }
        reach: dict[int, int] = {}
        for wire in results:
            reach[wire.node] = max(reach.get(wire.node, 0), wire.shift)
        last_use = {wire.node: 0 for wire in results}
        for node in reversed(order):
            for wire in nodes[node - self._group][1:]:
                reach[wire.node] = max(reach.get(wire.node, 0), reach[node] + wire.shift)
                last_use.setdefault(wire.node, node)
        steps: list[NetworkStep] = []
        row_of: dict[int, int] = {}
        free: list[int] = []
        for node in order:
            larger, first, second = nodes[node - self._group]
            row_of[node] = free.pop() if free else len({*row_of.values()})
            steps.append(
                NetworkStep(
                    larger,
                    Wire(number[first.node], first.shift),
                    Wire(number[second.node], second.shift),
                    row_of[node],
                    reach[node],
                )
            )
            spent = {used for used in (first.node, second.node) if used in row_of and last_use[used] == node}
            free.extend(row_of[used] for used in sorted(spent))
        placed = tuple(Wire(number[wire.node], wire.shift) for wire in results)
        return Network(self._group, tuple(steps), placed, len({*row_of.values()}))

    def _order_by_need(self, nodes: list[tuple[bool, Wire, Wire]], results: list[Wire]) -> list[int]:
        """List the nodes that the results depend on, depth first."""
        order: dict[int, None] = {}
        stack = [wire.node for wire in reversed(results)]
        while stack:
            node = stack[-1]
            inputs = nodes[node - self._group][1:]
            missing = [wire.node for wire in inputs if wire.node >= self._group and wire.node not in order]
            if missing:
                stack.append(missing[0])
            else:
                order.setdefault(stack.pop())
        return list(order)
