"""Playing what a timeline says of what a decoder gives."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from plugin_core.audio.decoder import FfmpegDecoder
from plugin_core.audio.samples import Samples
from plugin_core.audio.timeline import Piece, Timeline

_SKIPPED: Final = 1 << 16


class Playback:
    """A decoder whose samples are put in their places.

    What an encoder added at the end is left out; more than that is sound, whatever the index says.
    """

    def __init__(self, decoder: FfmpegDecoder, timeline: Timeline, channels: int) -> None:
        self._decoder = decoder
        self._pieces = list(timeline.pieces)
        self._channels = channels
        self._silence = self._pieces[0].silence
        self._decoded = 0
        self._kept: Samples = np.zeros((0, channels))
        """What came after the end that the index tells."""

    def decode(self, frames: int, dtype: npt.DTypeLike) -> Samples:
        """Give up to ``frames`` frames; fewer only at the end."""
        blocks = [np.zeros((0, self._channels), dtype)]
        while frames and self._pieces:
            block = self._next(frames, dtype)
            blocks.append(block)
            frames -= len(block)
        return blocks[1] if len(blocks) == 2 else np.concatenate(blocks)

    def _next(self, frames: int, dtype: npt.DTypeLike) -> Samples:
        """Give some frames of the current piece; none where it ends."""
        piece = self._pieces[0]
        if self._silence:
            count = min(frames, self._silence)
            self._silence -= count
            return np.zeros((count, self._channels), dtype)
        while self._decoded < piece.start:
            if not len(self._take(min(_SKIPPED, piece.start - self._decoded), dtype)):
                return self._nothing(dtype)
        if piece.end is None or self._decoded < piece.end:
            return self._take(frames if piece.end is None else min(frames, piece.end - self._decoded), dtype)
        return self._go_on(dtype)

    def _go_on(self, dtype: npt.DTypeLike) -> Samples:
        piece = self._pieces.pop(0)
        if self._pieces:
            self._silence = self._pieces[0].silence
        elif piece.padding is not None:
            rest = self._decoder.decode(piece.padding + 1, dtype)
            if len(rest) > piece.padding:
                self._kept, self._pieces = rest, [Piece(0, 0, None)]
        return self._nothing(dtype)

    def _take(self, frames: int, dtype: npt.DTypeLike) -> Samples:
        if len(self._kept):
            block, self._kept = self._kept[:frames], self._kept[frames:]
            return block.astype(dtype, copy=False)
        block = self._decoder.decode(frames, dtype)
        self._decoded += len(block)
        if len(block) < frames:
            self._pieces.clear()
        return block

    def _nothing(self, dtype: npt.DTypeLike) -> Samples:
        return np.zeros((0, self._channels), dtype)
