"""Finding out which recording a file holds, at the least cost that is sure: by bytes, by sound."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from plugin_core.audio.info import AudioInfo
from plugin_core.audio.probe import identify
from plugin_core.audio.source_file import held_still
from plugin_core.errors import SourceError
from plugin_core.files.database import Connection, Database, begun_anew, new_id
from plugin_core.recordings import tables
from plugin_core.recordings.content import bytes_of, hash_content, is_of_bytes, raw1, shape_of
from plugin_core.recordings.digest import Check, digest_of, is_exact, name_codec
from plugin_core.recordings.tables import Recording, Slice

_COUNTING: Final = frozenset({"WAVPACK", "TTA"})


class KnownFile(NamedTuple):
    """What was found in a file."""

    recording: str
    sha256: str
    """Of its bytes, hexadecimal."""


class RecordingBook:
    """The recordings in a database that has the tables ``tables.RECORDINGS``.

    Args:
        database: the file, with whatever else lies in it.
        clock: seconds since the epoch.
    """

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    @begun_anew
    def find(self, path: Path, info: AudioInfo | None = None, *, check: Check = lambda: None) -> KnownFile | None:
        """Read a file and return the recording it holds, None if that was never met; wanted before money is spent.

        An exact source is not even read where its header tells a length that no recording has.

        Args:
            path: the file.
            info: what ``identify`` said of it just now; default asked here.
            check: called for each MiB or block; raise there to stop.

        Raises:
            SourceError: it cannot be read, or is written meanwhile.
            TransientError: the disk or share does not answer.
        """
        info = info or self._identify(path)
        if info is not None and self._is_news(info):
            return None
        digests = self._meet(path, info, check)
        with self._database.write(durable=False) as connection:
            recording = _recognise(connection, digests)
            if recording is None:
                return None
            return KnownFile(tables.remember(connection, recording, digests), bytes_of(digests[0]))

    @begun_anew
    def enter(self, path: Path, info: AudioInfo | None = None, *, check: Check = lambda: None) -> KnownFile:
        """Do what ``find`` does, and put in the recording if it was never met.

        Raises:
            SourceError: the file cannot be read, or is written meanwhile.
            TransientError: the disk or share does not answer.
        """
        info = info or self._identify(path)
        digests = self._meet(path, info, check)
        with self._database.write() as connection:
            recording = _recognise(connection, digests)
            if recording is None:
                recording = new_id(self._clock)
                tables.new(connection, _describe(recording, info, digests), digests)
                return KnownFile(recording, bytes_of(digests[0]))
            return KnownFile(tables.remember(connection, recording, digests), bytes_of(digests[0]))

    def known(self, sha256: str) -> str | None:
        """Return the recording that files of these bytes hold; None where none was met."""
        with self._database.read() as connection:
            return tables.find_by_digest(connection, raw1(sha256))

    @begun_anew
    def note_slice(self, recording: str, parent: str, rate: int, place: Slice) -> None:
        """Note that a recording was cut out of another one, between which frames at which sample rate."""
        with self._database.write() as connection:
            tables.note_slice(connection, recording, parent, rate, place)

    def slices_of(self, parent: str, rate: int) -> list[Slice]:
        """Return what was ever cut out of a recording, at a sample rate, the smallest first."""
        with self._database.read() as connection:
            return tables.slices_of(connection, parent, rate)

    def _identify(self, path: Path) -> AudioInfo | None:
        try:
            return identify(path)
        except SourceError:
            # Its bytes may be known all the same.
            return None

    def _is_news(self, info: AudioInfo) -> bool:
        if not _is_counted(info) or not is_exact(name_codec(info)):
            return False
        with self._database.read() as connection:
            return not tables.shapes(connection, info.sample_rate, info.frames)

    def _meet(self, path: Path, info: AudioInfo | None, check: Check) -> list[str]:
        """Read a file: the digest of its bytes, and of what they sound like unless that was heard before."""
        with held_still(path):
            digests = [raw1(hash_content(path, check))]
            if not self._is_heard(digests[0]):
                digests.append(digest_of(path, info, check=check))
        return digests

    def _is_heard(self, digest: str) -> bool:
        with self._database.read() as connection:
            recording = tables.find_by_digest(connection, digest)
            known = [] if recording is None else tables.digests_of(connection, recording)
        return not all(map(is_of_bytes, known))


def _is_counted(info: AudioInfo) -> bool:
    """Tell whether a file's header counts its samples; MP4 and CAF give times, which are a little off after a remux."""
    return info.frames > 0 and (info.decoder == "libsndfile" or info.container in _COUNTING)


def _recognise(connection: Connection, digests: list[str]) -> str | None:
    found = (tables.find_by_digest(connection, digest) for digest in digests)
    return next((recording for recording in found if recording is not None), None)


def _describe(recording: str, info: AudioInfo | None, digests: list[str]) -> Recording:
    if info is None:
        return Recording(id=recording, rate=0, channels=0, frames=0, duration=0.0)
    shapes = (shape_of(digest) for digest in digests)
    rate, frames = next((shape for shape in shapes if shape), (info.sample_rate, info.frames))
    return Recording(id=recording, rate=rate, channels=info.channels, frames=frames, duration=info.duration)
