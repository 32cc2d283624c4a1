"""What is known of an audio file before it is decoded: its shape, its layout for a decoder, what of it is played."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import dropwhile
from pathlib import Path
from typing import Final, Literal

import msgspec

from plugin_core.audio.movie import DAMAGE, Boxes, Edit, Movie, find_track, read_clock, read_index, split_boxes
from plugin_core.audio.source_file import show_time
from plugin_core.errors import SourceError
from plugin_core.model import show_path

_PADDING: Final = {"aac": 4096, "ac3": 1536, "alac": 0, "eac3": 1536, "flac": 0, "mp3": 2304, "opus": 5760}
"""Codecs whose first packet gives samples, so that the index and the decoder count alike, and the most samples of
silence that an encoder adds at the end."""
_MUCH_SECONDS: Final = 0.5
_EDIT_SECONDS: Final = 0.05
"""By so much an edit may end behind the sound: some writers count what an encoder puts in front."""
_HIDING: Final = (b"edts", b"free", b"skip")
"""Boxes in which an edit list may lie: as one, or as none."""
_LATE: Final = 962
"""Samples by which the decoder of HE-AAC comes late; some writers count them among the silence in front, others not."""


Decoder = Literal["libsndfile", "ffmpeg"]
_PAF: Final = (b" paf", b"fap ")
_UNREAD: Final = {
    b"ADIF": ("AAC behind an ADIF header", "faad"),
    b"OFR ": ("OptimFROG", "ofr"),
    b"LA0": ("Lossless Audio (La)", "la"),
    b"RKA7": ("RKAU", "rkau"),
    b"LPAC": ("LPAC", "lpac"),
}
"""Kinds that nothing here reads, and the program that does."""


class ByteSpan(msgspec.Struct, frozen=True):
    """Bytes of the file, from ``start`` to before ``end``."""

    start: int
    end: int


class FileLayout(msgspec.Struct, frozen=True):
    """One recording: spans of the file, and bytes that stand in for others."""

    pieces: tuple[ByteSpan | bytes, ...]
    claimed: int = 0
    """The size a decoder is told, where it would else guess the length from the size and stop too early."""


def list_parts(layouts: Sequence[FileLayout]) -> list[ByteSpan]:
    """Return where recordings lie that ffmpeg can read as they stand in the file; none where one of them is patched."""
    spans = [one.pieces[0] for one in layouts if len(one.pieces) == 1 and isinstance(one.pieces[0], ByteSpan)]
    return spans if len(spans) == len(layouts) else []


class Structure(msgspec.Struct, frozen=True, kw_only=True):
    """What the sound itself says, where that is not what the decoder would take it for."""

    layouts: tuple[FileLayout, ...] = ()
    """The recordings in the file, to be read one after the other; empty: the file as it stands."""
    told: float | None = None
    """The share of the sound that the header counts; None where it counts right."""
    container: str = ""
    """Where that is another than the decoder sees."""
    samples: int = 0
    """An estimate of the samples in each channel, where the header has none; 0 where it has."""
    is_torn: bool = False
    """Whether it ends in the middle of a frame, and nothing says how long it was."""
    broken: float | None = None
    """The second at which a frame is cut or missing in its middle; None where none is."""
    is_loose: bool = False
    """Whether what is neither sound nor silence lies in front of it."""
    is_begun: bool = False
    """Whether the rest of a frame lies there, as where a stream was cut."""
    is_doubtful: bool = False
    """Whether what it says of the silence that its encoder added is damaged."""
    note: str = ""
    """What else people should know of it."""
    needs_ffmpeg: bool = False
    """Whether ffmpeg alone decodes all of it, and to the sample."""


def lay_out(start: int, end: int, patches: Mapping[int, bytes]) -> FileLayout:
    """Return the bytes from ``start`` to ``end`` with some replaced: offset in the file -> new bytes."""
    pieces: list[ByteSpan | bytes] = []
    at = start
    for offset, data in sorted(patches.items()):
        pieces += [ByteSpan(at, offset), data]
        at = offset + len(data)
    return FileLayout((*pieces, ByteSpan(at, end)))


class Piece(msgspec.Struct, frozen=True):
    """A part of what a decoder gives, in samples of each channel."""

    silence: int
    """To be put in front."""
    start: int
    end: int | None
    """None: as far as it goes."""
    padding: int | None = None
    """The most that may be left after it; None: other sound."""

    @property
    def samples(self) -> int:
        """What it lasts, the silence included; 0 where nobody knows."""
        return 0 if self.end is None else self.silence + self.end - self.start


class Timeline(msgspec.Struct, frozen=True):
    """What is played, in order."""

    pieces: tuple[Piece, ...]
    is_raw: bool
    """Whether the decoder is to give all that there is, also what it would leave out by itself."""
    note: str = ""
    """What people should know of it."""

    @property
    def samples(self) -> int:
        """In each channel; 0 where nobody knows."""
        return sum(piece.samples for piece in self.pieces) if all(piece.samples for piece in self.pieces) else 0


def read_timeline(
    path: Path, movie: Movie, *, codec: str, sample_rate: int, length: int, lead: int, is_late: bool
) -> Timeline | None:
    """Return what an MP4 plays of its sound; None where all of it is.

    Args:
        path: the file.
        movie: its index.
        codec: ffprobe's name.
        sample_rate: of what is decoded.
        length: of the track in its own units, used where the index has none.
        lead: samples by which it starts later than the file.
        is_late: whether the decoder comes late by what writers leave out of their count (HE-AAC).

    Raises:
        SourceError: an edit list plays it in another order, or at another speed.
    """
    padding = 0 if codec.startswith("pcm_") else _PADDING.get(codec)
    if padding is None:
        return None
    length = movie.timed or (0 if movie.told else length)
    edits = list(dropwhile(lambda edit: edit.start < 0, movie.edits))
    if not edits:
        timeline = _read_gapless(movie, sample_rate, length, padding)
        return _hear_out(timeline, length * sample_rate // movie.track_clock) if timeline and is_late else timeline
    if not length:
        return None
    if edits[0].start >= length:
        # The times of its samples are no times.
        return Timeline((Piece(lead, round(edits[0].start * sample_rate / movie.track_clock), None),), is_raw=True)
    pieces = _place(path, movie, edits, length, sample_rate / movie.track_clock)
    # Some writers of sound that begins late leave what primes the decoder among what is played.
    primed = max(0, movie.primed - pieces[0].start) if codec == "opus" and lead else 0
    pieces[0] = msgspec.structs.replace(pieces[0], silence=lead + primed, start=pieces[0].start + primed)
    if pieces[-1].padding is not None:
        pieces[-1] = msgspec.structs.replace(pieces[-1], padding=padding)
    timeline = Timeline(tuple(pieces), is_raw=True)
    if is_late:
        timeline = _hear_out(timeline, round(length * sample_rate / movie.track_clock))
    played = sum(piece.samples - piece.silence for piece in pieces) / sample_rate
    return msgspec.structs.replace(timeline, note=_describe(path, played, length / movie.track_clock))


def _hear_out(timeline: Timeline, held: int) -> Timeline:
    """Let the end of the sound come as late as the decoder does; its beginning is where all decoders begin."""
    *before, last = timeline.pieces
    assert last.end is not None
    return msgspec.structs.replace(
        timeline, pieces=(*before, msgspec.structs.replace(last, end=min(last.end + _LATE, max(held, last.end))))
    )


def _describe(path: Path, played: float, held: float) -> str:
    if held - played < _MUCH_SECONDS:
        return ""
    return (
        f"{path.name} plays {show_time(played)} of the {show_time(held)} that it holds, by its edit list: that was read"
    )


def _place(path: Path, movie: Movie, edits: list[Edit], length: int, scale: float) -> list[Piece]:
    """Return what edits play of a track; ``scale`` makes samples of its units."""
    unit = movie.track_clock / movie.clock
    known = [length, *([sum(movie.gapless)] if movie.gapless else [])]
    pieces: list[Piece] = []
    silence = at = 0
    for edit in edits:
        lasts = round(edit.length * unit)
        if edit.start < 0:
            silence += lasts
            continue
        if not edit.is_plain or edit.start < at:
            raise SourceError(
                f"{show_path(path)} plays parts of its sound in another order or at another speed (by its edit list)",
                remedy="convert it to FLAC first",
            )
        at = min(edit.start + lasts, length) if lasts else length
        # The clock of the whole is often coarse, milliseconds.
        at = next((end for end in reversed(known) if abs(at - end) <= unit + 1), at)
        at = max(edit.start, min(at, length))
        pieces.append(Piece(round(silence * scale), round(edit.start * scale), round(at * scale)))
        silence = 0
    pieces[-1] = msgspec.structs.replace(pieces[-1], padding=0 if at in known else None)
    return pieces


def _read_gapless(movie: Movie, sample_rate: int, length: int, padding: int) -> Timeline | None:
    scale, odd = divmod(sample_rate, movie.track_clock)
    if movie.gapless is None or odd or scale > 2:
        return None
    start, samples = movie.gapless
    if not 0 < start + samples <= length:
        return None
    # HE-AAC counts in its core's samples, of which each gives two.
    return Timeline((Piece(0, scale * start, scale * (start + samples), padding),), is_raw=True)


def check_index(path: Path, descriptor: int, movie: Movie | None, codec: str) -> str:
    """Hold the index of an MP4 or QuickTime file against itself; return what people should know of its edit list.

    Args:
        path: the file.
        descriptor: of the file.
        movie: what is read of the index; None where it is damaged.
        codec: ffprobe's name.

    Raises:
        SourceError: it describes the sound in several ways, of which ffmpeg reads one alone.
        TransientError: the disk or share does not answer.
    """
    with suppress(*DAMAGE):
        index = read_index(path, descriptor)
        track = find_track(index)
        if track is None:
            return ""
        content = Boxes(track).inside(b"mdia", b"minf").only(b"stbl")
        is_plain = codec.startswith("pcm_")
        _refuse_several(path, content, is_plain=is_plain)
        bar = 0.0 if is_plain or _PADDING.get(codec) == 0 else _EDIT_SECONDS
        is_hidden = any(name not in _HIDING and bytes(content[4:8]) == b"elst" for name, content in split_boxes(track))
        if movie is None or movie.is_fragmented:
            return ""
        if is_hidden or not _are_edits_right(index, track, movie, bar):
            return (
                f"{path.name} has an edit list that contradicts its other lengths: what it plays was read, which may be"
                " wrong"
            )
    return ""


def _refuse_several(path: Path, content: memoryview, *, is_plain: bool) -> None:
    """Refuse sound that is described in several ways: ffmpeg leaves out without a word what is not in the first.

    Of plain samples it takes all for what the last one says.
    """
    described = Boxes(content).only(b"stsd")
    kinds = [(name, bytes(entry[8:28]) if is_plain else b"") for name, entry in split_boxes(described[8:])]
    table = Boxes(content).only(b"stsc")
    (count,) = struct.unpack_from(">I", table, 4)
    numbers = {number for _, _, number in struct.iter_unpack(">III", table[8 : 8 + 12 * count])}
    used = set(kinds) if is_plain else {kinds[number - 1] for number in numbers if 0 < number <= len(kinds)}
    if used - {kinds[0]}:
        raise SourceError(
            f"{show_path(path)} describes its sound in several ways, of which ffmpeg reads one alone",
            remedy="convert it to FLAC first, with QuickTime for example",
        )


def _are_edits_right(index: memoryview, track: memoryview, movie: Movie, bar: float) -> bool:
    """Tell whether edits last as long as their track, or end where its sound does (ISO 14496-12, 8.3.2 and 8.6.6).

    By ``bar`` seconds they may end behind it.
    """
    clock, whole = read_clock(index, b"mvhd")
    head = Boxes(track).only(b"tkhd")
    told = int.from_bytes(head[28:36] if head[0] == 1 else head[20:24], "big")
    held = movie.timed or movie.told
    if not movie.edits or not held or any(not edit.length for edit in movie.edits):
        return True
    # Some writers round each edit off, and the sum of them.
    slack = len(movie.edits) + 1
    lasts, last = sum(edit.length for edit in movie.edits), movie.edits[-1]
    rest = held * clock / movie.track_clock - last.start * clock / movie.track_clock - last.length
    if rest < -max(len(movie.edits), bar * clock) or all(edit.start < 0 for edit in movie.edits):
        return False
    is_all = abs(last.length - held * clock / movie.track_clock) <= slack
    if slack < abs(rest) < bar * clock and not is_all and _ends_in_part(track):
        return False
    ends = len(movie.edits) == 1 and last.is_plain and last.start >= 0 and abs(rest) <= slack
    return ends or min(abs(lasts - told), abs(lasts - whole)) <= slack


def _ends_in_part(track: memoryview) -> bool:
    """Tell whether the last packet of a track lasts less than the others: its writer knew where the sound ends."""
    times = Boxes(track).inside(b"mdia", b"minf", b"stbl").only(b"stts")
    entries = list(struct.iter_unpack(">II", times[8:]))
    return len(entries) > 1 and entries[-1][0] == 1 and 0 < entries[-1][1] < entries[-2][1]


class AudioInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An audio file's shape, from its header."""

    frames: int
    """Samples in each channel; 0 when the container does not say."""
    sample_rate: int
    channels: int
    encoding: str
    """``pcm_u8``, ``pcm_s8``, ``pcm_16``, ``pcm_24``, ``pcm_32``, ``float``, ``double`` or ``lossy``."""
    container: str
    """``WAV``, ``FLAC``, ``OGG``, ``MP3``, ``M4A``, ..."""
    duration: float
    """Seconds; an estimate where ``frames`` is 0."""
    decoder: Decoder
    is_headerless: bool = False
    """Whether the file is a bare stream of frames (ADTS, AC-3, ...): nothing in it promises a length."""
    codec: str = ""
    """ffprobe's name; empty for what libsndfile decodes exactly."""
    is_whole: bool = False
    """Whether the container's own size shows that nothing is missing, however long the sound is said to be."""
    slack: float | None = None
    """Seconds by which the sound may end before ``duration``, and nothing is missing; None for what is usual."""
    timeline: Timeline | None = None
    """What is played of what ffmpeg decodes; None: all of it."""
    layouts: tuple[FileLayout, ...] = ()
    """The recordings in the file as they are to be read, one after the other; empty: the file as it stands."""
    note: str = ""
    """What people should know of how it is read."""


def refuse_unread(path: Path, head: bytes) -> None:
    """Refuse by their names kinds that neither libsndfile nor ffmpeg reads."""
    found = next((words for mark, words in _UNREAD.items() if head.startswith(mark)), None)
    if found is None and head.startswith(_PAF) and sum(head[16:20]) == 1:
        found = "a PAF of 24 bits", "sndfile-convert"
    if found is not None:
        what, program = found
        raise SourceError(
            f"{show_path(path)} is {what}, which ffmpeg does not read",
            remedy=f"convert it to WAV first, with {program} for example",
        )
