"""What people should know of stems though nothing failed: what was done to their shape, what had to be clipped."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from plugin_core.audio.encoder import count_tail
from plugin_core.audio.formats import AudioFormat
from plugin_core.audio.info import AudioInfo
from plugin_core.stems.conform import Shape
from plugin_core.stems.verify import Checked

_SILENT: Final = 1e-4
"""Peak of a part in which nothing is to be heard: dither."""

_NOTABLE: Final = 0.5
"""Seconds from which it is said of which stem something was cut or padded: encoders pad less, and resamplers round."""


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
