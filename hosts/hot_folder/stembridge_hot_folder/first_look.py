"""The first look at a song: may it be read, does that end the process, have its stems room, was it done before."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from plugin_core import STEMS_SUFFIX, Offer, is_own_work, read_provenance
from plugin_core.errors import SourceError, TransientError
from plugin_core.model import Job, JobState, Operation, Separation, Source, Tagging, show_path
from plugin_core.session import Session
from stembridge_hot_folder.files import DEATHS, Version, path_of, read_apart, shown
from stembridge_hot_folder.ledger import Look, Row, SongLedger, SongState
from stembridge_hot_folder.queue import Gate, Obstacle
from stembridge_hot_folder.recipes import Recipe
from stembridge_hot_folder.record import SongRecord
from stembridge_hot_folder.tools import Tools

_FORCE = "to do it all the same: stembridge watch retry FILE"


class FirstLook:
    """A look at a version nothing was begun with.

    Args:
        record: of the song.
        version: of the file.
        recipe: what would be done.
        tools: shared by all songs.
    """

    def __init__(self, record: SongRecord, version: Version, recipe: Recipe, tools: Tools) -> None:
        self._record = record
        self._version = version
        self._recipe = recipe
        self._tools = tools
        self._path = path_of(version.path)

    async def take(self, known: Row | None) -> Source | None:
        """Return the song as a source; None where it came to an end, or has its jobs already, which is recorded.

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

    def _find_trouble(self) -> Obstacle | None:
        """Ask the disk before reading, which may take long."""
        path, root = self._version.path, self._record.row.root
        if why := why_not_readable(path):
            return Obstacle(why, None)
        return find_no_access(path, self._recipe.operations, root, self._recipe.key)

    async def _survives(self) -> bool:
        """Read a file that was being read when an earlier process ended in a process of its own; tell whether to go on.

        Raises:
            TransientError: that process ended as well; it is tried again.
        """
        suspect = self._tools.suspects.pop(self._version.path, None)
        if suspect is None or suspect.identity != self._version.identity:
            return True
        if await read_apart(self._version.path):
            return True
        suspect = msgspec.structs.replace(suspect, deaths=suspect.deaths + 1)
        if suspect.deaths >= DEATHS:
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
            if known.identity.is_touched(self._version.identity):
                # Its permissions, a tag of the system's: nothing to tell of.
                self._record.put(SongState.DONE, content=source.content)
                return True
            self._record.end_skipped("the same song as before, which is done", SongState.DONE, content=source.content)
            return True
        tools, key = self._tools, self._recipe.key
        path = self._version.path
        found = await asyncio.to_thread(find_twin, tools.session, tools.ledger, path, hashes, key)
        if found is not None:
            row, twin = found
            if not twin and row.root == self._record.row.root:
                self._take_over(row)
                return True
            why = f"the same song as {shown(twin or row.path)}, which is done; {_FORCE}"
            if known is not None and twin and known.place == twin:
                # What is known of the one before, which had this name, stays known.
                self._record.row = msgspec.structs.replace(known, identity=self._version.identity)
                self._record.end_duplicate(why, SongState.DONE)
            else:
                self._record.end_duplicate(why)
            return True
        beside = os.path.splitext(path)[0] + os.fsencode(STEMS_SUFFIX)
        has_stems = await asyncio.to_thread(_stand_in, path_of(beside), hashes)
        if has_stems:
            self._record.end_skipped(f"its stems stand in {shown(beside)}; {_FORCE}")
        return has_stems

    def _take_over(self, row: Row) -> None:
        """Let what is known of a song that was renamed since it was done be known of it under its new name."""
        jobs = self._tools.session.store.find_all(row.jobs)
        folders = dict.fromkeys(show_path(stem.path.parent) for job in jobs for stem in job.stems)
        own = self._record.row
        self._record.row = msgspec.structs.replace(row, path=own.path, root=own.root, identity=own.identity)
        if row.state is SongState.WORKING and all(job.source.path == self._path for job in jobs):
            # Somebody else finished it where it lies now; what comes after that is still to be done.
            self._record.put(SongState.WORKING)
            self._tools.ledger.forget(row.path)
            return
        where = f"; its stems stand in {', '.join(folders)}" if folders else ""
        why = f"done before it was renamed, as {shown(row.path)}{where}; {_FORCE}"
        self._record.end_skipped(why, SongState.DONE)
        self._tools.ledger.forget(row.path)

    async def _hashes(self, source: Source) -> frozenset[str]:
        """Return which files count as this song: for stems what it sounds like, for labels its very bytes."""
        if any(isinstance(operation, Tagging) for operation in self._recipe.operations):
            return frozenset({source.content})
        return await self._tools.session.history.hashes(source)

    def _is_same_song(self, known: Row, source: Source, hashes: frozenset[str]) -> bool:
        """Recognise a file that was only touched, or whose tags alone were changed, since it was done."""
        if known.state is not SongState.DONE or known.recipe != self._recipe.key:
            return False
        if known.content not in hashes:
            written = self._tools.session.store.written_as(source.content)
            if not any(job.id in known.jobs for job in written):
                return False
        jobs = self._tools.session.store.find_all(known.jobs)
        return len(jobs) == len(known.jobs) and all(stem.path.exists() for job in jobs for stem in job.stems)


def find_twin(
    session: Session, ledger: SongLedger, path: bytes, hashes: Collection[str], recipe: str
) -> tuple[Row, bytes] | None:
    """Return the row of this song where it was done the same way and has its results still, and where it lies.

    Where it lies is empty of one that was renamed or deleted since.

    Args:
        session: the core.
        ledger: what was done.
        path: the song.
        hashes: the SHA-256 of every file that counts as this song.
        recipe: the key of what would be done.
    """
    gone = None
    for row in (row for content in sorted(hashes) for row in ledger.with_content(content)):
        # One whose song left while its job was finished was ended by nobody.
        is_left = row.state is SongState.WORKING and not os.path.lexists(row.path)
        if (row.state is SongState.DONE or is_left) and row.recipe == recipe:
            if row.path != path and _has_results(session, row):
                if os.path.lexists(row.path):
                    return row, row.path
                gone = row, b""
            if row.place and os.path.lexists(row.place):
                return row, row.place
    return gone


def _has_results(session: Session, row: Row) -> bool:
    jobs = session.store.find_all(row.jobs)
    return bool(jobs) and len(jobs) == len(row.jobs) and all(map(_has_result, jobs))


def _has_result(job: Job) -> bool:
    if job.state is not JobState.DONE:
        return False
    if job.stems:
        return all(stem.path.exists() for stem in job.stems)
    return job.source.path.exists()


def _stand_in(folder: Path, hashes: Collection[str]) -> bool:
    """Tell whether a folder holds stems of this very song, also after it was moved or renamed."""
    try:
        stems = sorted(folder.iterdir())
    except OSError:
        # None there, or not to be read: then nothing is known of it.
        return False
    # Session files, peaks of a DAW and what file managers leave say nothing.
    told = [text for stem in stems if (text := read_provenance(stem))]
    return bool(told) and any(all(content in text for text in told) for content in hashes)


def why_not_readable(path: bytes) -> str:
    """Return why a file cannot be read by this user; empty when it can."""
    return "" if os.access(path, os.R_OK) else "it may not be read; check its permissions"


def find_no_access(path: bytes, operations: Sequence[Operation], root: bytes, recipe: str) -> Obstacle | None:
    """Return which folder results cannot be written to; asked before a song is read.

    Args:
        path: the song.
        operations: what is to be done to it.
        root: its hot folder.
        recipe: the key of the operations.

    Raises:
        TransientError: the disk or share does not answer.
    """
    parent = path_of(path).parent
    for operation in operations:
        if isinstance(operation, Tagging) and not operation.write:
            continue
        place = operation.to if isinstance(operation, Separation) and operation.to is not None else parent
        if not os.access(place, os.W_OK | os.X_OK):
            is_shared = place != parent or _is_read_only(place)
            gate = _gate_of(place, parent, root, recipe) if is_shared else None
            return Obstacle(f"nothing can be written in {show_path(place)}", gate)
    return None


async def find_no_room(session: Session, offers: Sequence[Offer], root: bytes, recipe: str) -> Obstacle | None:
    """Return how much room is missing for the results that do not stand yet.

    Args:
        session: the core.
        offers: what is to be done to one song.
        root: its hot folder.
        recipe: the key of the operations.

    Raises:
        StembridgeError: a provider cannot say how much it gives.
        TransientError: the disk or share does not answer.
    """
    from plugin_core.files.disk import free_bytes

    for offer in offers:
        source, wish = offer.source, offer.plan.operation
        if offer.standing is not None or not isinstance(wish, Separation):
            continue
        place = wish.to or source.path.parent
        needed = await session.bytes_needed(source, offer.plan)
        free = free_bytes(place)
        if free < needed:
            gate = _gate_of(place, source.path.parent, root, recipe)
            missing = f"{free // 2**20} MiB free and the stems may take {-(-needed // 2**20)} MiB"
            return Obstacle(f"{show_path(place)} has {missing}", gate)
    return None


def _gate_of(place: Path, parent: Path, root: bytes, recipe: str) -> Gate | None:
    """Return whose songs wait for a disk: all of the folder on it, or of a recipe that places elsewhere."""
    if place != parent:
        return recipe
    try:
        is_same = os.stat(place).st_dev == os.stat(root).st_dev
    except OSError as error:
        raise TransientError(f"the disk or share does not answer: {error.strerror}") from error
    # Another disk may be mounted below the folder; the others are none the worse for it.
    return root if is_same else None


def _is_read_only(place: Path) -> bool:
    if not hasattr(os, "statvfs"):
        return False
    try:
        return bool(os.statvfs(place).f_flag & os.ST_RDONLY)
    except OSError:
        # Away by now: that is told when it is looked at.
        return False
