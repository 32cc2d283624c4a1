"""Cutting the used part out of a long file, to the sample, so that only that is separated."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from plugin_core.audio.formats import resolve_format
from plugin_core.errors import PlacementError
from plugin_core.model import Source, show_path

WORTH_IT = 0.8
"""Share of the file above which it is separated whole."""

_BLOCK = 1 << 16


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """Frames ``start`` to ``end`` of a file."""

    start: int
    end: int


def plan_slices(source: Source, spans: Sequence[tuple[float, float]], handles: float) -> list[Slice]:
    """Return the slices to cut for the seconds that items play; empty when the whole file is the better choice.

    Args:
        source: the file.
        spans: seconds; empty means the whole file.
        handles: seconds to keep on both sides; slices that then touch become one.
    """
    frames = source.frames or math.floor(source.duration * source.sample_rate)
    slices: list[Slice] = []
    for start, end in sorted(spans):
        first = max(0, math.floor((start - handles) * source.sample_rate))
        last = min(frames, math.ceil((end + handles) * source.sample_rate))
        if slices and first <= slices[-1].end:
            slices[-1] = Slice(start=slices[-1].start, end=max(slices[-1].end, last))
        elif last > first:
            slices.append(Slice(start=first, end=last))
    used = sum(one.end - one.start for one in slices)
    return [] if used > WORTH_IT * frames else slices


def cut_slice(source: Source, wanted: Slice, folder: Path) -> Path:
    """Cut a slice into a folder and return its file; one that is there is taken, for equal names mean equal samples.

    Args:
        source: the file, read from its beginning since not every format can be sought in to the sample.
        wanted: the frames.
        folder: where slices lie.

    Raises:
        SourceError: the file cannot be read.
        PlacementError: the slice cannot be written.
    """
    from plugin_core.audio.writer import open_writer

    chosen = resolve_format("", source)
    # Names show milliseconds, which many slices may share.
    place = folder / source.content[:16] / f"{wanted.start}-{wanted.end}"
    path = place / (_name(source, wanted) + chosen.suffix)
    if path.exists():
        return path
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlacementError(f"{show_path(place)} cannot be made: {error.strerror}") from error
    staged = place / f"{os.getpid()}{chosen.suffix}"
    try:
        with open_writer(staged, sample_rate=source.sample_rate, channels=source.channels, format=chosen) as writer:
            for block in _read_frames(source.path, wanted):
                writer.write(block)
        staged.replace(path)
    except OSError as error:
        raise PlacementError(f"{show_path(path)} cannot be written: {error.strerror}") from error
    finally:
        staged.unlink(missing_ok=True)
    return path


def _name(source: Source, wanted: Slice) -> str:
    start, end = (frame / source.sample_rate for frame in (wanted.start, wanted.end))
    return f"{source.path.stem} {start:.3f}-{end:.3f}"


def _read_frames(path: Path, wanted: Slice):  # type: ignore[no-untyped-def]
    from plugin_core.audio.reader import open_reader

    with open_reader(path) as reader:
        while reader.position < wanted.end:
            begin = reader.position
            block = reader.read(min(_BLOCK, wanted.end - begin), "float64")
            if not len(block):
                return
            kept = block[max(0, wanted.start - begin) :]
            if len(kept):
                yield kept
