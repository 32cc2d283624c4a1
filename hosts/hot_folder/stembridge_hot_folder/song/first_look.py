"""The first look at a song: may it be read, does reading it end the process, was it done before."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec

from plugin_core.errors import SourceError, TransientError
from plugin_core.model import Source, Tagging
from plugin_core.tags.provenance import is_own_work
from stembridge_hot_folder.folder.recipes import Recipe
from stembridge_hot_folder.ledger import Look, Row, SongState
from stembridge_hot_folder.song import checking, reading_apart
from stembridge_hot_folder.song.record import Record
from stembridge_hot_folder.song.standing import why_done_before
from stembridge_hot_folder.song.tools import Tools
from stembridge_hot_folder.song.version import Version

_FORCE = "to do it all the same: stembridge watch retry FILE"


class FirstLook:
    """A look at a version nothing was begun with.

    Args:
        record: of the song.
        version: of the file.
        recipe: what would be done.
        tools: shared by all songs.
    """

    def __init__(self, record: Record, version: Version, recipe: Recipe, tools: Tools) -> None:
        self._record = record
        self._version = version
        self._recipe = recipe
        self._tools = tools
        self._path = Path(os.fsdecode(version.path))

    async def take(self, known: Row | None) -> Source | None:
        """Return the song as a source; None where it came to an end, which is recorded.

        Raises:
            Changed: it is gone or another version.
            TransientError: it cannot be read now.
            SourceError: it is no song.
        """
        self._version.require_same()
        if trouble := self._find_trouble():
            self._version.require_same()
            self._record.wait(trouble)
            return None
        is_forced = known is not None and known.state is SongState.RETRY
        if not await self._survives():
            return None
        path, row = self._version.path, self._record.row
        self._tools.ledger.begin_look(Look(path=path, root=row.root, identity=self._version.identity))
        try:
            if await asyncio.to_thread(self._is_ours):
                self._record.end_skipped("made by stembridge")
                return None
            source = await self._look()
        finally:
            self._tools.ledger.end_look(path)
        if not is_forced and await self._is_done(known, source):
            return None
        return source

    def _find_trouble(self) -> checking.Trouble | None:
        """Ask the disk before reading, which may take long."""
        path, root = self._version.path, self._record.row.root
        if why := checking.why_not_readable(path):
            return checking.Trouble(why, None)
        return checking.find_no_access(path, self._recipe.operations, root, self._recipe.key)

    async def _survives(self) -> bool:
        """Read a file that was being read when an earlier process ended in a process of its own; tell whether to go on.

        Raises:
            TransientError: that process ended as well; it is tried again.
        """
        suspect = self._tools.suspects.pop(self._version.path, None)
        if suspect is None or suspect.identity != self._version.identity:
            return True
        if await reading_apart.read_apart(self._version.path):
            return True
        suspect = msgspec.structs.replace(suspect, deaths=suspect.deaths + 1)
        if suspect.deaths >= reading_apart.DEATHS:
            self._tools.ledger.end_look(suspect.path)
            self._record.end_failed(
                f"reading it ended the process that read it, {suspect.deaths} times",
                "look whether other programs play it",
            )
            return False
        self._tools.ledger.begin_look(suspect)
        self._tools.suspects[suspect.path] = suspect
        raise TransientError("reading it ended the process that read it")

    async def _look(self) -> Source:
        opened = self._version.open()
        try:
            source = await self._tools.session.look(self._path)
        except SourceError:
            self._version.require_same()
            raise
        self._version.require_read(source, opened)
        return source

    def _is_ours(self) -> bool:
        return self._tools.ledger.is_output(self._version.path) or is_own_work(self._path)

    async def _is_done(self, known: Row | None, source: Source) -> bool:
        if self._tools.settings.again:
            return False
        hashes = await self._hashes(source)
        if known is not None and self._is_same_song(known, source, hashes):
            self._record.row = msgspec.structs.replace(known, identity=self._version.identity)
            self._record.end_skipped("the same song as before, which is done", SongState.DONE, content=source.content)
            return True
        tools, key = self._tools, self._recipe.key
        why = await asyncio.to_thread(why_done_before, tools.session, tools.ledger, self._version.path, hashes, key)
        if why:
            self._record.end_skipped(f"{why}; {_FORCE}")
        return bool(why)

    async def _hashes(self, source: Source) -> frozenset[str]:
        """Return which files count as this song: for stems what it sounds like, for labels its very bytes."""
        if any(isinstance(operation, Tagging) for operation in self._recipe.operations):
            return frozenset({source.content})
        return await self._tools.session.hashes(source)

    def _is_same_song(self, known: Row, source: Source, hashes: frozenset[str]) -> bool:
        """Recognise a file that was only touched, or whose tags alone were changed, since it was done."""
        if known.state is not SongState.DONE or known.recipe != self._recipe.key:
            return False
        if known.content not in hashes:
            written = self._tools.session.store.written_as(source.content)
            if not any(job.id in known.jobs for job in written):
                return False
        jobs = [self._tools.session.store.find(job_id) for job_id in known.jobs]
        return all(job is not None and all(stem.path.exists() for stem in job.stems) for job in jobs)
