"""What a session of stems holds, whatever its format: the song, muted, and a folder with its stems in order.

All of them begin together, and together the stems sound as the song does: what was made quieter is made louder again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

import msgspec

from plugin_core.audio.info import AudioInfo
from plugin_core.model import Source, Stem
from plugin_core.stem_names import Colour, colour_of, sort_stems, title

GREY: Final[Colour] = (160, 160, 160)
"""Of the song, and of the folder."""

TEMPO: Final = 120.0
"""Beats a minute where the song's tags say nothing: REAPER's own."""

_SLOWEST, _FASTEST = 20.0, 666.0
_INVISIBLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class SessionTrack(msgspec.Struct, frozen=True, kw_only=True):
    """A track with one file on it, whole, from the beginning."""

    name: str
    path: str
    """From the session's own folder, or absolute."""
    colour: Colour
    """Red, green and blue, 0 to 255."""
    sample_rate: int
    channels: int
    frames: int
    """Samples in each channel."""
    gain: float = 1.0
    """What it is played with to have the song's level."""

    @property
    def seconds(self) -> float:
        return self.frames / self.sample_rate


class Arrangement(msgspec.Struct, frozen=True, kw_only=True):
    """A session."""

    name: str
    """Of the song."""
    sample_rate: int
    channels: int
    tempo: float
    """Beats a minute."""
    source: SessionTrack | None
    """The song itself, muted; None where the format cannot write its path."""
    stems: tuple[SessionTrack, ...]
    fields: Mapping[str, str] = {}
    """``title``, ``artist``, ``album`` and ``date`` of the song, as far as its tags say them."""


@runtime_checkable
class SessionFormat(Protocol):
    """A kind of session file."""

    name: str
    """What people write for it; a session is called as its song is, with this as its ending."""
    title: str
    """Which programs open it."""

    def render(self, arrangement: Arrangement) -> bytes:
        """Return the file: the same bytes for the same arrangement.

        Raises:
            PlacementError: the format has no way to write a path; says why.
        """
        ...


def arrange(
    source: Source, heard: Sequence[tuple[Stem, AudioInfo]], place: Path, tags: Mapping[str, tuple[str, ...]]
) -> Arrangement:
    """Return the session of a song's stems.

    Args:
        source: the song.
        heard: the stems where they stand, with their shapes; only what is sound.
        place: of the session.
        tags: of the song.
    """
    name = clean_name(source.path.stem)
    by_name = {stem.name: (stem, info) for stem, info in heard}
    tracks = tuple(
        SessionTrack(
            name=f"{name} - {title(one)}",
            path=os.path.relpath(stem.path, place.parent),
            colour=colour_of(one),
            sample_rate=info.sample_rate,
            channels=info.channels,
            frames=info.frames or round(info.duration * info.sample_rate),
            gain=1 / stem.gain,
        )
        for one in sort_stems(by_name)
        for stem, info in [by_name[one]]
    )
    return Arrangement(
        name=name,
        sample_rate=source.sample_rate,
        channels=source.channels,
        tempo=read_tempo(tags),
        source=SessionTrack(
            name=name,
            path=_path_of_source(source.path, place),
            colour=GREY,
            sample_rate=source.sample_rate,
            channels=source.channels,
            frames=source.frames or round(source.duration * source.sample_rate),
        ),
        stems=tracks,
        fields={one: clean_name(tags[one][0]) for one in ("title", "artist", "album", "date") if tags.get(one)},
    )


def _path_of_source(source: Path, place: Path) -> str:
    """Return the path from a session that lies beside or below its song; from elsewhere the song's own.

    What lies below one folder is moved with it; what was placed elsewhere on purpose stays there when either is moved.
    """
    return os.path.relpath(source, place.parent) if place.is_relative_to(source.parent) else str(source)


def read_tempo(tags: Mapping[str, tuple[str, ...]]) -> float:
    """Return the beats a minute that tags say, where that is a tempo."""
    try:
        tempo = float(tags.get("bpm", ("",))[0].replace(",", "."))
    except ValueError:
        return TEMPO
    return tempo if _SLOWEST <= tempo <= _FASTEST else TEMPO


def clean_name(text: str) -> str:
    """Return a name on one line that every format can write."""
    return _INVISIBLE.sub(" ", text).strip() or "Song"
