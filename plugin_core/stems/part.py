"""A fetched part being decoded; what is wrong with it is the result's fault, and said in words a person knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from plugin_core.audio.info import AudioInfo
from plugin_core.audio.reader import Dtype, Reader, open_reader
from plugin_core.audio.samples import Samples
from plugin_core.errors import ResultError, SourceError
from plugin_core.files.errors import named
from plugin_core.model import show_path


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
