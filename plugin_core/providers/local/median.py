"""Running medians of large arrays with nothing but ``numpy.minimum`` and ``numpy.maximum``.

A median of L neighbours is a sorting network (Batcher's odd-even merge) pruned to its middle output. Applied to
shifted views of one array, many comparators of the network do the same work at another shift; they are computed once.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

CHUNK = 65_536
"""Values handled at once, few enough for the processor's caches, many enough to hide the cost of a call."""


class Wire(NamedTuple):
    """A value of the network: step ``node``'s result (0 is the input), taken ``shift`` neighbours further on."""

    node: int
    shift: int


class Step(NamedTuple):
    """One half of a comparator: the smaller or the larger of two wires, written to scratch row ``row``."""

    larger: bool
    first: Wire
    second: Wire
    row: int
    reach: int
    """Neighbours beyond the last output for which the result is needed."""


class Network(NamedTuple):
    """The steps that give a median, in order; ``rows`` scratch rows are in use at most."""

    steps: tuple[Step, ...]
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
    steps: list[Step] = []
    row_of: dict[int, int] = {}
    free: list[int] = []
    for node in order:
        larger, first, second = nodes[node - 1]
        row_of[node] = free.pop() if free else len({*row_of.values()})
        first, second = (Wire(number[wire.node], wire.shift) for wire in (first, second))
        steps.append(Step(larger, first, second, row_of[node], reach[node]))
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
