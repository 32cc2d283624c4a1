"""REAPER's own project file: lines of words, nested between ``<`` and ``>``."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import PurePath
from typing import Final

from plugin_core.errors import PlacementError
from plugin_core.sessions.arrangement import GREY, Arrangement, SessionTrack, clean_name
from plugin_core.stem_names import Colour

_SOURCES: Final = {
    ".flac": "FLAC",
    ".mp3": "MP3",
    ".ogg": "VORBIS",
    ".oga": "VORBIS",
    ".opus": "OPUS",
    ".m4a": "VIDEO",
    ".mp4": "VIDEO",
    ".wma": "VIDEO",
    ".mkv": "VIDEO",
    ".mov": "VIDEO",
    ".webm": "VIDEO",
}
"""What REAPER calls what reads a file; WAVE reads WAV, AIFF, W64 and their like."""

_UNWRITABLE: Final = re.compile("[\n\r\ud800-\udfff]")
_CUSTOM_COLOUR: Final = 0x1000000
_OURS: Final = uuid.UUID("6f7a3c0e-3c5b-5d0a-9c39-7c1d5c0b8f7e")
"""GUIDs follow from it and the names, so that the same stems make the same file."""


class ReaperProject:
    """``.rpp``."""

    name = "rpp"
    title = "REAPER"

    def render(self, arrangement: Arrangement) -> bytes:
        """Return the project.

        Raises:
            PlacementError: a path holds a line end, all three quotes, or is no text.
        """
        return "".join(f"{line}\n" for line in _project(arrangement)).encode()


def _project(arrangement: Arrangement) -> Iterator[str]:
    wide = _even(max(arrangement.channels, *(track.channels for track in arrangement.stems)))
    yield '<REAPER_PROJECT 0.1 "6.0" 0'
    # 0 dB in the middle, or a mono stem would not be as loud as its part in the song.
    yield "  PANLAW 1"
    yield f"  SAMPLERATE {arrangement.sample_rate} 1 0"
    yield f"  TEMPO {arrangement.tempo:.10g} 4 4"
    yield "  PLAYRATE 1 0 0.25 4"
    yield f"  MASTER_NCH {wide} 2"
    yield "  MASTER_VOLUME 1 0 -1 -1 1"
    if arrangement.source is not None:
        yield from _track(arrangement.source, arrangement.name, wide, "0 0", is_muted=True)
    yield from _head(f"{arrangement.name} - Stems", arrangement.name, GREY, wide, "1 1")
    yield "  >"
    for number, track in enumerate(arrangement.stems, 1):
        yield from _track(track, arrangement.name, wide, "2 -1" if number == len(arrangement.stems) else "0 0")
    yield ">"


def _head(
    name: str, song: str, colour: Colour, channels: int, folder: str, *, is_muted: bool = False, gain: float = 1.0
) -> Iterator[str]:
    red, green, blue = colour
    yield f"  <TRACK {_guid(song, name, 'track')}"
    yield f"    NAME {quote(name)}"
    # In the order of Windows, wherever it was written.
    yield f"    PEAKCOL {_CUSTOM_COLOUR | blue << 16 | green << 8 | red}"
    # By time: a tempo that is changed later must not stretch the music.
    yield "    BEAT 0"
    yield f"    VOLPAN {_number(gain)} 0 -1 -1 1"
    yield f"    MUTESOLO {int(is_muted)} 0 0"
    yield f"    ISBUS {folder}"
    yield f"    NCHAN {channels}"
    yield "    FX 1"
    yield f"    TRACKID {_guid(song, name, 'track')}"
    yield "    MAINSEND 1 0"


def _track(track: SessionTrack, song: str, channels: int, folder: str, *, is_muted: bool = False) -> Iterator[str]:
    yield from _head(track.name, song, track.colour, channels, folder, is_muted=is_muted, gain=track.gain)
    yield "    <ITEM"
    yield "      POSITION 0"
    yield f"      LENGTH {_number(track.seconds)}"
    yield "      LOOP 0"
    yield "      ALLTAKES 0"
    yield "      FADEIN 1 0 0 1 0 0 0"
    yield "      FADEOUT 1 0 0 1 0 0 0"
    yield "      MUTE 0 0"
    yield f"      IGUID {_guid(song, track.name, 'item')}"
    yield f"      NAME {quote(clean_name(PurePath(track.path).name))}"
    yield "      VOLPAN 1 0 1 -1"
    yield "      SOFFS 0"
    yield "      PLAYRATE 1 1 0 -1 0 0.0025"
    yield "      CHANMODE 0"
    yield f"      GUID {_guid(song, track.name, 'take')}"
    yield f"      <SOURCE {_SOURCES.get(PurePath(track.path).suffix.lower(), 'WAVE')}"
    yield f"        FILE {quote(track.path, is_exact=True)}"
    yield "      >"
    yield "    >"
    yield "  >"


def quote(text: str, *, is_exact: bool = False) -> str:
    """Write a text as REAPER does: between quotes that it does not hold; where it holds all three, one is changed.

    Args:
        text: on one line.
        is_exact: whether it may not be changed.

    Raises:
        PlacementError: it may not be changed, and cannot be written as it is.
    """
    if is_exact and _UNWRITABLE.search(text):
        raise PlacementError("a path holds a line end, or what is no text")
    for mark in "\"'`":
        if mark not in text:
            return f"{mark}{text}{mark}"
    if is_exact:
        raise PlacementError("a path holds all three quotes")
    return f"`{text.replace('`', chr(39))}`"


def _even(channels: int) -> int:
    return max(2, channels + channels % 2)


def _number(value: float) -> str:
    """Write a number to the last sample of any length."""
    return f"{value:.14f}".rstrip("0").rstrip(".")


def _guid(*names: str) -> str:
    return f"{{{str(uuid.uuid5(_OURS, '/'.join(names))).upper()}}}"
