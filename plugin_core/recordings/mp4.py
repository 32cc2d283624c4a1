"""What of the first audio track an MP4 plays (its edit list, ISO 14496-12)."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from plugin_core.audio.movie import Movie, read_movie

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
