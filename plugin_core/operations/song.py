"""The song of a job: looked at before there is one, and the same recording whatever happens to its file since."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from plugin_core.audio.source_file import open_file
from plugin_core.errors import SourceError, StembridgeError
from plugin_core.model import Job, Source, Stem, show_path, source_key, stat_key
from plugin_core.recordings.content import hash_content
from plugin_core.recordings.tables import Slice
from plugin_core.tasks import run_stoppable

if TYPE_CHECKING:
    from plugin_core.jobs.store import JobStore


Check = Callable[[], None]
Hear = Callable[[Path, Check], frozenset[str]]
"""Return every id of the recording that a file holds."""
Renew = Callable[[Job], tuple[Stem, ...]]
Moves = Sequence[tuple[Path, Path]]
"""Old and new paths of files and folders."""

_LOOKED_AT: Final = 10_000
"""Names that are looked at, at most, for a song that is gone from its place."""


def inspect(path: Path, *, check: Callable[[], None] = lambda: None) -> Source:
    """Return what a job keeps of its source: identity, content and shape.

    Args:
        path: the file, absolute or from the working folder; a link stays a link, stems go beside it.
        check: called for each MiB read; raise there to stop.

    Raises:
        SourceError: it is missing, no plain file, not audio, or changes while it is read.
        TransientError: the disk or share does not answer.
    """
    # It looks into songs; whoever only moves them does without.
    from plugin_core.recordings.digest import read_song

    path = absolute(path)
    before = stat_source(path)
    info, content = read_song(path, check=check)
    if stat_key(stat_source(path)) != stat_key(before):
        raise SourceError(f"{show_path(path)} is being written", remedy="try again when it is complete")
    return Source(
        path=path,
        device=before.st_dev,
        inode=before.st_ino,
        size=before.st_size,
        mtime_ns=before.st_mtime_ns,
        content=content,
        duration=info.duration,
        frames=info.frames,
        channels=info.channels,
        sample_rate=info.sample_rate,
        encoding=info.encoding,
    )


def is_untouched(source: Source) -> bool:
    """Tell whether the file at a source's path is, by its status, the one that was looked at."""
    try:
        found = source.path.stat()
    except OSError:
        return False
    return stat_key(found) == source_key(source)


def stat_source(path: Path) -> os.stat_result:
    """Return the status of a plain file that can be read, links followed.

    Raises:
        SourceError: it vanished, cannot be read, is empty or no plain file.
        TransientError: the disk or share does not answer.
    """
    with open_file(path) as descriptor:
        return os.fstat(descriptor)


def absolute(path: Path) -> Path:
    """Return a path from the root, links kept."""
    path = path.absolute()
    # "link/../song" depends on where the link leads; only the system can tell.
    return path.parent.resolve() / path.name if ".." in path.parts else path


def hear_nothing(_path: Path, _check: Check) -> frozenset[str]:
    """Know no recordings: songs are told by their bytes."""
    return frozenset()


class Song:
    """What a job was made for.

    Args:
        source: the file, as it was when it was handed in.
        recording: what it sounds like; "" where that is not known.
        hear: tells what files sound like.
    """

    def __init__(self, source: Source, recording: str = "", hear: Hear = hear_nothing) -> None:
        self._source = source
        self._recording = recording
        self._hear = hear

    def require(self, check: Check = lambda: None) -> None:
        """Make sure that the song is at its path: tags may have changed, the sound may not.

        Args:
            check: called now and then while a file is read; raise there to stop.

        Raises:
            SourceError: it is gone, or another recording lies there.
            TransientError: the disk or share does not answer.
        """
        if self._is_another(check):
            raise SourceError(f"{show_path(self._source.path)} changed since it was queued", remedy="queue it again")

    def is_at(self, path: Path, check: Check = lambda: None) -> bool:
        """Tell whether the song lies at a path, whatever its tags are.

        Raises:
            TransientError: the disk or share does not answer.
        """
        try:
            return self._is_heard(path, stat_source(path).st_size, check)
        except SourceError:
            return False

    def require_no_other(self, check: Check = lambda: None, *, may_be_gone: bool = True) -> None:
        """Make sure that no other song lies where this one lay; one that is gone may be in nobody's way.

        Raises:
            SourceError: another one does, or it is gone and may not be.
            TransientError: the disk or share does not answer.
        """
        if may_be_gone and not os.path.lexists(self._source.path):
            return
        if self._is_another(check):
            raise SourceError(
                f"{show_path(self._source.path)} is another song than the one that was separated",
                remedy="put that one back to have its stems placed",
            )

    def locate(self, check: Check = lambda: None) -> Source | None:
        """Look for the song near its path, where people rename: in its folder, and in folders beside that.

        Returns:
            The song as it lies now; None where it is at its path, or nowhere near.
        """
        return None if os.path.lexists(self._source.path) else self.search(check)

    def search(self, check: Check = lambda: None) -> Source | None:
        """Do what ``locate`` does, whatever lies at its path by now: songs change names with each other."""
        for near in islice(_near(self._source.path), _LOOKED_AT):
            try:
                found = near.stat()
                if self._has_inode(found) and self._is_heard(near, found.st_size, check):
                    return inspect(near, check=check)
            except (OSError, StembridgeError):
                # It goes on being moved; whoever moves it may hand it in again.
                continue
        return None

    def _is_another(self, check: Check) -> bool:
        found = stat_source(self._source.path)
        is_same = stat_key(found) == source_key(self._source)
        return not is_same and not self._is_heard(self._source.path, found.st_size, check)

    def _has_inode(self, found: os.stat_result) -> bool:
        return found.st_ino != 0 and (found.st_dev, found.st_ino) == (self._source.device, self._source.inode)

    def _is_heard(self, path: Path, size: int, check: Check) -> bool:
        if hash_content(path, check, limit=size) == self._source.content:
            return True
        return bool(self._recording) and self._recording in self._hear(path, check)


def _near(path: Path) -> Iterator[Path]:
    """Yield what lies beside a path; when its folder is gone, what has its name in the folders beside that."""
    folder = path.parent
    if folder.is_dir():
        yield from _entries(folder)
        return
    for beside in _entries(folder.parent):
        yield beside / path.name


def _entries(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            yield from (Path(entry.path) for entry in entries)
    except OSError:
        return


def follow_move(store: JobStore, old: Path, new: Path, renew: Renew) -> int:
    """Let jobs follow a song, a stem, or a folder of either from one path to another; return how many did.

    Args:
        store: the job store.
        old: where it was.
        new: where it is now.
        renew: lets the session files of a job that is done speak of where everything lies now.
    """
    count = 0
    for job in store.placed_at(old):
        source, after = _moved_source(store, job, old, new), move_results(job, [(old, new)])
        if source is not None or after != job:
            after = msgspec.structs.replace(after, source=source or job.source)
            store.relocate(job.id, after.source, after.stems, renew(after))
            count += 1
    return count


def _moved_source(store: JobStore, job: Job, old: Path, new: Path) -> Source | None:
    path = move_path(job.source.path, [(old, new)])
    if path == job.source.path:
        return None
    if job.state.is_settled:
        # What is done is only found by its path.
        return msgspec.structs.replace(job.source, path=path)
    try:
        return _find_source(store, job, path)
    except SourceError:
        # Moved once more already, which will be told as well.
        return None


def _find_source(store: JobStore, job: Job, path: Path) -> Source | None:
    """Return the song of a job as it lies at a path, hardly looked at where it was only renamed; None for another."""
    source = job.source
    if stat_key(stat_source(path)) == source_key(source):
        return msgspec.structs.replace(source, path=path)
    found = inspect(path)
    if found.content == source.content:
        return found
    known = store.recordings.find(path)
    return found if known is not None and known.recording in store.recordings_of(job.recording) else None


def move_results(job: Job, moves: Moves) -> Job:
    """Return a job with its stems and session files where they lie after some moves."""
    stems, projects = (
        tuple(msgspec.structs.replace(one, path=move_path(one.path, moves)) for one in each)
        for each in (job.stems, job.projects)
    )
    return msgspec.structs.replace(job, stems=stems, projects=projects)


def move_path(path: Path, moves: Moves) -> Path:
    """Return where a path leads after some moves; of several that hold it, the first one counts."""
    there = (new / path.relative_to(old) for old, new in moves if path.is_relative_to(old))
    return next(there, path)


_LOSSY: Final = "lossy"
_SLACK: Final = 0.05
"""Seconds by which decoders of one lossy recording disagree about where it begins."""


class Slices:
    """What was cut out of which recording.

    Args:
        store: gives the job store.
        folder: where hosts may put what they cut, for whoever works on it.
    """

    def __init__(self, store: Callable[[], JobStore], folder: Path) -> None:
        self._store = store
        self.folder = folder

    @property
    def are_seen(self) -> bool:
        """Whether every machine that works on the jobs sees that folder."""
        return self._store().paths.sees(self.folder)

    async def recognise(self, song: Source) -> str:
        """Return the id of the recording that a song holds, whatever its tags and its format are; known from then on.

        Raises:
            SourceError: the file cannot be read, or is being written.
            TransientError: the disk or share does not answer.
        """
        book = self._store().recordings
        known = await run_stoppable(lambda stopper: book.enter(song.path, check=stopper.check))
        return known.recording

    async def note(self, cut: Source, recording: str, place: Slice) -> None:
        """Note that a file is a slice of a recording, before it is bought.

        Args:
            cut: the file, at the sample rate of the song it was cut out of.
            recording: what that song holds.
            place: its frames there.

        Raises:
            SourceError: the file cannot be read.
            TransientError: the disk or share does not answer.
        """
        self._store().recordings.note_slice(await self.recognise(cut), recording, cut.sample_rate, place)

    def covering(self, song: Source, recording: str, wanted: Slice) -> list[Slice]:
        """Return the slices noted of a song that hold what is wanted of it, the smallest first.

        Args:
            song: the file; its sample rate is that of all frames here.
            recording: what it holds.
            wanted: its frames.
        """
        slack = slack_of(song)
        known = self._store().recordings.slices_of(recording, song.sample_rate)
        return [one for one in known if one.covers(wanted, slack)]


def slack_of(song: Source) -> int:
    """Return by how many frames two decodes of a song may disagree about where it begins; 0 for exact samples."""
    return round(_SLACK * song.sample_rate) if song.encoding == _LOSSY else 0
