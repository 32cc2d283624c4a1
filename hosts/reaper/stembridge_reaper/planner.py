"""From the files of a request to plans: whole files, or the stretch that items play, bought already or cut anew."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from plugin_core import Offer, Slice, slack_of
from plugin_core.errors import StembridgeError
from plugin_core.files.placement import explain_os_error
from plugin_core.model import Operation, Separation, Source, show_path
from plugin_core.run import Ready, Want
from plugin_core.session import Session
from stembridge_reaper.protocol import FileStatus, PartStatus
from stembridge_reaper.selection import UsedFile
from stembridge_reaper.settings import ReaperSettings
from stembridge_reaper.slices import SLICES, cut_slice, describe_clipping, plan_slices, slice_of
from stembridge_reaper.takes import Span

log = logging.getLogger(__name__)


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


class PartWant(Want, frozen=True, kw_only=True):
    """One operation on one file or slice of it."""

    file: FileStatus
    parts: tuple[PartStatus, ...]
    """What of the file its results are for."""
    start: float = 0.0
    """Second of the file at which its stems begin."""


Task = Ready[PartWant]


class RequestPlanner:
    """Looks at files and plans the operations on them."""

    def __init__(
        self, session: Session, settings: ReaperSettings, operations: tuple[Operation, ...], media: Path | None = None
    ) -> None:
        self._session = session
        self._media = media
        self._settings = settings
        self._separations = [one for one in operations if isinstance(one, Separation)]
        self._taggings = [one for one in operations if not isinstance(one, Separation)]

    async def plan(self, file: UsedFile, status: FileStatus) -> list[Task]:
        """Return what there is to do for one file, and note its parts in the status.

        Raises:
            StembridgeError: the file cannot be used, or an operation not be done to it.
        """
        source = await self._session.look(file.path)
        status.parts.clear()
        wishes = [self._place(one, source) for one in self._separations]
        tasks = await self._plan_separations(file, source, wishes, status) if wishes else []
        if self._taggings:
            # Labels describe the song, whatever part of it is played, and stand in the song's own file.
            tasks += await self._plan_whole(source, self._taggings, status)
        return tasks

    def _place(self, wish: Separation, source: Source) -> Separation:
        """Return the wish with the project's media folder as its place, where stems go there."""
        folder = source.path.parent
        is_elsewhere = self._settings.stems_in == "project" or not os.access(folder, os.W_OK | os.X_OK)
        if wish.to or self._media is None or not is_elsewhere or self._media == folder:
            return wish
        # REAPER makes it with the first recording.
        try:
            self._media.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_os_error(error, self._media) from error
        return msgspec.structs.replace(wish, to=self._media)

    async def _plan_separations(
        self, file: UsedFile, source: Source, wishes: Sequence[Separation], status: FileStatus
    ) -> list[Task]:
        if not (file.spans and self._cuts()):
            return await self._plan_whole(source, wishes, status)
        recording, handles = await self._session.slices.recognise(source), self._settings.handles
        chosen = [await Chooser(self._session, source, recording, wish, handles).choose(file.spans) for wish in wishes]
        # By wish and place: what several parts need is done once.
        needs: dict[tuple[int, Slice | None], tuple[Stretch, list[PartStatus]]] = {}
        for stretches, spans in _group(chosen, file.spans):
            part = _describe_part(source, stretches, spans)
            status.parts.append(part)
            for number, stretch in enumerate(stretches):
                needs.setdefault((number, stretch.place), (stretch, []))[1].append(part)
        return [_make_task(one.offer, status, parts, start=_start(source, one)) for one, parts in needs.values()]

    def _cuts(self) -> bool:
        """Tell whether only what is played is separated."""
        said = self._settings.used_part_only
        return any(self._session.separator(one.provider).remote for one in self._separations) if said is None else said

    async def _plan_whole(self, source: Source, operations: Iterable[Operation], status: FileStatus) -> list[Task]:
        part = PartStatus()
        status.parts.append(part)
        offers = [await self._session.offer(source, operation) for operation in operations]
        return [_make_task(offer, status, [part]) for offer in offers]


def _make_task(offer: Offer, file: FileStatus, parts: Sequence[PartStatus], *, start: float = 0.0) -> Task:
    operation = offer.plan.operation
    want = PartWant(path=offer.source.path, operation=operation, file=file, parts=tuple(parts), start=start)
    return Ready(want=want, offer=offer)


def _group(
    chosen: Sequence[Sequence[Stretch | None]], spans: Sequence[Span]
) -> list[tuple[tuple[Stretch, ...], list[Span]]]:
    """Return the spans that have the same stretches, one a wish, with these."""
    groups: dict[tuple[Slice | None, ...], tuple[tuple[Stretch, ...], list[Span]]] = {}
    for span, *stretches in zip(spans, *chosen, strict=True):
        known = tuple(one for one in stretches if one is not None)
        if len(known) == len(stretches):
            groups.setdefault(tuple(one.place for one in known), (known, []))[1].append(span)
    return list(groups.values())


def _describe_part(source: Source, stretches: Sequence[Stretch], spans: Sequence[Span]) -> PartStatus:
    """Return the part that has all these stretches; an item may begin a little before a stretch of a lossy file."""
    places = [one.place for one in stretches if one.place is not None]
    if not places:
        return PartStatus()
    start, end = max(one.start for one in places), min(one.end for one in places)
    return PartStatus(
        start=min(start / source.sample_rate, *(span[0] for span in spans)),
        end=max(end / source.sample_rate, *(span[1] for span in spans)),
    )


def _start(source: Source, stretch: Stretch) -> float:
    return stretch.place.start / source.sample_rate if stretch.place else 0.0
