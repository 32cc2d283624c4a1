"""Writing the files that must be computed: converted parts, "minus ones" and residuals, in one pass over the source.

Integer formats are computed in integers of the format's depth, so that "source minus part" plus the part is the source
again, to the last bit. Nothing is normalised; what is scaled is scaled by one gain, the source with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from plugin_core.audio.formats import AudioFormat
from plugin_core.audio.reader import open_reader
from plugin_core.audio.samples import Samples, count_overs, to_integers
from plugin_core.audio.writer import Writer, open_writer
from plugin_core.stems.part import BLOCK, Conformed, Shape, open_part, peak_of
from plugin_core.stems.products import Product

Tick = Callable[[float], None]
"""Hear how far the pass is, 0..1; may raise to stop it."""


class Placed(msgspec.Struct, frozen=True):
    """A part, and where it lies."""

    path: Path
    title: str
    """Name for people."""
    shape: Shape
    """What it is written in."""
    lag: int = 0
    """Frames by which it comes late."""
    gain: float = 1.0
    """Its level against the source's."""


class MixForm(msgspec.Struct, frozen=True):
    """How products are written."""

    format: AudioFormat
    gain: float = 1.0
    """What all of them are multiplied with."""
    is_summed: bool = False
    """Whether the last part takes up what the others are rounded by: all together sum to the source."""


class Mix:
    """A source and its parts, read side by side.

    Args:
        source: the source.
        shape: of the source.
        parts: every part, by index.

    Its methods raise:
        ResultError: a part cannot be decoded.
        SourceError: the source cannot be decoded.
    """

    def __init__(self, source: Path, shape: Shape, parts: Sequence[Placed]) -> None:
        self._source = source
        self._shape = shape
        self._parts = parts

    def measure(self, products: Iterable[Product], tick: Tick) -> float:
        """Return the largest sample of all products, as floats."""
        wanted = list(products)
        peak = 0.0
        with closing(self._read(indexes(wanted), tick)) as blocks:
            for mixture, parts in blocks:
                peak = max([peak, *(peak_of(_make(one, mixture, parts)) for one in wanted)])
        return peak

    def write(self, products: Mapping[Path, Product], form: MixForm, tick: Tick) -> dict[str, int]:
        """Write every product, and return how many samples of each had to be clipped, by its title.

        What is subtracted is clipped as it would be written, so that both together give the source again; the source
        itself is counted under an empty title.

        Args:
            products: what goes into which file.
            form: how.
            tick: called for each block.

        Raises:
            PlacementError: a file cannot be written.
            TransientError: the disk is full.
        """
        derived = [one for one in products.values() if one.plus is None]
        needed = indexes(products.values())
        last = len(self._parts) - 1
        is_summed = form.is_summed and form.format.bits is not None and last in needed
        level = _Level(form)
        with ExitStack() as stack:
            writers = {path: self._open(stack, path, one, form.format) for path, one in products.items()}
            reading = self._read(range(len(self._parts)) if is_summed else needed, tick)
            for mixture, blocks in stack.enter_context(closing(reading)):
                whole = level.settle(mixture, "") if derived or is_summed else mixture
                parts = {index: level.settle(block, self._parts[index].title) for index, block in blocks.items()}
                if is_summed:
                    parts[last] = whole - sum(block for index, block in parts.items() if index != last)
                for path, product in products.items():
                    writers[path].write(_make(product, whole, parts))
        for path, writer in writers.items():
            level.clipped[products[path].title] += writer.clipped
        return {title: count for title, count in level.clipped.items() if count}

    def _open(self, stack: ExitStack, path: Path, product: Product, chosen: AudioFormat) -> Writer:
        shape = self._shape if product.plus is None else self._parts[product.plus].shape
        return stack.enter_context(
            open_writer(path, sample_rate=shape.sample_rate, channels=shape.channels, format=chosen)
        )

    def _read(self, needed: Collection[int], tick: Tick) -> Generator[tuple[Samples, dict[int, Samples]]]:
        """Yield the source with those of its parts, block by block, all at the source's level."""
        frames = max([self._shape.frames, *(self._parts[index].shape.frames for index in needed)])
        with ExitStack() as stack:
            whole = Conformed(stack.enter_context(open_reader(self._source)), self._shape)
            streams = {}
            for index in needed:
                one = self._parts[index]
                reader = stack.enter_context(open_part(one.path, one.title, self._source))
                streams[index] = Conformed(reader, one.shape, one.lag)
            for start in range(0, frames, BLOCK):
                tick(start / frames)
                yield (
                    whole.read(BLOCK),
                    {index: _scale(one.read(BLOCK), 1 / self._parts[index].gain) for index, one in streams.items()},
                )


class _Level:
    """Brings blocks to the gain and, for integers, the depth that they are written in; counts what is clipped by it."""

    def __init__(self, form: MixForm) -> None:
        self.clipped: Counter[str] = Counter()
        self._gain = form.gain
        self._bits = form.format.bits

    def settle(self, block: Samples, title: str) -> Samples:
        """Return the block as it is written; floats are left to the writer."""
        scaled = _scale(block, self._gain)
        if self._bits is None:
            return scaled
        self.clipped[title] += count_overs(scaled)
        return to_integers(scaled, self._bits)


def indexes(products: Iterable[Product]) -> list[int]:
    """Return the parts that products are made of."""
    wanted = list(products)
    written = {one.plus for one in wanted if one.plus is not None}
    return sorted(written.union(*(one.minus for one in wanted if one.plus is None)))


def _make(product: Product, mixture: Samples, parts: Mapping[int, Samples]) -> Samples:
    if product.plus is not None:
        return parts[product.plus]
    # Integers of at most 24 bits: a sum of fewer than 128 parts stays within 32.
    rest: Samples = mixture.copy()
    for index in product.minus:
        rest -= parts[index]
    return rest


def _scale(block: Samples, gain: float) -> Samples:
    return block if gain == 1.0 else block * gain
