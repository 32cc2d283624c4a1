"""Cutting the used part out of a long file, to the sample, so that only that is separated."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from plugin_core import Slice, held_still, resolve_format, source_key
from plugin_core.errors import PlacementError, SourceError
from plugin_core.model import Source, show_path

SLICES = Path("reaper", "slices")
"""Where slices lie below the home, or the folder that machines share."""

WORTH_IT = 0.8
"""Share of the file above which it is separated whole."""

_BLOCK = 1 << 16
_CLIPPED = "clipped"
"""Beside a slice, how many samples of it were: a lossy song may decode to more than full scale."""


def slice_of(source: Source, start: float, end: float) -> Slice:
    """Return the frames that hold seconds of a file, as far as it has them."""
    first, last = math.floor(start * source.sample_rate), math.ceil(end * source.sample_rate)
    return Slice(start=max(0, first), end=min(_count_frames(source), last))


def plan_slices(source: Source, spans: Sequence[tuple[float, float]], handles: float) -> list[Slice]:
    """Return the slices to cut for the seconds that items play; empty when the whole file is the better choice.

    Args:
        source: the file.
        spans: seconds; empty means the whole file.
        handles: seconds to keep on both sides; slices that then touch become one.
    """
    slices: list[Slice] = []
    for start, end in sorted(spans):
        one = slice_of(source, start - handles, end + handles)
        if slices and one.start <= slices[-1].end:
            slices[-1] = Slice(start=slices[-1].start, end=max(slices[-1].end, one.end))
        elif one.end > one.start:
            slices.append(one)
    used = sum(one.end - one.start for one in slices)
    return [] if used > WORTH_IT * _count_frames(source) else slices


def cut_slice(source: Source, recording: str, wanted: Slice, folder: Path) -> Path:
    """Cut a slice into a folder and return its file; one that is there is taken, for equal names mean equal samples.

    Args:
        source: the file, read from its beginning since not every format can be sought in to the sample.
        recording: the id of what it holds, which stays whatever becomes of its tags.
        wanted: the frames.
        folder: where slices lie.

    Raises:
        SourceError: the file cannot be read, or was changed since it was looked at.
        PlacementError: the slice cannot be written.
    """
    from plugin_core import open_writer

    chosen = resolve_format("", source)
    # Names show milliseconds, which many slices may share.
    place = folder / recording / _place(source, wanted)
    path = place / (_name(source, wanted) + chosen.suffix)
    try:
        place.mkdir(parents=True, exist_ok=True)
        # What is in use is not forgotten.
        os.utime(place)
    except OSError as error:
        raise PlacementError(f"{show_path(place)} cannot be made: {error.strerror}") from error
    # Unlike ``Path.exists``, it takes a name that is too long for one that is not there.
    if os.path.exists(path):  # noqa: PTH110
        return path
    staged = place / f"{os.getpid()}{chosen.suffix}"
    try:
        with (
            _unchanged(source),
            open_writer(staged, sample_rate=source.sample_rate, channels=source.channels, format=chosen) as writer,
        ):
            for block in _read_frames(source.path, wanted):
                writer.write(block)
        if writer.clipped:
            (place / _CLIPPED).write_text(str(writer.clipped), "utf-8")
        staged.replace(path)
    except OSError as error:
        raise PlacementError(f"{show_path(path)} cannot be written: {error.strerror}") from error
    finally:
        staged.unlink(missing_ok=True)
    return path


def describe_clipping(cut: Path) -> str:
    """Say how much of a slice was clipped when it was cut; nothing where that is none."""
    try:
        count = int((cut.parent / _CLIPPED).read_text("utf-8"))
    except (OSError, ValueError):
        return ""
    return f"{count} samples over full scale were clipped where the used part was cut out, as a player does"


def _place(source: Source, wanted: Slice) -> str:
    """Return the name of the folder of a slice.

    Two files of one lossy recording may begin on different samples; they differ in length then.
    """
    place = f"{wanted.start}-{wanted.end}"
    return f"{place} of {_count_frames(source)}" if source.encoding == "lossy" else place


@contextmanager
def _unchanged(source: Source) -> Iterator[None]:
    """Make sure that what is read meanwhile is the file that was looked at."""
    with held_still(source.path) as found:
        if found[:4] != source_key(source):
            raise SourceError(f"{show_path(source.path)} is being written", remedy="try again when it is complete")
        yield


def _count_frames(source: Source) -> int:
    return source.frames or math.floor(source.duration * source.sample_rate)


def _name(source: Source, wanted: Slice) -> str:
    start, end = (frame / source.sample_rate for frame in (wanted.start, wanted.end))
    return f"{source.path.stem} {start:.3f}-{end:.3f}"


def _read_frames(path: Path, wanted: Slice):  # type: ignore[no-untyped-def]
    from plugin_core import open_reader

    with open_reader(path) as reader:
        while reader.position < wanted.end:
            begin = reader.position
            block = reader.read(min(_BLOCK, wanted.end - begin), "float64")
            if not len(block):
                return
            kept = block[max(0, wanted.start - begin) :]
            if len(kept):
                yield kept
