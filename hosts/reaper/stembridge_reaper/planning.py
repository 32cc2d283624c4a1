"""From the files of a request to plans: whole files, or the parts of them that items play."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from plugin_core.model import Operation, Separation, Source
from plugin_core.offer import Offer
from plugin_core.session import Session
from stembridge_reaper.protocol import FileStatus, PartStatus, RequestFile
from stembridge_reaper.settings import ReaperSettings
from stembridge_reaper.slicing import Slice, cut_slice, plan_slices

SLICES = Path("reaper", "slices")
"""Where slices lie below the home folder."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on one part of one file."""

    offer: Offer
    file: FileStatus
    part: PartStatus


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
        source = await asyncio.to_thread(self._session.inspect, file.path)
        status.parts.clear()
        tasks = await self._plan_parts(file, source, status)
        if self._taggings:
            whole = PartStatus()
            status.parts.append(whole)
            # Labels describe the song, whatever part of it is played, and stand in the song's own file.
            tasks += [await self._task(source, operation, status, whole) for operation in self._taggings]
        return tasks

    async def _plan_parts(self, file: RequestFile, source: Source, status: FileStatus) -> list[Task]:
        if not self._separations:
            return []
        slices = plan_slices(source, file.spans, self._settings.handles) if self._settings.used_part_only else []
        if not slices:
            return await self._plan_part(source, source, status, PartStatus())
        tasks = []
        for one in slices:
            cut = await self._cut(source, one)
            part = PartStatus(start=one.start / source.sample_rate, end=one.end / source.sample_rate)
            tasks += await self._plan_part(source, cut, status, part)
        return tasks

    async def _cut(self, source: Source, wanted: Slice) -> Source:
        path = await asyncio.to_thread(cut_slice, source, wanted, self._session.settings.home / SLICES)
        return await asyncio.to_thread(self._session.inspect, path)

    async def _plan_part(self, source: Source, cut: Source, status: FileStatus, part: PartStatus) -> list[Task]:
        status.parts.append(part)
        tasks = []
        for wish in self._separations:
            # The stems of a slice belong beside the song, not beside the slice.
            here = wish if cut is source or wish.to else msgspec.structs.replace(wish, to=source.path.parent)
            tasks.append(await self._task(cut, here, status, part))
        return tasks

    async def _task(self, source: Source, operation: Operation, status: FileStatus, part: PartStatus) -> Task:
        return Task(offer=await self._session.offer(source, operation), file=status, part=part)
