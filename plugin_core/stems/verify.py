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
from plugin_core.model import Part
from plugin_core.stem_names import title
from plugin_core.stems.align import Alignment, Heard, align, is_unrelated
from plugin_core.stems.conform import BLOCK, Shape
from plugin_core.stems.follower import Follower
from plugin_core.stems.lag import WINDOW, LagMeter, Window
from plugin_core.stems.part import PartReader, open_part
from plugin_core.stems.products import name_parts
from plugin_core.threads import Stopper

LENGTH_TOLERANCE: Final = 0.5
"""Seconds a service's part may be longer or shorter: encoders pad, resamplers round."""

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
    note: str = ""
    """What people should know of how the source was read."""


def verify_parts(source: Path, parts: Sequence[Part], stopper: Stopper) -> Checked:
    """Decode the source and every part to their ends, side by side, and compare them.

    Exact parts must sum to the source within one step of their format; others must have its length within half a
    second, and are measured for where they lie.

    Args:
        source: the source.
        parts: fetched parts.
        stopper: checked for each block.

    Raises:
        ResultError: a part is damaged, of another length or song, or the sum is wrong.
        SourceError: the source cannot be decoded.
    """
    if not parts:
        raise ResultError("the provider gave no stems", remedy="try again, or choose another model")
    titles = [title(name) for name in name_parts(parts)]
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(source))
        readers = [
            stack.enter_context(open_part(part.path, name, source)) for part, name in zip(parts, titles, strict=True)
        ]
        if all(part.exact for part in parts):
            overs = _read_exact(reader, readers, stopper)
            alignment = Alignment((0,) * len(parts))
        else:
            meters = [None if part.exact else _make_meter(reader.info) for part in parts]
            overs = _read_loose(reader, readers, meters, stopper)
            alignment = _align(titles, readers, meters)
        shape = Shape(reader.info.sample_rate, reader.info.channels, reader.position)
        infos = tuple(one.info for one in readers)
        return Checked(shape, tuple(one.position for one in readers), infos, alignment, overs, reader.note)


def _make_meter(info: AudioInfo) -> LagMeter:
    frames = info.frames or round(info.duration * info.sample_rate)
    return LagMeter(frames // WINDOW)


def _read_exact(reader: Reader, parts: Sequence[PartReader], stopper: Stopper) -> int:
    """Hold the sum of the parts against the source; return how many of its samples lie over full scale."""
    for part in parts:
        _check_same_shape(reader, part)
    overs = 0
    while True:
        stopper.check()
        block = reader.read(BLOCK, dtype="float64")
        blocks = [part.read(BLOCK, dtype="float64") for part in parts]
        for part, given in zip(parts, blocks, strict=True):
            if len(given) != len(block):
                raise ResultError(f"{part.name} is not as long as its source", remedy="try again")
        if not len(block):
            return overs
        overs += count_overs(block)
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
) -> int:
    """Let the meters hear source and parts; return how many samples of the source lie over full scale."""
    followers = [Follower(part, reader.info.sample_rate) for part in parts]
    overs = 0
    while len(block := reader.read(WINDOW)):
        stopper.check()
        overs += count_overs(block)
        window = Window(block, len(block))
        for follower, meter in zip(followers, meters, strict=True):
            heard = follower.read(len(block))
            # The last window of a song may be too short to compare.
            if meter is not None and (len(block) == reader.position or len(block) > WINDOW // 2):
                meter.hear(window, Window(heard, len(block)))
    for follower, part in zip(followers, parts, strict=True):
        follower.finish(stopper)
        _check_length(reader, part)
    return overs


def _check_length(reader: Reader, part: PartReader) -> None:
    seconds = part.position / part.info.sample_rate - reader.position / reader.info.sample_rate
    if abs(seconds) > LENGTH_TOLERANCE:
        word = "longer" if seconds > 0 else "shorter"
        raise ResultError(f"{part.name} is {abs(seconds):.2f} s {word} than its source", remedy="fetch it again")


def _align(titles: Sequence[str], readers: Sequence[PartReader], meters: Sequence[LagMeter | None]) -> Alignment:
    heard = {}
    for index, (name, part, meter) in enumerate(zip(titles, readers, meters, strict=True)):
        if meter is not None:
            kin = (part.info.container, part.info.encoding, part.info.sample_rate, part.position)
            heard[index] = Heard(name, kin, meter.conclude())
    if is_unrelated(list(heard.values())):
        raise ResultError("the stems that came back are not of this song", remedy="retry the job")
    found = align(list(heard.values()))
    lags = dict(zip(heard, found.lags, strict=True))
    return Alignment(tuple(lags.get(index, 0) for index in range(len(readers))), found.notes)
