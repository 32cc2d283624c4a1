"""Whether fetched parts are whole and belong to their source, by decoding every one to its end."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from plugin_core.audio.info import AudioInfo
from plugin_core.audio.reader import Reader, open_reader
from plugin_core.audio.samples import Samples, count_overs, to_integers
from plugin_core.errors import ResultError
from plugin_core.model import Part, show_path
from plugin_core.stem_names import title
from plugin_core.stems.align import Alignment, Heard, align, is_unrelated
from plugin_core.stems.conform import BLOCK, Shape
from plugin_core.stems.follower import Follower
from plugin_core.stems.lag import WINDOW, LagMeter, Window
from plugin_core.stems.part import PartReader, open_part, peak_of
from plugin_core.stems.products import name_parts
from plugin_core.tasks import Stopper

BITS: Final = {"pcm_u8": 8, "pcm_s8": 8, "pcm_16": 16, "pcm_24": 24, "pcm_32": 32}
_FLOAT_STEP: Final = 2.0**-23


class Checked(msgspec.Struct, frozen=True):
    """What decoding found."""

    source: Shape
    frames: tuple[int, ...]
    """Samples in each channel of each part, at the part's own rate."""
    infos: tuple[AudioInfo, ...]
    alignment: Alignment
    """Where the parts lie against the source."""
    overs: int = 0
    """Samples of the source over full scale."""
    peak: float = 0.0
    """The largest sample of the source, 1 at full scale."""
    peaks: tuple[float, ...] = ()
    """The largest sample of each part."""
    note: str = ""
    """What people should know of how the source was read."""


def verify_parts(source: Path, parts: Sequence[Part], stopper: Stopper) -> Checked:
    """Decode the source and every part to their ends, side by side, and compare them.

    Exact parts must sum to the source within one step of their format; others are measured for where they lie, and
    may have any shape: they were paid for.

    Args:
        source: the source.
        parts: fetched parts.
        stopper: checked for each block.

    Raises:
        ResultError: a part is damaged or of another song, or the sum is wrong.
        SourceError: the source cannot be decoded.
    """
    if not parts:
        raise ResultError(
            f"the provider gave no stems of {show_path(Path(source.name))}", remedy="try again, or choose another model"
        )
    titles = [title(name) for name in name_parts(parts)]
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(source))
        readers = [
            stack.enter_context(open_part(part.path, name, source)) for part, name in zip(parts, titles, strict=True)
        ]
        if all(part.exact for part in parts):
            level = _read_exact(reader, readers, stopper)
            alignment = Alignment((0,) * len(parts))
        else:
            meters = [None if part.exact else _make_meter(reader.info) for part in parts]
            level = _read_loose(reader, readers, meters, stopper)
            alignment = _align(source, titles, readers, meters)
        shape = Shape(reader.info.sample_rate, reader.info.channels, reader.position)
        return Checked(
            source=shape,
            frames=tuple(one.position for one in readers),
            infos=tuple(one.info for one in readers),
            alignment=alignment,
            overs=level.overs,
            peak=level.peak,
            peaks=tuple(one.peak for one in readers),
            note=reader.note,
        )


class _Level:
    """How loud the source is, as far as it was heard."""

    def __init__(self) -> None:
        self.overs = 0
        self.peak = 0.0

    def hear(self, block: Samples) -> None:
        """Take the next block."""
        peak = peak_of(block)
        self.peak = max(self.peak, peak)
        if peak > 1.0:
            self.overs += count_overs(block)


def _make_meter(info: AudioInfo) -> LagMeter:
    frames = info.frames or round(info.duration * info.sample_rate)
    return LagMeter(frames // WINDOW)


def _read_exact(reader: Reader, parts: Sequence[PartReader], stopper: Stopper) -> _Level:
    """Hold the sum of the parts against the source; return how loud that is."""
    for part in parts:
        _check_same_shape(reader, part)
    level = _Level()
    while True:
        stopper.check()
        block = reader.read(BLOCK, dtype="float64")
        blocks = [part.read(BLOCK, dtype="float64") for part in parts]
        for part, given in zip(parts, blocks, strict=True):
            if len(given) != len(block):
                raise ResultError(f"{part.name} is not as long as its source", remedy="try again")
        if not len(block):
            return level
        level.hear(block)
        _check_sum(block, blocks, parts, reader.position - len(block))


def _check_same_shape(reader: Reader, part: PartReader) -> None:
    for what, unit in (("sample_rate", "Hz"), ("channels", "channels")):
        has, wants = getattr(part.info, what), getattr(reader.info, what)
        if has != wants:
            raise ResultError(f"{part.name} has {has} {unit} and its source {wants}")


def _check_sum(block: Samples, blocks: Sequence[Samples], parts: Sequence[PartReader], start: int) -> None:
    bits = min((BITS.get(part.info.encoding, 32) for part in parts), default=32)
    if all(part.info.encoding in BITS for part in parts):
        total = np.sum([to_integers(one, bits) for one in blocks], axis=0, dtype=np.int64)
        is_wrong = np.abs(total - to_integers(block, bits)) > 1
    else:
        is_wrong = np.abs(np.sum(blocks, axis=0) - block) > _FLOAT_STEP * max(1.0, float(np.abs(block).max()))
    if is_wrong.any():
        frame = start + int(np.argmax(is_wrong.any(axis=1)))
        raise ResultError(f"the stems do not sum to the source at sample {frame}", remedy="try again")


def _read_loose(
    reader: Reader, parts: Sequence[PartReader], meters: Sequence[LagMeter | None], stopper: Stopper
) -> _Level:
    """Let the meters hear source and parts; return how loud the source is."""
    followers = [Follower(part, reader.info.sample_rate) for part in parts]
    level = _Level()
    while len(block := reader.read(WINDOW)):
        stopper.check()
        level.hear(block)
        window = Window(block, len(block))
        for follower, meter in zip(followers, meters, strict=True):
            heard = follower.read(len(block))
            # The last window of a song may be too short to compare.
            if meter is not None and (len(block) == reader.position or len(block) > WINDOW // 2):
                meter.hear(window, Window(heard, len(block)))
    for follower in followers:
        follower.finish(stopper)
    return level


def _align(
    source: Path, titles: Sequence[str], readers: Sequence[PartReader], meters: Sequence[LagMeter | None]
) -> Alignment:
    heard = {}
    for index, (name, part, meter) in enumerate(zip(titles, readers, meters, strict=True)):
        if meter is not None:
            kin = (part.info.container, part.info.encoding, part.info.sample_rate, part.position)
            heard[index] = Heard(name, kin, meter.conclude())
    if is_unrelated(list(heard.values())):
        song = show_path(Path(source.name))
        raise ResultError(
            f"the stems that came back are not of this song, {song}",
            remedy="retry the job, or separate it again with --as-is, which takes them as they came",
        )
    found = align(list(heard.values()))
    lags = dict(zip(heard, found.lags, strict=True))
    return Alignment(tuple(lags.get(index, 0) for index in range(len(readers))), found.notes)
