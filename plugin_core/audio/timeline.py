"""What of a stream's decoded samples is played, and when: silence before a late start, edits, an encoder's padding."""

from __future__ import annotations

from itertools import dropwhile
from pathlib import Path
from typing import Final

import msgspec

from plugin_core.audio.damage import show_time
from plugin_core.audio.movie import Edit, Movie
from plugin_core.errors import SourceError
from plugin_core.model import show_path

_PADDING: Final = {"aac": 4096, "ac3": 1536, "alac": 0, "eac3": 1536, "flac": 0, "mp3": 2304, "opus": 5760}
"""Codecs whose first packet gives samples, so that the index and the decoder count alike, and the most samples of
silence that an encoder adds at the end."""
_MUCH_SECONDS: Final = 0.5


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


def read_timeline(path: Path, movie: Movie, *, codec: str, sample_rate: int, length: int, lead: int) -> Timeline | None:
    """Return what an MP4 plays of its sound; None where all of it is.

    Args:
        path: the file.
        movie: its index.
        codec: ffprobe's name.
        sample_rate: of what is decoded.
        length: of the track in its own units, used where the index has none.
        lead: samples by which it starts later than the file.

    Raises:
        SourceError: an edit list plays it in another order, or at another speed.
    """
    padding = 0 if codec.startswith("pcm_") else _PADDING.get(codec)
    if padding is None:
        return None
    length = movie.timed or (0 if movie.told else length)
    edits = list(dropwhile(lambda edit: edit.start < 0, movie.edits))
    if not edits:
        return _read_gapless(movie, sample_rate, length, padding)
    if not length:
        return None
    if edits[0].start >= length:
        # The times of its samples are no times.
        return Timeline((Piece(lead, round(edits[0].start * sample_rate / movie.track_clock), None),), is_raw=True)
    pieces = _place(path, movie, edits, length, sample_rate / movie.track_clock)
    pieces[0] = msgspec.structs.replace(pieces[0], silence=lead)
    if pieces[-1].padding is not None:
        pieces[-1] = msgspec.structs.replace(pieces[-1], padding=padding)
    played = sum(piece.samples - piece.silence for piece in pieces) / sample_rate
    return Timeline(tuple(pieces), is_raw=True, note=_describe(path, played, length / movie.track_clock))


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
    if movie.gapless is None or movie.track_clock != sample_rate:
        return None
    start, samples = movie.gapless
    if not 0 < start + samples <= length:
        return None
    return Timeline((Piece(0, start, start + samples, padding),), is_raw=True)
