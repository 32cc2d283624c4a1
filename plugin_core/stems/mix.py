"""Writing the files that must be computed: converted parts, "minus ones" and residuals, in one pass over the source.

Integer formats are computed in integers of the format's depth, so that "source minus part" plus the part is the source
again, to the last bit. Nothing is ever normalised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from plugin_core.audio.formats import AudioFormat
from plugin_core.audio.reader import open_reader
from plugin_core.audio.samples import Samples, count_overs, to_integers
from plugin_core.audio.writer import open_writer
from plugin_core.stems.conform import BLOCK, Conformed, Shape
from plugin_core.stems.part import open_part
from plugin_core.stems.products import Product

Tick = Callable[[float], None]
"""Hear how far the pass is, 0..1; may raise to stop it."""


class Placed(msgspec.Struct, frozen=True):
    """A part, and where it lies."""

    path: Path
    title: str
    """Name for people."""
    lag: int
    """Frames by which it comes late."""


def write_products(
    source: Path,
    parts: Sequence[Placed],
    products: Mapping[Path, Product],
    shape: Shape,
    chosen: AudioFormat,
    tick: Tick,
) -> dict[str, int]:
    """Write every product, and return how many samples of each had to be clipped, by its title.

    What is subtracted is clipped as it would be written, so that both together give the source again; the source itself
    is counted under an empty title.

    Args:
        source: the source.
        parts: every part, by index.
        products: what goes into which file.
        shape: of the source, and of what is written.
        chosen: format of the files.
        tick: called for each block.

    Raises:
        PlacementError: a part cannot be decoded or a file not written.
        SourceError: the source cannot be decoded.
        TransientError: the disk is full.
    """
    derived = [one for one in products.values() if one.plus is None]
    subtracted = {index for one in derived for index in one.minus}
    needed = sorted({one.plus for one in products.values() if one.plus is not None} | subtracted)
    written = {one.plus for one in products.values()}
    clipped: Counter[str] = Counter()

    def quantise(block: Samples, title: str | None) -> Samples:
        if chosen.bits is None:
            return block
        if title is not None:
            clipped[title] += count_overs(block)
        return to_integers(block, chosen.bits)

    with ExitStack() as stack:
        whole = Conformed(stack.enter_context(open_reader(source)), shape)
        streams = {
            index: Conformed(stack.enter_context(open_part(one.path, one.title, source)), shape, one.lag)
            for index, one in enumerate(parts)
            if index in needed
        }
        writers = {
            path: stack.enter_context(
                open_writer(path, sample_rate=shape.sample_rate, channels=shape.channels, format=chosen)
            )
            for path in products
        }
        for start in range(0, shape.frames, BLOCK):
            tick(start / shape.frames)
            mixture = whole.read(BLOCK)
            blocks = {index: stream.read(BLOCK) for index, stream in streams.items()}
            rest = quantise(mixture, "") if derived else mixture
            # A part that is written as well is counted there.
            minus = {
                index: quantise(blocks[index], None if index in written else parts[index].title) for index in subtracted
            }
            for path, product in products.items():
                writers[path].write(
                    blocks[product.plus] if product.plus is not None else _subtract(rest, product, minus)
                )
    for path, writer in writers.items():
        clipped[products[path].title] += writer.clipped
    return {title: count for title, count in clipped.items() if count}


def _subtract(mixture: Samples, product: Product, blocks: Mapping[int, Samples]) -> Samples:
    # Integers of at most 24 bits: a sum of fewer than 128 parts stays within 32.
    rest: Samples = mixture.copy()
    for index in product.minus:
        rest -= blocks[index]
    return rest
