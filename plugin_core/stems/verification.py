"""Whether fetched parts are whole and belong to their source, decoding each to its end; and what is said of them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from plugin_core.audio.formats import AudioFormat
from plugin_core.audio.info import AudioInfo
from plugin_core.audio.reader import Reader, open_reader
from plugin_core.audio.samples import Samples, count_overs, to_integers
from plugin_core.audio.writer import count_tail
from plugin_core.errors import ResultError
from plugin_core.model import Part, show_path
from plugin_core.stem_names import title
from plugin_core.stems.alignment import Alignment, HeardPart, align, is_unrelated
from plugin_core.stems.lag_meter import WINDOW, LagMeter, Passage, take_away
from plugin_core.stems.part import BLOCK, PacedPart, PartReader, Shape, open_part, peak_of
from plugin_core.stems.products import name_parts
from plugin_core.tasks import Stopper

BITS: Final = {"pcm_u8": 8, "pcm_s8": 8, "pcm_16": 16, "pcm_24": 24, "pcm_32": 32}
_FLOAT_STEP: Final = 2.0**-23


_SILENT: Final = 1e-4
"""Peak of a part in which nothing is to be heard: dither."""

_ROUNDED: Final = 1e-7
"""Of a source's energy, what parts of 16 bits may leave of it that lie in their places."""

_NOTABLE: Final = 0.5
"""Seconds from which it is said of which stem something was cut or padded: encoders pad less, and resamplers round."""


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
    unmoved = Alignment((0,) * len(parts))
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(source))
        readers = [
            stack.enter_context(open_part(part.path, name, source)) for part, name in zip(parts, titles, strict=True)
        ]
        if all(part.exact for part in parts):
            level = _read_exact(reader, readers, stopper)
            alignment = unmoved
        else:
            meters = [None if part.exact else _make_meter(reader.info) for part in parts]
            level = _read_loose(reader, readers, meters, stopper)
            # What repeats itself looks alike in several places; where all fits, nothing is asked.
            alignment = unmoved if level.is_made else _align(source, titles, readers, meters)
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


class _Loudness:
    """How loud the source is, as far as it was heard, and what its parts leave of it."""

    def __init__(self) -> None:
        self.overs = 0
        self.peak = 0.0
        self._energy = self._left = 0.0

    @property
    def is_made(self) -> bool:
        """Tell whether the parts make the source as they lie, but for what is lost by rounding."""
        return self._left <= _ROUNDED * self._energy

    def compare(self, source: Passage, rest: Passage) -> None:
        """Take the next window of the source, and of what the parts leave of it."""
        self._energy += source.loudness
        self._left += rest.loudness

    def hear(self, block: Samples) -> None:
        """Take the next block."""
        peak = peak_of(block)
        self.peak = max(self.peak, peak)
        if peak > 1.0:
            self.overs += count_overs(block)


def _make_meter(info: AudioInfo) -> LagMeter:
    frames = info.frames or round(info.duration * info.sample_rate)
    return LagMeter(frames // WINDOW)


def _read_exact(reader: Reader, parts: Sequence[PartReader], stopper: Stopper) -> _Loudness:
    """Hold the sum of the parts against the source; return how loud that is."""
    for part in parts:
        _check_same_shape(reader, part)
    level = _Loudness()
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
) -> _Loudness:
    """Let the meters hear source and parts; return how loud the source is."""
    followers = [PacedPart(part, reader.info.sample_rate) for part in parts]
    level = _Loudness()
    while len(block := reader.read(WINDOW)):
        stopper.check()
        level.hear(block)
        heard = [follower.read(len(block)) for follower in followers]
        # The last window of a song may be too short to compare.
        if len(block) == reader.position or len(block) > WINDOW // 2:
            window, rest = (Passage(one, len(block)) for one in (block, take_away(block, heard)))
            level.compare(window, rest)
            for part, meter in zip(heard, meters, strict=True):
                if meter is not None:
                    meter.hear(window, Passage(part, len(block)), rest)
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
            heard[index] = HeardPart(name, kin, meter.conclude())
    if is_unrelated(list(heard.values())):
        song = show_path(Path(source.name))
        raise ResultError(
            f"the stems that came back are not of this song, {song}",
            remedy="retry the job, or separate it again with --as-is, which takes them as they came",
        )
    found = align(list(heard.values()))
    lags = dict(zip(heard, found.lags, strict=True))
    return Alignment(tuple(lags.get(index, 0) for index in range(len(readers))), found.notes)


def describe_changes(
    checked: Checked, titles: Sequence[str], shapes: Sequence[Shape], used: Collection[int], chosen: AudioFormat
) -> list[str]:
    """Say how the source was read, and what was done to the parts or is odd about them.

    Args:
        checked: what decoding them found.
        titles: of the parts, for people.
        shapes: what each is written in.
        used: indexes of the parts that something is made of.
        chosen: the format of the stems.
    """
    notes = [*([checked.note] if checked.note else []), *checked.alignment.notes]
    notes += _list_silent(checked, titles, used)
    notes += sorted({_describe_part(info, shape) for info, shape in zip(checked.infos, shapes, strict=True)} - {""})
    for index in sorted(used):
        notes += _describe_shape(checked, index, titles[index], shapes[index])
    notes += [
        f"{'cut' if extra > 0 else 'padded'} {abs(extra)} samples at the end to the source's length"
        for extra in sorted(_list_trims(checked, shapes, chosen))
    ]
    if tail := count_tail(chosen, checked.source.frames):
        notes.append(f"programs that ignore an M4A's end mark play {tail} samples more; flac, wav and mp3 are exact")
    return notes


def describe_clipping(clipped: Mapping[str, int], chosen: AudioFormat) -> list[str]:
    """Say how many samples had to be clipped, by title; the song's own title is empty."""
    where = f"{chosen.bits} bits" if chosen.bits else "full scale"
    notes = [
        f"{title}: {count} samples were clipped at {where}"
        if title
        else f"the song: {count} samples over full scale were clipped, as a player does"
        for title, count in clipped.items()
        if count
    ]
    return [*notes, "--on-overload scale or float keeps what was clipped"] if notes else []


def _list_silent(checked: Checked, titles: Sequence[str], used: Collection[int]) -> list[str]:
    if checked.peak < _SILENT:
        return []
    return [f"{titles[index]}: silent" for index in sorted(used) if checked.peaks[index] < _SILENT]


def _describe_part(info: AudioInfo, shape: Shape) -> str:
    changes = []
    if info.sample_rate != shape.sample_rate:
        changes.append(f"the source's {shape.sample_rate} Hz from {info.sample_rate} Hz")
    if info.channels != shape.channels:
        changes.append(f"the source's {shape.channels} channels from {info.channels}")
    return f"restored {' and '.join(changes)}" if changes else ""


def _describe_shape(checked: Checked, index: int, title: str, shape: Shape) -> Iterator[str]:
    source = checked.source
    if shape.channels != source.channels:
        yield f"{title}: has {shape.channels} channels of the song's {source.channels}, left so"
    seconds = _excess(checked, index)
    if abs(seconds) > _NOTABLE:
        word = "longer" if seconds > 0 else "shorter"
        done = "left so" if shape.frames != source.frames else "cut at the end" if seconds > 0 else "padded at the end"
        yield f"{title}: {abs(seconds):.2f} s {word} than the song, {done}"


def _excess(checked: Checked, index: int) -> float:
    """Return by how many seconds a part that was put in its place ends after the source."""
    frames, info, source = checked.frames[index], checked.infos[index], checked.source
    return frames / info.sample_rate - (checked.alignment.lags[index] + source.frames) / source.sample_rate


def _list_trims(checked: Checked, shapes: Sequence[Shape], chosen: AudioFormat) -> set[int]:
    """Return by how many samples parts are trimmed that came at the source's rate, where that is little."""
    source = checked.source
    return {
        frames - lag - source.frames
        for index, (frames, info, lag) in enumerate(
            zip(checked.frames, checked.infos, checked.alignment.lags, strict=True)
        )
        if info.sample_rate == source.sample_rate
        and not (chosen.container == info.container and not chosen.is_lossless)
        and shapes[index].frames == source.frames
        and abs(_excess(checked, index)) <= _NOTABLE
    } - {0}
