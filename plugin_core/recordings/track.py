"""The coded samples of an MP4's first audio track, found by its own tables (ISO 14496-12, 8.7, and QuickTime).

Only what is surely understood as ffmpeg understands it is told: a digest must not hang on who took the packets out.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from plugin_core.audio.envelope import find_start
from plugin_core.audio.movie import Boxes, FileBox, Movie, OddBoxError, list_boxes, read_content, read_movie
from plugin_core.audio.source_file import explain_os_error, read_at
from plugin_core.errors import SourceError
from plugin_core.model import show_path
from plugin_core.recordings.chunks import find_chunks, find_runs, read_defaults

_NAMES: Final = {b"ac-3": "ac3", b"ec-3": "eac3", b"Opus": "opus"}

_HEADS: Final = {0: 28, 1: 28 + 16, 2: 28 + 36}
"""Bytes before an entry's own boxes, by its version; those after 0 are QuickTime's."""

_MPEG4_AUDIO: Final = 0x40
_AAC: Final = frozenset({2, 5, 29})
"""Audio object types: low complexity, and high efficiency of both versions."""

_STREAM, _DECODER, _SPECIFIC = 3, 4, 5


_Numbers = npt.NDArray[np.int64]
_PIECE: Final = 1 << 18
_BLOCK: Final = 1 << 12
_NO_SAMPLES: Final = frozenset({b"ftyp", b"styp", b"mdat", b"free", b"skip", b"wide", b"mfra", b"uuid"})
"""Boxes in which nothing is said of samples."""

_HERE: Final = b"\0\0\0\1"
"""The only data reference: to the file itself."""

_MOVIES: Final = (b"mvhd", b"cmov")
"""What an index begins with; ffmpeg reads it also in a box that was freed."""


def name_entry(descriptions: memoryview) -> str:
    """Return ffprobe's name of the codec that a ``stsd`` describes.

    Raises:
        OddBoxError, IndexError, struct.error: it is none that we are sure of, or samples are not all of one kind.
    """
    version, count = struct.unpack_from(">B3xI", descriptions)
    entries = Boxes(descriptions[8:])
    if version or count != 1 or len(entries.names) != 1:
        raise OddBoxError
    name = entries.names[0]
    entry = entries.only(name)
    if struct.unpack_from(">H", entry, 6) != (1,):
        # In another file, or nowhere.
        raise OddBoxError
    if name == b"mp4a" and _is_aac(_find_descriptor(entry)):
        return "aac"
    if name not in _NAMES:
        raise OddBoxError
    return _NAMES[name]


def _find_descriptor(entry: memoryview) -> memoryview:
    (version,) = struct.unpack_from(">H", entry, 8)
    if version not in _HEADS:
        raise OddBoxError
    boxes = Boxes(entry[_HEADS[version] :])
    return (boxes.inside(b"wave") if b"wave" in boxes.names else boxes).only(b"esds")


def _is_aac(content: memoryview) -> bool:
    stream = _open_descriptor(content[4:], _STREAM)
    if stream[2]:
        # It hangs on another stream, or lies elsewhere.
        return False
    decoder = _open_descriptor(stream[3:], _DECODER)
    return decoder[0] == _MPEG4_AUDIO and _open_descriptor(decoder[13:], _SPECIFIC)[0] >> 3 in _AAC


def _open_descriptor(data: memoryview, tag: int) -> memoryview:
    """Return the content of the descriptor that begins here; its size comes in groups of seven bits."""
    if data[0] != tag:
        raise OddBoxError
    size = 0
    for at in range(1, 5):
        size = size << 7 | data[at] & 127
        if data[at] < 128:
            return data[at + 1 : at + 1 + size]
    raise OddBoxError


class Track(NamedTuple):
    """The samples of a track."""

    codec: str
    """ffprobe's name."""
    runs: _Numbers
    """Offset and size in bytes, (n, 2), of what lies side by side, in order."""

    @property
    def is_in_order(self) -> bool:
        """Whether they are played as they lie in the file."""
        return bool((self.runs[:-1].sum(axis=1) <= self.runs[1:, 0]).all())


def find_samples(path: Path, descriptor: int) -> Track | None:
    """Return the samples of the first audio track, whatever an edit list says; None where that is not sure.

    Raises:
        TransientError: the disk or share does not answer.
    """
    try:
        return _find_samples(path, descriptor)
    except (ValueError, IndexError, OverflowError, struct.error):
        # Damaged, or of a kind that we do not know.
        return None


def read_samples(path: Path, samples: Track, check: Callable[[], None]) -> Iterator[bytes]:
    """Give the samples in pieces of 256 KiB or somewhat more.

    Args:
        path: the file.
        samples: what ``find_samples`` said of it.
        check: called for each piece; raise there to stop.

    Raises:
        SourceError: the file has become shorter.
        TransientError: the disk or share does not answer.
    """
    parts: list[bytes] = []
    size = 0
    for part in _read_parts(path, samples.runs):
        parts.append(part)
        size += len(part)
        if size >= _PIECE:
            check()
            yield b"".join(parts)
            parts, size = [], 0
    check()
    yield b"".join(parts)


def _read_parts(path: Path, runs: _Numbers) -> Iterator[bytes]:
    try:
        with path.open("rb") as opened:
            for first in range(0, len(runs), _BLOCK):
                for start, size in runs[first : first + _BLOCK].tolist():
                    opened.seek(start)
                    for done in range(0, size, _PIECE):
                        wanted = min(_PIECE, size - done)
                        if len(part := opened.read(wanted)) != wanted:
                            raise SourceError(f"{show_path(path)} is being written")
                        yield part
    except OSError as error:
        raise explain_os_error(path, error) from error


def _find_samples(path: Path, descriptor: int) -> Track:
    room = os.fstat(descriptor).st_size
    if find_start(path, descriptor):
        # The index counts from behind the tag.
        raise OddBoxError
    index, codec, found = None, "", []
    for box in list_boxes(path, descriptor):
        if box.name == b"moov" and index is None:
            index = Boxes(read_content(path, descriptor, box))
            media = _find_track(index).inside(b"mdia", b"minf")
            codec = _name_codec(media)
            found.append(find_chunks(media.inside(b"stbl"), room))
        elif box.name == b"moof" and index is not None:
            found.append(_find_fragment(index, read_content(path, descriptor, box), box.start))
        elif box.name not in _NO_SAMPLES or _is_freed_index(path, descriptor, box):
            raise OddBoxError
    runs = np.concatenate(found)
    starts, sizes = runs.T
    # Each by itself first: sums of what is damaged overflow.
    if not ((starts >= 0) & (starts <= room) & (sizes <= room)).all() or (starts + sizes > room).any():
        raise OddBoxError
    if not 0 < sizes.sum() <= room:
        raise OddBoxError
    return Track(codec, _join(runs))


def _is_freed_index(path: Path, descriptor: int, box: FileBox) -> bool:
    return box.name in (b"free", b"skip") and read_at(path, descriptor, box.content + 4, 4) in _MOVIES


def _find_track(index: Boxes) -> Boxes:
    """Return the first track with sound; only video may come before it."""
    tracks = [Boxes(content) for content in index.all(b"trak")]
    numbers = [_number(track) for track in tracks]
    for track, number in zip(tracks, numbers, strict=True):
        handler = bytes(track.inside(b"mdia").only(b"hdlr")[8:12])
        if handler == b"soun" and numbers.count(number) == 1 and number not in _list_chapters(tracks):
            return track
        if handler != b"vide":
            break
    raise OddBoxError


def _list_chapters(tracks: list[Boxes]) -> set[int]:
    """Return the numbers of tracks that are chapters of others, which ffmpeg takes for no sound."""
    chapters = [
        content for track in tracks for content in track.all(b"tref") for content in Boxes(content).all(b"chap")
    ]
    return {number for content in chapters for (number,) in struct.iter_unpack(">I", content)}


def _number(track: Boxes) -> int:
    head = track.only(b"tkhd")
    (number,) = struct.unpack_from(">I", head, 20 if head[0] == 1 else 12)
    return int(number)


def _name_codec(media: Boxes) -> str:
    references = media.inside(b"dinf").only(b"dref")
    boxes = Boxes(references[8:])
    if struct.unpack_from(">I", references, 4) != (1,) or bytes(boxes.only(b"url ", b"alis")) != _HERE:
        raise OddBoxError
    return name_entry(media.inside(b"stbl").only(b"stsd"))


def _find_fragment(index: Boxes, content: memoryview, start: int) -> _Numbers:
    number = _number(_find_track(index))
    runs = list(find_runs(content, start, number, read_defaults(index.only(b"mvex"), number)))
    return np.array(runs, np.int64).reshape(-1, 2)


def _join(runs: _Numbers) -> _Numbers:
    """Make one run of those that lie side by side."""
    begins = np.flatnonzero(np.append(True, runs[1:, 0] != runs[:-1].sum(axis=1)))
    return np.column_stack((runs[begins, 0], np.add.reduceat(runs[:, 1], begins)))


_MUCH_SECONDS: Final = 0.5
"""An encoder's padding, which edit lists hide as well, is less."""


class Excerpt(NamedTuple):
    """A part of a track, in units of its own clock, usually samples."""

    start: int
    length: int
    clock: int
    """Units a second."""


class UnclearExcerptError(ValueError):
    """A track plays in pieces that lie apart, or nobody says for how long."""


def read_excerpt(path: Path, descriptor: int) -> Excerpt | None:
    """Return the part of the first audio track that is played; None where it is all but the encoder's padding.

    Raises:
        UnclearExcerptError: it is no single part.
        TransientError: the disk or share does not answer.
    """
    movie = read_movie(path, descriptor)
    return None if movie is None else _find_cut(movie)


def _find_cut(movie: Movie) -> Excerpt | None:
    clock, length = movie.track_clock, movie.told
    # An edit without a time is silence.
    played = [(edit.start, round(edit.length * clock / movie.clock)) for edit in movie.edits if edit.start >= 0]
    if not played or not clock:
        return None
    much = _MUCH_SECONDS * clock
    start, end = played[0][0], sum(played[0])
    for begun, lasting in played[1:]:
        if abs(begun - end) > much:
            raise UnclearExcerptError
        end = begun + lasting
    if not length:
        # Fragments follow, and their edits have no length.
        if start > much:
            raise UnclearExcerptError
        return None
    if end == start:
        end = length
    return Excerpt(start, end - start, clock) if length - (end - start) > much else None
