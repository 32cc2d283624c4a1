"""What of the first audio track an MP4 plays (its edit list, ISO 14496-12), and the gain that Opus asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from plugin_core.audio.movie import Movie, read_index, read_movie
from plugin_core.audio.source_file import open_file, read_at

_MUCH_SECONDS: Final = 0.5
"""An encoder's padding, which edit lists hide as well, is less."""


_HEAD: Final = 1 << 16
"""Ogg begins with the header; Matroska has it among its tracks, which come before the sound."""

_GAIN_AT: Final = 16
_UNITS: Final = 256


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


def read_opus_gain(path: Path, descriptor: int) -> bytes:
    """Return the two bytes of the output gain in the index, big endian; nothing where there is none."""
    index = read_index(path, descriptor)
    at = bytes(index).find(b"dOps")
    # Version, channels, pre-skip and the input's rate lie in between.
    return bytes(index[at + 12 : at + 14]) if at >= 0 else b""


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


def header_gain(path: Path) -> float:
    """Return the decibels by which decoders change what is in the packets; 0.0 for anything but Opus.

    Raises:
        SourceError: the file cannot be read.
        TransientError: the disk or share does not answer.
    """
    with open_file(path) as descriptor:
        head = read_at(path, descriptor, 0, _HEAD)
        if head[4:8] == b"ftyp":
            return int.from_bytes(read_opus_gain(path, descriptor), "big", signed=True) / _UNITS
    if not head.startswith((b"OggS", b"\x1aE\xdf\xa3")):
        return 0.0
    at = head.find(b"OpusHead")
    return int.from_bytes(head[at + _GAIN_AT : at + _GAIN_AT + 2], "little", signed=True) / _UNITS if at >= 0 else 0.0
