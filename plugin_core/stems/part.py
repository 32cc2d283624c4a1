"""A fetched part being decoded: what is wrong with it is the result's fault; at its source's pace, and in its shape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Protocol

import msgspec
import numpy as np
import soxr

from plugin_core.audio.info import AudioInfo
from plugin_core.audio.reader import Dtype, Reader, open_reader
from plugin_core.audio.samples import Samples
from plugin_core.errors import PlacementError, ResultError, SourceError, StembridgeError
from plugin_core.files.disk import named
from plugin_core.model import show_path
from plugin_core.stems.lag_meter import WINDOW, mix_channels
from plugin_core.tasks import Stopper

BLOCK: int = 1 << 16
"""Frames decoded at once."""

FEW_SECONDS: Final = 5.0
"""By how much a part may be longer or shorter than its source and still be cut or padded to its length."""


class Shape(msgspec.Struct, frozen=True):
    """A time base and a number of channels."""

    sample_rate: int
    channels: int
    frames: int
    """Samples in each channel, as decoded."""


class Readable(Protocol):
    """A source or a part being decoded."""

    @property
    def name(self) -> str:
        """What a person calls it."""
        ...

    @property
    def info(self) -> AudioInfo:
        """Its shape."""
        ...

    def read(self, frames: int, dtype: Dtype) -> Samples:
        """Decode the next frames."""
        ...


class Conformed:
    """A part read as if it had the shape of its source, or another.

    Args:
        reader: the part, at its beginning.
        shape: from ``shape_of_part``.
        lag: frames, at the source's rate, by which the part comes late; negative when it comes early.

    Raises:
        PlacementError: the channels cannot be brought together (a stereo part of a 5.1 source).
    """

    def __init__(self, reader: Readable, shape: Shape, lag: int = 0) -> None:
        if not can_match_channels(reader.info.channels, shape.channels):
            raise PlacementError(
                f"{reader.name} has {reader.info.channels} channels and the source {shape.channels}",
                remedy="separate a stereo version of the source",
            )
        self._reader = reader
        self._shape = shape
        self._position = 0
        self._drop = max(0, lag)
        self._blocks: list[Samples] = [np.zeros((max(0, -lag), shape.channels))]
        self._is_ended = False
        rate = reader.info.sample_rate
        self._resampler = (
            None
            if rate == shape.sample_rate
            else soxr.ResampleStream(rate, shape.sample_rate, shape.channels, dtype="float64", quality="VHQ")
        )

    def read(self, frames: int) -> Samples:
        """Return the next ``frames`` frames, fewer only at the source's end: float64, (n, channels), silence behind."""
        wanted = min(frames, self._shape.frames - self._position)
        while not self._is_ended and sum(map(len, self._blocks)) < wanted:
            self._pull()
        held = np.concatenate(self._blocks)
        self._blocks = [held[wanted:]]
        self._position += wanted
        block = held[:wanted]
        return block if len(block) == wanted else np.pad(block, ((0, wanted - len(block)), (0, 0)))

    def _pull(self) -> None:
        block = match_channels(self._reader.read(BLOCK, dtype="float64"), self._shape.channels)
        self._is_ended = not len(block)
        if self._resampler is not None:
            block = self._resampler.resample_chunk(np.ascontiguousarray(block), last=self._is_ended)
        dropped = min(self._drop, len(block))
        self._drop -= dropped
        self._blocks.append(block[dropped:])


def shape_of_part(info: AudioInfo, frames: int, lag: int, source: Shape) -> Shape:
    """Return the shape a part is written in: its source's, except for what cannot be brought to that.

    Channels that cannot be matched stay, and so does the length of a part that is off by more than a few seconds.

    Args:
        info: the part's own.
        frames: samples in each of its channels.
        lag: frames, at the source's rate, by which it comes late.
        source: shape of the source.
    """
    channels = source.channels if can_match_channels(info.channels, source.channels) else info.channels
    whole = max(1, round(frames * source.sample_rate / info.sample_rate) - lag)
    is_near = abs(whole - source.frames) <= FEW_SECONDS * source.sample_rate
    return Shape(source.sample_rate, channels, source.frames if is_near else whole)


def can_match_channels(given: int, wanted: int) -> bool:
    """Tell whether a part's channels can stand for the source's: equal, or one of them mono."""
    return given == wanted or 1 in (given, wanted)


def match_channels(block: Samples, wanted: int) -> Samples:
    """Average to mono, or repeat mono on every channel."""
    if block.shape[1] == wanted:
        return block
    if wanted == 1:
        return np.mean(block, axis=1, keepdims=True, dtype=block.dtype)
    return np.repeat(block, wanted, axis=1)


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
        try:
            block = self._reader.read(frames, dtype)
        except StembridgeError:
            with _blame(self._reader.path, self.name):
                raise
        self.peak = max(self.peak, peak_of(block))
        return block


def peak_of(block: Samples) -> float:
    """Return the largest sample of a block, whatever its sign; 0 of an empty one."""
    # Two passes without a copy.
    return max(float(block.max()), -float(block.min())) if block.size else 0.0


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
