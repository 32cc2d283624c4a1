"""The end of a song whose jobs are done: its row, and its way to the folder of finished songs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from plugin_core.console.formatting import describe_result, show
from plugin_core.errors import PlacementError
from plugin_core.files.hidden import HiddenNotes
from plugin_core.model import Job
from plugin_core.stems.layout import STEMS_SUFFIX
from stembridge_hot_folder.ledger import SongState
from stembridge_hot_folder.song import error_file
from stembridge_hot_folder.song.moving import move_all, plan_moves
from stembridge_hot_folder.song.record import Record
from stembridge_hot_folder.song.tools import Tools
from stembridge_hot_folder.song.version import Changed, Fate, Version

_REPLACED = "replaced meanwhile, so that these are the stems of the version before; the new one is done next"


class Finish:
    """Brings a song to its end; safe to be begun again after a crash at any place.

    Args:
        record: of the song.
        version: of the file.
        tools: shared by all songs.
    """

    def __init__(self, record: Record, version: Version, tools: Tools) -> None:
        self._record = record
        self._version = version
        self._tools = tools

    async def run(self, jobs: Sequence[Job]) -> None:
        """Record what was made, and move it where the settings say so.

        Raises:
            TransientError: the disk or share does not answer.
        """
        outputs = [stem.path for job in jobs for stem in job.stems]
        loose = [os.fsencode(path) for path in outputs if not any(part.endswith(STEMS_SUFFIX) for part in path.parts)]
        self._tools.ledger.add_outputs(loose)
        fate = await asyncio.to_thread(self._version.find, jobs)
        self._keep_version()
        error_file.remove_error(self._version.path)
        if self._is_to_move(fate):
            try:
                await asyncio.to_thread(self._move, outputs, fate)
            except Changed:
                fate = Fate.REPLACED
            except (OSError, PlacementError) as error:
                self._record.postpone(f"it is done and cannot be moved: {error}")
                return
        self._end(jobs, fate)

    def _end(self, jobs: Sequence[Job], fate: Fate) -> None:
        place = self._record.row.place
        told = "; ".join(describe_result(job) for job in jobs)
        if fate is Fate.REPLACED:
            told = f"{told}; {_REPLACED}"
        elif place:
            them = "moved, with its stems," if any(job.stems for job in jobs) else "moved"
            told = f"{told}; {them} to {show(Path(os.fsdecode(place)))}"
        self._record.end_done(told, place=b"" if fate is Fate.REPLACED else place)

    def _keep_version(self) -> None:
        """Take over what our own labels made of the file, so that it is not taken again."""
        content = self._version.content or self._record.row.content
        self._record.row = msgspec.structs.replace(self._record.row, identity=self._version.identity, content=content)
        self._record.song = msgspec.structs.replace(self._record.song, identity=self._version.identity)

    def _is_to_move(self, fate: Fate) -> bool:
        """Tell whether there is something to move; of a song that is no longer there only what was begun."""
        return bool(self._record.song.folder.done) and (fate is Fate.SAME or bool(self._record.row.place))

    def _move(self, outputs: list[Path], fate: Fate) -> None:
        song = self._record.song
        root, done = Path(os.fsdecode(song.folder.path)), Path(os.fsdecode(song.folder.done))
        chosen = Path(os.fsdecode(self._record.row.place)) if self._record.row.place else None
        moves = plan_moves(Path(os.fsdecode(song.path)), outputs, root, done, chosen)
        self._record.put(SongState.MOVING, place=os.fsencode(moves[-1].new))
        try:
            # A new version at the song's place stays there; the stems of the old one keep together.
            wanted = moves if fate is Fate.SAME else [move for move in moves if move.is_result]
            move_all(wanted, self._version.require_same, HiddenNotes(self._tools.session.settings.home))
        except FileExistsError:
            # Somebody took the place in between: the next try chooses another.
            self._record.put(SongState.MOVING, place=b"")
            raise
