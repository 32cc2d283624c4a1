"""Writing the files that must be computed: converted parts, "minus ones" and residuals, in one pass over the source.

Integer formats are computed in integers of the format's depth, so that "source minus part" plus the part is the source
again, to the last bit. Nothing is ever normalised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from plugin_core.audio.formats import AudioFormat
from plugin_core.audio.reader import open_reader
from plugin_core.audio.samples import Samples, to_integers
from plugin_core.audio.writer import open_writer
from plugin_core.stems.conform import BLOCK, Conformed, Shape
from plugin_core.stems.products import Product
from plugin_core.stems.verify import open_part

Tick = Callable[[float], None]
"""Hear how far the pass is, 0..1; may raise to stop it."""


def write_products(
    source: Path,
    parts: Sequence[Path],
    products: Mapping[Path, Product],
    shape: Shape,
    lag: int,
    chosen: AudioFormat,
    tick: Tick,
) -> dict[Path, int]:
    """Write every product, and return how many samples of each had to be clipped.

    Args:
        source: the source.
        parts: every part, by index.
        products: what goes into which file.
        shape: of the source, and of what is written.
        lag: frames by which the parts come late.
        chosen: format of the files.
        tick: called for each block.

    Raises:
        PlacementError: a part cannot be decoded or a file not written.
        TransientError: the disk is full.
    """
    needed = sorted({index for one in products.values() for index in _parts_of(one)})
    clipped = dict.fromkeys(products, 0)
    with ExitStack() as stack:
        whole = Conformed(stack.enter_context(open_reader(source)), shape)
        streams = {index: Conformed(stack.enter_context(open_part(parts[index])), shape, lag) for index in needed}
        writers = {
            path: stack.enter_context(
                open_writer(path, sample_rate=shape.sample_rate, channels=shape.channels, format=chosen)
            )
            for path in products
        }
        for start in range(0, shape.frames, BLOCK):
            tick(start / shape.frames)
            mixture = _quantise(whole.read(BLOCK), chosen)
            blocks = {index: _quantise(stream.read(BLOCK), chosen) for index, stream in streams.items()}
            for path, product in products.items():
                block = _compute(product, mixture, blocks)
                clipped[path] += _count_clipped(block, chosen)
                writers[path].write(block)
    return clipped


def _parts_of(product: Product) -> tuple[int, ...]:
    return product.minus if product.plus is None else (product.plus,)


def _quantise(block: Samples, chosen: AudioFormat) -> Samples:
    return block if chosen.bits is None else to_integers(block, chosen.bits)


def _compute(product: Product, mixture: Samples, blocks: Mapping[int, Samples]) -> Samples:
    if product.plus is not None:
        return blocks[product.plus]
    # Integers of at most 24 bits: a sum of fewer than 128 parts stays within 32.
    rest: Samples = mixture.copy()
    for index in product.minus:
        rest -= blocks[index]
    return rest


def _count_clipped(block: Samples, chosen: AudioFormat) -> int:
    if chosen.bits is None:
        return 0
    limit = 1 << (chosen.bits - 1)
    return int(np.count_nonzero((block >= limit) | (block < -limit)))
