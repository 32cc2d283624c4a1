"""Stems that sum to their source exactly: one of them takes what the others leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from plugin_core.audio.formats import AudioFormat
from plugin_core.audio.info import AudioInfo
from plugin_core.audio.overload import OPEN_ENDED, refuse_peak
from plugin_core.audio.reader import Reader
from plugin_core.audio.samples import Samples, count_overs, to_integers
from plugin_core.audio.writer import open_writer
from plugin_core.errors import SourceError
from plugin_core.tasks import beside

Int32 = NDArray[np.int32]
Stems = dict[str, NDArray[Any]]
"""Blocks (frames, channels) by stem."""

DEEP: Final = frozenset({"pcm_32", "double"})
"""Encodings that float32 does not hold exactly."""


def leave_rest(source: Samples, stems: Mapping[str, Samples], rest: str, bits: int | None) -> Stems:
    """Return the stems of a block and what they leave, as float32 or as integers of ``bits``.

    Integers sum to the source, rounded to ``bits`` and clipped to its range, without any error; floats sum to it
    within the rounding of one addition. Nothing is normalised.

    Args:
        source: floats.
        stems: floats; what the rest cannot hold goes to the first of them, then to the next.
        rest: the name of what they leave.
        bits: of integers; None for floats.
    """
    return _floats(source, stems, rest) if bits is None else _integers(source, stems, rest, bits)


def _floats(source: Samples, stems: Mapping[str, Samples], rest: str) -> Stems:
    others = np.zeros(source.shape, dtype=np.float64)
    for block in stems.values():
        others += block
    return {**stems, rest: (source - others).astype(np.float32)}


def _integers(source: Samples, stems: Mapping[str, Samples], rest: str, bits: int) -> Stems:
    left = to_integers(source, bits)
    whole = {stem: to_integers(block, bits) for stem, block in stems.items()}
    for block in whole.values():
        left -= block
    limit = 1 << (bits - 1)
    if left.size and (left.max() >= limit or left.min() < -limit):
        excess = _clip(left, limit)
        for block in whole.values():
            block += excess
            excess = _clip(block, limit)
    return {**whole, rest: left}


def _clip(block: Int32, limit: int) -> Int32:
    """Clip in place and return what was cut off."""
    whole = block.copy()
    np.clip(block, -limit, limit - 1, out=block)
    whole -= block
    return whole


@contextmanager
def open_stems(
    folder: Path, files: Mapping[str, str], info: AudioInfo, chosen: AudioFormat, *, ahead: bool
) -> Iterator[Callable[[Stems], None]]:
    """Create a file for each stem; give what writes blocks of all of them. If anything is raised inside, none is left.

    What fails is raised when the next block is given, or at the end. A block that was given is not to be changed.

    Args:
        folder: in staging.
        files: names of files, by stem.
        info: of the source, whose rate and channels they have.
        chosen: their format.
        ahead: whether a thread encodes a block while its successor is made. On a single processor the two would only
            push each other's samples out of its caches.
    """
    with ExitStack() as stack:
        writers = {
            stem: stack.enter_context(
                open_writer(folder / name, sample_rate=info.sample_rate, channels=info.channels, format=chosen)
            )
            for stem, name in files.items()
        }

        def encode(blocks: Stems) -> None:
            for stem, samples in blocks.items():
                writers[stem].write(samples)

        yield stack.enter_context(beside(encode)) if ahead else encode


class Intake:
    """Reads the source as it will be summed to, and minds its full scale.

    Args:
        reader: the source.
        chosen: the format of the stems.
    """

    def __init__(self, reader: Reader, chosen: AudioFormat) -> None:
        self.clipped = 0
        """Samples of a lossy source over full scale so far."""
        self._reader = reader
        self._format = chosen
        self._is_deep = reader.info.encoding in DEEP
        self._may_clip = chosen.bits is not None and not reader.info.encoding.startswith("pcm")

    def read(self, frames: int) -> Samples:
        """Return the next frames (frames, channels), fewer only at the end.

        Raises:
            SourceError: damaged, or over full scale where the format cannot hold it.
        """
        block = self._decode(frames)
        if self._may_clip:
            overs = count_overs(block)
            if overs and self._reader.info.encoding in OPEN_ENDED:
                raise self._refuse(block)
            self.clipped += overs
        return block

    def _decode(self, frames: int) -> NDArray[np.floating]:
        return self._reader.read(frames, "float64" if self._is_deep else "float32")

    def _refuse(self, block: Samples) -> SourceError:
        """Name the highest peak of the whole source, so that one correction is enough."""
        peak = 0.0
        while len(block):
            peak = max(peak, float(np.abs(block).max()))
            block = self._decode(len(block))
        return refuse_peak(self._reader.path, peak, self._format)
