"""A fetched part being decoded, also at its source's pace; what is wrong with it is the result's fault, and said so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import soxr

from plugin_core.audio.info import AudioInfo
from plugin_core.audio.reader import Dtype, Reader, open_reader
from plugin_core.audio.samples import Samples
from plugin_core.errors import ResultError, SourceError
from plugin_core.files.errors import named
from plugin_core.model import show_path
from plugin_core.stems.alignment import WINDOW, mix_channels
from plugin_core.tasks import Stopper


class PartReader:
    """A part, read from its beginning to its end.

    Args:
        reader: of its file in staging, whose path is never shown.
        name: what a person calls it.
    """

    def __init__(self, reader: Reader, name: str) -> None:
        self.name = name
        self.peak = 0.0
        """The largest sample so far."""
        self._reader = reader

    @property
    def info(self) -> AudioInfo:
        """The shape of its file."""
        return self._reader.info

    @property
    def position(self) -> int:
        """Frames read so far."""
        return self._reader.position

    def read(self, frames: int, dtype: Dtype = "float32") -> Samples:
        """Decode the next ``frames`` frames, as ``Reader`` does.

        Raises:
            ResultError: it is damaged.
        """
        with _blame(self._reader.path, self.name):
            block = self._reader.read(frames, dtype)
        self.peak = max(self.peak, peak_of(block))
        return block


def peak_of(block: Samples) -> float:
    """Return the largest sample of a block, whatever its sign; 0 of an empty one."""
    # Two passes without a copy.
    return max(float(np.max(block)), -float(np.min(block))) if block.size else 0.0


@contextmanager
def open_part(path: Path, title: str, song: Path) -> Iterator[PartReader]:
    """Open a part for decoding in blocks.

    Args:
        path: its file in staging.
        title: of the stem, for people.
        song: its source.

    Raises:
        ResultError: it is damaged or no audio.
    """
    name = f"the fetched part {title} of {show_path(Path(song.name))}"
    with ExitStack() as stack:
        with _blame(path, name):
            reader = stack.enter_context(open_reader(path))
        yield PartReader(reader, name)


@contextmanager
def _blame(path: Path, name: str) -> Iterator[None]:
    """Turn "this source is damaged" into "this result is damaged"."""
    try:
        with named({path: name}):
            yield
    except SourceError as error:
        said = error.message.replace(name, "it")
        raise ResultError(f"{name} is unusable: {said}", remedy="fetch it again") from error


class PacedPart:
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
