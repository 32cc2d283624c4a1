"""The index of an MP4 or QuickTime file: its first track with sound, and what of that is to be played.

ISO 14496-12, and Apple's ``iTunSMPB`` where there is no edit list.
"""

from __future__ import annotations

import os
import re
import struct
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from plugin_core.audio.envelope import find_start
from plugin_core.audio.source_file import LEAP, Window, read_at
from plugin_core.errors import StembridgeError

_PLENTY: Final = 1 << 28
"""More than any index of a song; a size beyond it is damage."""
_PLAIN_SPEED: Final = 1 << 16
_HAS_OFFSET, _HAS_DESCRIPTION, _HAS_LENGTH = 1, 2, 8
_RUN_OFFSET, _RUN_FIRST, _RUN_LENGTHS = 1, 4, 0x100
"""Flags of ``tfhd`` and ``trun``."""
_FIRST_PACKETS: Final = 5
"""Enough to see that all but the first last alike."""
_FIRST: Final = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp", b"sidx", b"uuid", b"pnot", b"junk")
_GAPLESS: Final = re.compile(rb"iTunSMPB.{0,32}?data.{8} [0-9A-F]{8} ([0-9A-F]{8}) ([0-9A-F]{8}) ([0-9A-F]{16})", re.S)
_OPUS: Final = re.compile(rb"dOps\0.(..)", re.S)


class OddBoxError(ValueError):
    """A file is not built as those are that we know."""


DAMAGE: Final = (struct.error, StopIteration, LookupError, ZeroDivisionError, OddBoxError)


class FileBox(NamedTuple):
    """A box that lies in no other."""

    name: bytes
    start: int
    """Where it begins in the file, in bytes."""
    content: int
    """Where its content begins."""
    end: int


class Boxes:
    """The boxes that lie side by side in a part of an index, which they fill."""

    def __init__(self, data: memoryview) -> None:
        """Take them.

        Raises:
            OddBoxError: their sizes do not add up.
        """
        self._found: dict[bytes, list[memoryview]] = defaultdict(list)
        for name, content in split_boxes(data):
            self._found[name].append(content)

    @property
    def names(self) -> list[bytes]:
        """Return which there are, in order, each once."""
        return list(self._found)

    def all(self, name: bytes) -> list[memoryview]:
        """Return the contents of each box of a name."""
        return self._found.get(name, [])

    def only(self, *names: bytes) -> memoryview:
        """Return the content of the one box that has one of the names.

        Raises:
            OddBoxError: there is none, or several.
        """
        found = [content for name in names for content in self.all(name)]
        if len(found) != 1:
            raise OddBoxError
        return found[0]

    def inside(self, *path: bytes) -> Boxes:
        """Return what lies in a box that lies in a box, and so on, each the only one of its name.

        Raises:
            OddBoxError: one is missing or there twice, or sizes do not add up.
        """
        return self if not path else Boxes(self.only(path[0])).inside(*path[1:])


def split_boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Give name and content of the boxes that lie side by side in a part of an index, which they fill.

    Raises:
        OddBoxError: their sizes do not add up.
    """
    at = 0
    while at < len(data):
        name, head, size = _read_head(data[at : at + 16], 0) if at + 8 <= len(data) else (b"", 8, 0)
        if not head <= size <= len(data) - at:
            raise OddBoxError
        yield name, data[at + head : at + size]
        at += size


def list_boxes(path: Path, descriptor: int) -> Iterator[FileBox]:
    """Give the boxes of a file, which they fill, behind any tag that was put in front of them.

    Raises:
        OddBoxError: their sizes do not add up.
        TransientError: the disk or share does not answer.
    """
    window, at, end = Window(path, descriptor, room=LEAP), find_start(path, descriptor), os.fstat(descriptor).st_size
    while at < end:
        data = window.take(at, 16)
        name, head, size = _read_head(data, end - at) if len(data) >= 8 else (b"", 8, 0)
        if not head <= size <= end - at:
            raise OddBoxError
        yield FileBox(name, at, at + head, at + size)
        at += size


def read_content(path: Path, descriptor: int, box: FileBox) -> memoryview:
    """Return the content of a box.

    Raises:
        OddBoxError: it is larger than any index.
        TransientError: the disk or share does not answer.
    """
    size = box.end - box.content
    data = read_at(path, descriptor, box.content, size) if size < _PLENTY else b""
    if len(data) != size:
        raise OddBoxError
    return memoryview(data)


def _read_head(data: bytes | memoryview, room: int) -> tuple[bytes, int, int]:
    """Return a box's name, the bytes of its head, and of the whole; ``room`` where it reaches to the end."""
    size, name = struct.unpack_from(">I4s", data)
    if size == 1 and len(data) >= 16:
        return name, 16, int.from_bytes(data[8:16], "big")
    return name, 8, size or room


class Edit(NamedTuple):
    """A part of a track that is played."""

    length: int
    """By the clock of the whole; 0: to the end."""
    start: int
    """By the track's own clock; below 0: silence."""
    is_plain: bool = True
    """Whether it is played at its own speed."""


class Movie(NamedTuple):
    """What an index says of the first track with sound."""

    clock: int
    """Units a second of the whole."""
    track_clock: int
    """Units a second of the track, usually samples."""
    told: int
    """The length that the track's head gives, in its units; 0 where fragments follow."""
    timed: int
    """The sum of what its samples last, in its units; 0 where the tables do not agree, or lead beyond the file."""
    edits: tuple[Edit, ...]
    gapless: tuple[int, int] | None
    """Samples that the encoder put in front, and those of the music."""
    is_fragmented: bool = False
    """Whether fragments may follow, of which ffprobe does not count all."""
    primed: int = 0
    """Samples that Opus begins with, and of which nothing is to be heard."""
    late: int = 0
    """Silence in front, in the track's units, that is written as a first packet which lasts too long."""


def is_movie(path: Path, descriptor: int) -> bool:
    """Tell whether a file begins, behind its tags, as MP4 and QuickTime files do.

    Raises:
        TransientError: the disk or share does not answer.
    """
    return read_at(path, descriptor, find_start(path, descriptor) + 4, 4) in _FIRST


def read_movie(path: Path, descriptor: int) -> Movie | None:
    """Return what is said of the first track with sound; None where there is none, or the index is damaged.

    Raises:
        TransientError: the disk or share does not answer.
    """
    index = read_index(path, descriptor)
    try:
        track = find_track(index)
        movie = None if track is None else _read_movie(index, track, _measure_room(path, descriptor))
    except DAMAGE:
        # Whoever decodes it finds out.
        return None
    with suppress(*DAMAGE):
        if movie is not None and track is not None:
            movie = _measure(movie, _list_lengths(track), _list_runs(path, descriptor, index, track))
            if movie.is_fragmented:
                delay = _measure_delay(path, descriptor, index, track)
                movie = movie._replace(late=movie.late + round(delay * movie.track_clock))
    return movie if movie is not None and movie.clock and movie.track_clock else None


def read_index(path: Path, descriptor: int) -> memoryview:
    """Return the contents of ``moov``, empty where there is none."""
    with suppress(OddBoxError):
        for box in list_boxes(path, descriptor):
            if box.name == b"moov":
                return read_content(path, descriptor, box)
    return memoryview(b"")


def _find_boxes(data: memoryview, name: bytes) -> Iterator[memoryview]:
    """Give the contents of each box of a name that lies right here."""
    return (content for found, content in split_boxes(data) if found == name)


def find_track(index: memoryview) -> memoryview | None:
    """Return the contents of the first track with sound."""
    for track in _find_boxes(index, b"trak"):
        media = next(_find_boxes(track, b"mdia"), None)
        handler = next(_find_boxes(media, b"hdlr"), None) if media is not None else None
        if handler is not None and bytes(handler[8:12]) == b"soun":
            return track
    return None


def is_sound_alone(path: Path) -> bool:
    """Tell whether a file is an MP4 with a track of sound and none of pictures; False where it cannot be read."""
    with suppress(*DAMAGE, OSError, StembridgeError), path.open("rb") as opened:
        kinds = {
            bytes(handler[8:12])
            for track in _find_boxes(read_index(path, opened.fileno()), b"trak")
            for media in _find_boxes(track, b"mdia")
            for handler in _find_boxes(media, b"hdlr")
        }
        return b"soun" in kinds and b"vide" not in kinds
    return False


def _measure_room(path: Path, descriptor: int) -> int:
    """Return how many bytes an index can lead to: it counts from behind a tag, which was put there later."""
    return os.fstat(descriptor).st_size - find_start(path, descriptor)


def _read_movie(index: memoryview, track: memoryview, size: int) -> Movie:
    media = next(_find_boxes(track, b"mdia"))
    clock, told = read_clock(media, b"mdhd")
    edits = next(_find_boxes(track, b"edts"), None)
    return Movie(
        clock=read_clock(index, b"mvhd")[0],
        track_clock=clock,
        told=told,
        timed=_sum_times(media, size),
        edits=() if edits is None else tuple(_read_edits(next(_find_boxes(edits, b"elst")))),
        gapless=_read_gapless(index),
        primed=int.from_bytes(found[1], "big") if (found := _OPUS.search(track)) else 0,
        is_fragmented=next(_find_boxes(index, b"mvex"), None) is not None,
    )


def read_clock(box: memoryview, name: bytes) -> tuple[int, int]:
    """Return units a second and length in units, by a ``mvhd`` or ``mdhd``."""
    content = next(_find_boxes(box, name))
    form, at = (">IQ", 20) if content[0] == 1 else (">II", 12)
    return struct.unpack_from(form, content, at)


def _list_lengths(track: memoryview) -> list[int]:
    """Return what the first packets of a track last, by its own tables."""
    times = Boxes(track).inside(b"mdia", b"minf", b"stbl").only(b"stts")
    lasts: list[int] = []
    for number, length in struct.iter_unpack(">II", times[8 : len(times) - len(times) % 8]):
        lasts += [length] * min(number, _FIRST_PACKETS)
        if len(lasts) >= _FIRST_PACKETS:
            break
    return lasts[:_FIRST_PACKETS]


def _list_fragments(path: Path, descriptor: int) -> Iterator[tuple[bytes, Boxes]]:
    """Give the number of a track and the boxes of each of its fragments, in order (ISO 14496-12, 8.8)."""
    for box in list_boxes(path, descriptor):
        for fragment in Boxes(read_content(path, descriptor, box)).all(b"traf") if box.name == b"moof" else ():
            boxes = Boxes(fragment)
            yield bytes(boxes.only(b"tfhd")[4:8]), boxes


def _list_runs(path: Path, descriptor: int, index: memoryview, track: memoryview) -> Iterator[tuple[list[int], int]]:
    """Give what the first packets and all of each run of a track last, by its fragments."""
    number = _read_number(track)
    usual = next((bytes(one[12:16]) for one in Boxes(index).inside(b"mvex").all(b"trex") if one[4:8] == number), b"")
    for fragment, boxes in _list_fragments(path, descriptor):
        if fragment == number:
            standard = _read_standard_length(boxes.only(b"tfhd")) or int.from_bytes(usual, "big")
            yield from (_read_run(run, standard) for run in boxes.all(b"trun"))


def _read_number(track: memoryview) -> bytes:
    head = Boxes(track).only(b"tkhd")
    return bytes(head[20:24] if head[0] == 1 else head[12:16])


def _measure_delay(path: Path, descriptor: int, index: memoryview, track: memoryview) -> float:
    """Return seconds by which a track begins later than others, if the index at the end alone says so: ``tfra``.

    Smooth Streaming has no times in fragments that ffmpeg reads; where ffmpeg writes CMAF, each track's begin at 0.
    """
    tracks = list(_find_boxes(index, b"trak"))
    clocks = {_read_number(one): read_clock(next(_find_boxes(one, b"mdia")), b"mdhd")[0] for one in tracks}
    begins: dict[bytes, int] = {}
    for number, boxes in _list_fragments(path, descriptor):
        begins.setdefault(number, next((_read_time(one, 4) for one in boxes.all(b"tfdt")), 0))
        if len(begins) == len(clocks):
            break
    last = next(box for box in list_boxes(path, descriptor) if box.name == b"mfra")
    entries = {bytes(one[4:8]): _read_time(one, 16) for one in Boxes(read_content(path, descriptor, last)).all(b"tfra")}
    delays = {number: (entries[number] - begin) / clocks[number] for number, begin in begins.items()}
    return delays[_read_number(track)] - min(delays.values())


def _read_time(content: memoryview, at: int) -> int:
    """Return the time in a box of which version 1 has wide ones."""
    return int(struct.unpack_from(">Q" if content[0] == 1 else ">I", content, at)[0])


def _read_standard_length(about: memoryview) -> int:
    """Return what each packet of a fragment lasts by its ``tfhd``; 0 where that does not say."""
    (flags,) = struct.unpack_from(">I", about)
    at = 8 + 8 * bool(flags & _HAS_OFFSET) + 4 * bool(flags & _HAS_DESCRIPTION)
    return struct.unpack_from(">I", about, at)[0] if flags & _HAS_LENGTH else 0


def _read_run(run: memoryview, standard: int) -> tuple[list[int], int]:
    """Return what the first packets of a ``trun`` last, and all of it."""
    flags, count = struct.unpack_from(">II", run)
    if not flags & _RUN_LENGTHS:
        return [standard] * min(count, _FIRST_PACKETS), standard * count
    at = 8 + 4 * bool(flags & _RUN_OFFSET) + 4 * bool(flags & _RUN_FIRST)
    step = 4 * (flags >> 8 & 0xF).bit_count()
    lasts = [int.from_bytes(run[place : place + 4], "big") for place in range(at, len(run), step)]
    return lasts[:_FIRST_PACKETS], sum(lasts)


def _measure(movie: Movie, lasts: list[int], runs: Iterator[tuple[list[int], int]]) -> Movie:
    """Add how late a track begins, and the length of one in fragments."""
    timed = movie.timed
    for first, length in runs if movie.is_fragmented else ():
        lasts, timed = [*lasts, *first][:_FIRST_PACKETS], timed + length
    late = _measure_late(lasts)
    return movie._replace(late=late, timed=timed - late if movie.is_fragmented else timed)


def _measure_late(lasts: list[int]) -> int:
    """Return by how much the first packet lasts too long: longer than others of one length, or than any of Vorbis."""
    first, *others = lasts or [0]
    bar = max(others, default=0) * (1 if len(set(others)) == 1 else 2)
    return first - others[0] if len(others) > 1 and first > bar > 0 else 0


def _sum_times(media: memoryview, size: int) -> int:
    try:
        tables = next(_find_boxes(next(_find_boxes(media, b"minf")), b"stbl"))
        times, sizes = next(_find_boxes(tables, b"stts")), next(_find_boxes(tables, b"stsz"))
        (count,) = struct.unpack_from(">I", times, 4)
        entries = list(struct.iter_unpack(">II", times[8 : 8 + 8 * count]))
        is_agreed = sum(entry[0] for entry in entries) == struct.unpack_from(">I", sizes, 8)[0]
        is_agreed = is_agreed and max(list_places(tables), default=0) < size
    except DAMAGE:
        return 0
    return sum(number * length for number, length in entries) if is_agreed else 0


def list_places(tables: memoryview) -> Iterator[int]:
    """Give where in the file chunks of samples lie."""
    for name, form in ((b"stco", ">I"), (b"co64", ">Q")):
        for content in _find_boxes(tables, name):
            (count,) = struct.unpack_from(">I", content, 4)
            yield from (place for (place,) in struct.iter_unpack(form, content[8 : 8 + struct.calcsize(form) * count]))


def _read_edits(content: memoryview) -> Iterator[Edit]:
    form = ">Qqi" if content[0] == 1 else ">Iii"
    (count,) = struct.unpack_from(">I", content, 4)
    # A list without any edit is none.
    if count > (room := (len(content) - 8) // struct.calcsize(form)) or (room and not count):
        raise OddBoxError
    for length, start, speed in struct.iter_unpack(form, content[8 : 8 + count * struct.calcsize(form)]):
        yield Edit(length, start, speed == _PLAIN_SPEED)


def _read_gapless(index: memoryview) -> tuple[int, int] | None:
    return (int(found[1], 16), int(found[3], 16)) if (found := _GAPLESS.search(index)) else None
