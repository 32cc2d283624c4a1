"""The used part of a long file, bought already or cut out anew, to the sample, so that only that is separated."""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from plugin_core import Offer, Slice, held_still, resolve_format, slack_of, source_key
from plugin_core.errors import PlacementError, SourceError, StembridgeError
from plugin_core.model import Separation, Source, show_path
from plugin_core.session import Session
from stembridge_reaper.runs import SLICES
from stembridge_reaper.takes import Span

log = logging.getLogger(__name__)

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


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """A slice of a file, or all of it, and what its separation would be."""

    place: Slice | None
    """None for the whole file."""
    offer: Offer


class Chooser:
    """Chooses the stretches of one file for one wish.

    Args:
        session: the core.
        source: the file.
        recording: what it holds.
        wish: what is done to each stretch.
        handles: seconds to keep on both sides of what is cut out.
    """

    def __init__(self, session: Session, source: Source, recording: str, wish: Separation, handles: float) -> None:
        self._session = session
        self._source = source
        self._recording = recording
        self._wish = wish
        self._handles = handles
        self._had: dict[Slice | None, Stretch | None] = {}

    async def choose(self, spans: Sequence[Span]) -> list[Stretch | None]:
        """Return the stretch for each of the spans that items play; None for one behind the file's end.

        The smallest that holds a span and needs not be bought any more serves it, which may be the whole file. For the
        rest slices are planned.

        Raises:
            StembridgeError: the file cannot be read or cut, or the wish not be done to it.
        """
        places = [slice_of(self._source, *span) for span in spans]
        found = [await self._find_had(place) for place in places]
        rest = [span for span, stretch in zip(spans, found, strict=True) if stretch is None]
        new = await self._plan_new(rest) if rest else []
        return [stretch or self._find_new(new, place) for stretch, place in zip(found, places, strict=True)]

    async def _find_had(self, wanted: Slice) -> Stretch | None:
        covering = self._session.slices.covering(self._source, self._recording, wanted)
        for place in (*covering, None):
            if place not in self._had:
                self._had[place] = await self._look(place)
            if (stretch := self._had[place]) is not None:
                return stretch
        return None

    async def _look(self, place: Slice | None) -> Stretch | None:
        """Return a stretch unless it would have to be bought."""
        try:
            stretch = await self._stretch(place)
            return stretch if await self._session.is_had(stretch.offer) else None
        except StembridgeError as error:
            # Too long for its service, perhaps, which is no matter: what is wanted is shorter.
            log.info("%s, %s, serves none of its parts: %s", show_path(self._source.path), place or "whole", error)
            return None

    async def _plan_new(self, spans: Sequence[Span]) -> list[Stretch]:
        # Where no other machine would see slices, only the whole file will do.
        places = plan_slices(self._source, spans, self._handles) if self._session.slices.are_seen else ()
        return [await self._stretch(place) for place in places or (None,)]

    def _find_new(self, new: Sequence[Stretch], wanted: Slice) -> Stretch | None:
        slack = slack_of(self._source)
        return next((one for one in new if one.place is None or one.place.covers(wanted, slack)), None)

    async def _stretch(self, place: Slice | None) -> Stretch:
        if place is None:
            return Stretch(place=None, offer=await self._session.offer(self._source, self._wish))
        cut = await self._cut(place)
        # The stems of a slice belong beside the song, not beside the slice.
        here = self._wish if self._wish.to else msgspec.structs.replace(self._wish, to=self._source.path.parent)
        offer = await self._session.offer(cut, here)
        if told := describe_clipping(cut.path):
            plan = msgspec.structs.replace(offer.plan, notes=(*offer.plan.notes, told))
            offer = msgspec.structs.replace(offer, plan=plan)
        return Stretch(place=place, offer=offer)

    async def _cut(self, place: Slice) -> Source:
        folder = self._session.slices.folder / SLICES
        path = await asyncio.to_thread(cut_slice, self._source, self._recording, place, folder)
        cut = await self._session.look(path)
        # Before it is bought: whoever comes after a crash must know what it is a part of.
        await self._session.slices.note(cut, self._recording, place)
        return cut
