"""A part that is decoded beside its source, window by window, to compare them."""

from __future__ import annotations

import numpy as np
import soxr

from plugin_core.audio.samples import Samples
from plugin_core.stems.lag import WINDOW, mix_channels
from plugin_core.stems.part import PartReader
from plugin_core.tasks import Stopper


class Follower:
    """A part at the pace of its source; one of another sample rate is brought to the source's, as one channel.

    Args:
        reader: the part, at its beginning.
        sample_rate: of the source, hertz.
    """

    def __init__(self, reader: PartReader, sample_rate: int) -> None:
        self._reader = reader
        rate = reader.info.sample_rate
        self._resampler = None if rate == sample_rate else soxr.ResampleStream(rate, sample_rate, 1, dtype="float32")
        self._held = np.zeros((0, 1), np.float32)
        self._is_ended = False

    def read(self, frames: int) -> Samples:
        """Return the next ``frames`` frames at the source's rate: (n, channels), fewer only at the part's end.

        Raises:
            ResultError: the part is damaged.
        """
        if self._resampler is None:
            return self._decode(frames)
        while not self._is_ended and len(self._held) < frames:
            mono = mix_channels(self._decode(WINDOW))[:, None]
            new = self._resampler.resample_chunk(np.ascontiguousarray(mono), last=self._is_ended)
            self._held = np.concatenate((self._held, new))
        block, self._held = self._held[:frames], self._held[frames:]
        return block

    def finish(self, stopper: Stopper) -> None:
        """Decode what lies behind the source's end.

        Raises:
            ResultError: the part is damaged.
        """
        while not self._is_ended:
            stopper.check()
            self._decode(WINDOW)

    def _decode(self, frames: int) -> Samples:
        if self._is_ended:
            return np.zeros((0, self._reader.info.channels), np.float32)
        block = self._reader.read(frames)
        self._is_ended = len(block) < frames
        return block
