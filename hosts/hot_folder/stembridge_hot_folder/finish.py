"""The end of a song whose jobs are done: its row, and its way to the folder of finished songs."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import msgspec

from plugin_core import STEMS_SUFFIX
from plugin_core.console.phrases import describe_result, show
from plugin_core.errors import PlacementError, StembridgeError
from plugin_core.files.disk import FULL, device_of, explain_write_error
from plugin_core.files.hidden import HiddenNotes
from plugin_core.files.names import HIDDEN_PREFIX
from plugin_core.files.placement import copy_tree, rename_exclusive, sync_folder
from plugin_core.model import Job, show_path
from stembridge_hot_folder.files import Fate, Version, VersionChanged, path_of
from stembridge_hot_folder.folders import HotFolder
from stembridge_hot_folder.ledger import SongState
from stembridge_hot_folder.record import SongRecord, remove_error
from stembridge_hot_folder.tools import Tools

_REPLACED = "replaced meanwhile, so that these are the stems of the version before; the new one is done next"


class Finish:
    """Brings a song to its end; safe to be begun again after a crash at any place.

    Args:
        record: of the song.
        version: of the file.
        tools: shared by all songs.
    """

    def __init__(self, record: SongRecord, version: Version, tools: Tools) -> None:
        self._record = record
        self._version = version
        self._tools = tools

    async def run(self, jobs: Sequence[Job]) -> None:
        """Record what was made, and move it where the settings say so.

        Raises:
            TransientError: the disk or share does not answer.
        """
        outputs = [one.path for job in jobs for one in (*job.stems, *job.projects)]
        loose = [os.fsencode(path) for path in outputs if not any(part.endswith(STEMS_SUFFIX) for part in path.parts)]
        self._tools.ledger.add_outputs(loose)
        fate = await asyncio.to_thread(self._version.find, jobs)
        self._keep_version()
        remove_error(self._version.path)
        if self._is_to_move(fate):
            try:
                await asyncio.to_thread(self._move, outputs, fate)
            except VersionChanged:
                fate = Fate.REPLACED
            except (OSError, PlacementError) as error:
                self._wait_to_move(error)
                return
            self._record.find_place()
        self._end(jobs, fate)

    def _wait_to_move(self, error: OSError | PlacementError) -> None:
        """Let this song wait, or all that are done where the folder of finished songs takes none of them."""
        done = self._record.song.folder.done
        if takes_nothing(done, error):
            self._record.pause(done, _explain(done, error))
        else:
            why = _explain(self._record.row.place or self._version.path, error)
            self._record.postpone(f"it is done and cannot be moved: {why}")

    async def move_away(self, place: bytes) -> None:
        """Move a song that nothing is made of, and its note, to a folder in or beside the hot folder."""
        song, note = self._record.song, self._record.note
        root, folder = path_of(song.folder.path), path_of(place)
        notes = [path_of(note)] if note else []
        try:
            moves = plan_moves(path_of(song.path), notes, root, folder)
            require_disk(song.folder, place)
            await asyncio.to_thread(self._move_song, moves)
        except VersionChanged:
            return
        except (OSError, StembridgeError) as error:
            self._tools.reporter.warn(song.path, f"stays where it is: {_explain(place, error)}")
            return
        if self._record.row.state is not SongState.DONE:
            self._record.put(self._record.row.state, place=os.fsencode(moves[-1].new))
        self._record.tell("moved", f"to {show(moves[-1].new)}")

    def _end(self, jobs: Sequence[Job], fate: Fate) -> None:
        place = self._record.row.place
        told = "; ".join(describe_result(job) for job in jobs)
        if fate is Fate.REPLACED:
            told = f"{told}; {_REPLACED}"
        elif place:
            them = "moved, with its stems," if any(job.stems for job in jobs) else "moved"
            told = f"{told}; {them} to {show(path_of(place))}"
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
        root, done = path_of(song.folder.path), path_of(song.folder.done)
        chosen = path_of(self._record.row.place) if self._record.row.place else None
        moves = plan_moves(path_of(song.path), outputs, root, done, chosen)
        self._record.put(SongState.MOVING, place=os.fsencode(moves[-1].new))
        require_disk(song.folder, song.folder.done)
        try:
            if fate is Fate.SAME:
                self._move_song(moves)
            else:
                # A new version at the song's place stays there; the stems of the old one keep together.
                self._move_all([move for move in moves if move.is_result])
            # They name their song, and stems that may have another number now.
            self._tools.session.carry([(move.old, move.new) for move in moves])
        except FileExistsError:
            # Somebody took the place in between: the next try chooses another.
            self._record.put(SongState.MOVING, place=b"")
            raise

    def _move_all(self, moves: Sequence[Move]) -> None:
        move_all(moves, self._version.require_same, HiddenNotes(self._tools.session.settings.home))

    def _move_song(self, moves: Sequence[Move]) -> None:
        """Move a song with what belongs to it, but put back a version that took its name since the last look.

        Raises:
            VersionChanged: there is another version; it is done next.
        """
        self._move_all(moves)
        move = moves[-1]
        if self._version.is_at(os.fsencode(move.new)) or not os.path.lexists(move.new):
            return
        try:
            rename_exclusive(move.new, move.old)
        except FileExistsError:
            # One that is newer still.
            pass
        except OSError as error:
            if error.errno == errno.EXDEV:
                # It was not renamed there: it is a copy of its own, which was compared.
                return
            raise
        raise VersionChanged


def takes_nothing(done: bytes, error: Exception) -> bool:
    """Tell whether it is the folder of finished songs that takes none, whichever comes."""
    is_full = isinstance(error, OSError) and error.errno in FULL
    return is_full or os.path.realpath(done) != done or not os.access(done, os.W_OK | os.X_OK)


def require_disk(folder: HotFolder, place: bytes) -> None:
    """Make sure that a folder to move songs to is not made anew where the disk it was on is mounted no more.

    Raises:
        PlacementError: it would be.
    """
    path = path_of(place)
    if not os.path.lexists(path) and (device := device_of(path)) != folder.disks.get(place, device):
        raise PlacementError(f"{show_path(path)} is not there, nor is its disk")


def _explain(place: bytes, error: Exception) -> str:
    return explain_write_error(path_of(place), error).message if isinstance(error, OSError) else str(error)


_LAST_NUMBER: Final = 9999
_CHUNK: Final = 2**20


class Move(msgspec.Struct, frozen=True):
    """One entry and its new place."""

    old: Path
    new: Path
    is_result: bool = False
    """Whether stembridge made it; the song and its side file are the user's."""


def plan_moves(song: Path, stems: Sequence[Path], root: Path, done: Path, chosen: Path | None = None) -> list[Move]:
    """Return what goes where: stems, side file and last the song, under one common number.

    Args:
        song: the source.
        stems: the files that were made; those that lie elsewhere than beside the source stay.
        root: the hot folder.
        done: the folder of finished songs.
        chosen: where the song was to go in a try that did not end.

    Raises:
        PlacementError: ten thousand neighbours are there already.
    """
    # Chosen under the settings of then: what is moved already lies there.
    folder = done / song.parent.relative_to(root) if chosen is None else chosen.parent
    results = _units(song, stems)
    units = [*results, *_side_file(song), song]
    for number in range(1, _LAST_NUMBER + 1):
        moves = [Move(unit, folder / _number(unit.name, number), unit in results) for unit in units]
        if chosen is not None and moves[-1].new != chosen:
            continue
        if chosen is not None or not any(os.path.lexists(move.new) for move in moves):
            return moves
    raise PlacementError(f"{show_path(folder)} is full of songs of this name", remedy="tidy it up")


def move_all(moves: Sequence[Move], guard: Callable[[], None] = lambda: None, notes: HiddenNotes | None = None) -> None:
    """Do the moves; one that is done already counts as done.

    Args:
        moves: into one folder, in this order.
        guard: called right before something of the user's leaves its place; raise there to leave it.
        notes: know of a copy on its way to another disk.

    Raises:
        FileExistsError: something took the place meanwhile.
        PlacementError: a link leads elsewhere.
        OSError: as the system says; what was moved stays moved, and the rest can be moved later.
    """
    if not moves:
        return
    folder = moves[-1].new.parent
    _require_no_link(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _require_no_link(folder)
    for move in moves:
        if os.path.lexists(move.old):
            _move(move, _allow if move.is_result else guard, notes)
    sync_folder(folder)


def _require_no_link(folder: Path) -> None:
    """Refuse a place that a link took since the watch began: whoever may drop songs would choose where they go."""
    if folder.resolve() != folder:
        raise PlacementError(
            f"{show_path(folder)} is reached by a link that was not there at the start",
            remedy="remove the link, or start the watch anew",
        )


def _allow() -> None:
    """Allow what needs no guard."""


def _move(move: Move, guard: Callable[[], None], notes: HiddenNotes | None) -> None:
    guard()
    try:
        rename_exclusive(move.old, move.new)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_across(move, guard, notes)


def _copy_across(move: Move, guard: Callable[[], None], notes: HiddenNotes | None) -> None:
    """Copy to another disk beside the place, check the copy, rename it there, and only then remove the old one."""
    if not (os.path.lexists(move.new) and _digests(move.new) == _digests(move.old)):
        temporary = move.new.parent / f"{HIDDEN_PREFIX}{hashlib.sha256(os.fsencode(move.new)).hexdigest()[:16]}"
        with notes.noted(temporary) if notes is not None else nullcontext():
            _copy(move, temporary)
    guard()
    _remove(move.old)


def _copy(move: Move, temporary: Path) -> None:
    _remove(temporary)
    if move.old.is_dir() and not move.old.is_symlink():
        copy_tree(move.old, temporary)
    else:
        shutil.copy2(move.old, temporary, follow_symlinks=False)
    if _digests(temporary) != _digests(move.old):
        _remove(temporary)
        raise OSError(errno.EIO, "the copy is not what was copied", os.fspath(move.new))
    rename_exclusive(temporary, move.new)
    sync_folder(move.new.parent)


def _digests(path: Path) -> list[tuple[str, str]]:
    """Return the name and hash of each file, flushed to disk on the way."""
    return sorted((str(file.relative_to(path)), _digest(file)) for file in _files(path))


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (file for file in path.rglob("*") if file.is_file())
    else:
        yield path


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as opened:
        while block := opened.read(_CHUNK):
            found.update(block)
        os.fsync(opened.fileno())
    return found.hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _units(song: Path, stems: Sequence[Path]) -> list[Path]:
    """Return what of the results lies beside the source: whole folders of its own, else single files."""
    units: dict[Path, None] = {}
    for stem in stems:
        if stem.is_relative_to(song.parent):
            first = song.parent / stem.relative_to(song.parent).parts[0]
            # A folder that is shared with other songs stays; a *.stems folder is the song's own.
            units[first if first.suffix == STEMS_SUFFIX or first == stem else stem] = None
    return [unit for unit in units if unit.parent == song.parent]


def _side_file(song: Path) -> list[Path]:
    side = song.with_name(f"._{song.name}")
    return [side] if os.path.lexists(side) else []


def _number(name: str, number: int) -> str:
    if number == 1:
        return name
    stem, ending = os.path.splitext(name)
    return f"{stem} ({number}){ending}"
