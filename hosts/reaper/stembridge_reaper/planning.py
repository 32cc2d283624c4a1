"""From the files of a request to plans: whole files, or the parts of them that items play."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from plugin_core.model import Operation, Separation, Source
from plugin_core.purchases.purchase import Offer
from plugin_core.recordings.slices import Slice
from plugin_core.session import Session
from stembridge_reaper.choosing import Chooser, Span, Stretch
from stembridge_reaper.protocol import FileStatus, PartStatus, RequestFile
from stembridge_reaper.settings import ReaperSettings


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on one file or slice of it."""

    offer: Offer
    file: FileStatus
    parts: tuple[PartStatus, ...]
    """What of the file its results are for."""
    start: float = 0.0
    """Second of the file at which its stems begin."""


class Planner:
    """Looks at files and plans the operations on them."""

    def __init__(self, session: Session, settings: ReaperSettings, operations: tuple[Operation, ...]) -> None:
        self._session = session
        self._settings = settings
        self._separations = [one for one in operations if isinstance(one, Separation)]
        self._taggings = [one for one in operations if not isinstance(one, Separation)]

    async def plan(self, file: RequestFile, status: FileStatus) -> list[Task]:
        """Return what there is to do for one file, and note its parts in the status.

        Raises:
            StembridgeError: the file cannot be used, or an operation not be done to it.
        """
        source = await self._session.look(file.path)
        status.parts.clear()
        tasks = await self._plan_separations(file, source, status) if self._separations else []
        if self._taggings:
            # Labels describe the song, whatever part of it is played, and stand in the song's own file.
            tasks += await self._plan_whole(source, self._taggings, status)
        return tasks

    async def _plan_separations(self, file: RequestFile, source: Source, status: FileStatus) -> list[Task]:
        if not (self._settings.used_part_only and file.spans):
            return await self._plan_whole(source, self._separations, status)
        recording, handles = await self._session.slices.recognise(source), self._settings.handles
        chosen = [
            await Chooser(self._session, source, recording, wish, handles).choose(file.spans)
            for wish in self._separations
        ]
        # By wish and place: what several parts need is done once.
        needs: dict[tuple[int, Slice | None], tuple[Stretch, list[PartStatus]]] = {}
        for stretches, spans in _group(chosen, file.spans):
            part = _describe_part(source, stretches, spans)
            status.parts.append(part)
            for number, stretch in enumerate(stretches):
                needs.setdefault((number, stretch.place), (stretch, []))[1].append(part)
        return [
            Task(offer=one.offer, file=status, parts=tuple(parts), start=_start(source, one))
            for one, parts in needs.values()
        ]

    async def _plan_whole(self, source: Source, operations: Iterable[Operation], status: FileStatus) -> list[Task]:
        part = PartStatus()
        status.parts.append(part)
        offers = [await self._session.offer(source, operation) for operation in operations]
        return [Task(offer=offer, file=status, parts=(part,)) for offer in offers]


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
