"""ID3v2: MP3, WAV, AIFF, DSF, DSDIFF, TrueAudio.

mutagen shows every version as v2.4 (TYER becomes TDRC, IPLS becomes TIPL, ID3v1 becomes frames).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mutagen.id3 import APIC, COMM, TIPL, TXXX, UFID, Encoding, Frames

from plugin_core.tags.tagset import Picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_DATES: Final = frozenset({"TDRC", "TDOR"})
_DATE: Final = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")


def get(audio: Any, key: str) -> list[str]:
    """Return the values under a key (``plugin_core.tags.fields`` says how keys are written)."""
    frame_id, _, rest = key.partition(":")
    if frame_id == "TIPL":
        return [name for role, name in _people(audio) if role.lower() == rest.lower()]
    frames = _frames(audio, frame_id, rest)
    if frame_id == "UFID":
        return [frame.data.decode("utf-8", "replace") for frame in frames]
    if frame_id == "TCON":
        return [genre for frame in frames for genre in frame.genres]
    return [str(value) for frame in frames for value in frame.text]


def put(audio: Any, key: str, values: Sequence[str]) -> None:
    """Set a key to these values, or remove it when there are none; a date without a year is left out."""
    frame_id, _, rest = key.partition(":")
    if frame_id == "TIPL":
        _put_people(audio, rest, values)
        return
    for frame in _frames(audio, frame_id, rest):
        del audio.tags[frame.HashKey]
    if frame_id in _DATES:
        values = [match.group() for match in map(_DATE.search, values) if match]
    if values:
        audio.tags.add(_make_frame(frame_id, rest, list(values)))


def get_pictures(audio: Any) -> Iterator[Picture]:
    """Give every attached picture; links (MIME ``-->``) come with their own MIME and are dropped later."""
    for frame in audio.tags.getall("APIC"):
        yield Picture(bytes(frame.data), str(frame.mime), int(frame.type), str(frame.desc))


def put_pictures(audio: Any, pictures: Sequence[Picture]) -> None:
    """Replace all attached pictures."""
    audio.tags.delall("APIC")
    taken: set[str] = set()
    for picture in pictures:
        # Two pictures with one description are one frame to ID3: the second would replace the first.
        description = picture.description
        while description in taken:
            description += " "
        taken.add(description)
        audio.tags.add(
            APIC(
                encoding=_narrow(description), mime=picture.mime, type=picture.kind, desc=description, data=picture.data
            )
        )


def _narrow(text: str) -> int:
    # ffmpeg and old players read Latin-1 everywhere; UTF-8 only where it is needed.
    return Encoding.LATIN1 if text.isascii() else Encoding.UTF8


def _frames(audio: Any, frame_id: str, rest: str) -> list[Any]:
    frames: list[Any] = audio.tags.getall(frame_id)
    if frame_id == "TXXX":
        return [frame for frame in frames if frame.desc.lower() == rest.lower()]
    if frame_id == "COMM":
        return [frame for frame in frames if frame.desc == rest]
    if frame_id == "UFID":
        return [frame for frame in frames if frame.owner == rest]
    return frames


def _make_frame(frame_id: str, rest: str, values: list[str]) -> Any:
    if frame_id == "UFID":
        return UFID(owner=rest, data=values[0].encode())
    if frame_id == "TXXX":
        return TXXX(encoding=Encoding.UTF8, desc=rest, text=values)
    if frame_id == "COMM":
        return COMM(encoding=Encoding.UTF8, lang="eng", desc=rest, text=values)
    return Frames[frame_id](encoding=Encoding.UTF8, text=values)


def _people(audio: Any) -> list[tuple[str, str]]:
    pairs = (pair for frame in audio.tags.getall("TIPL") for pair in frame.people)
    return [(str(pair[0]), str(pair[1])) for pair in pairs if len(pair) == 2]


def _put_people(audio: Any, role: str, names: Sequence[str]) -> None:
    people = [[other, name] for other, name in _people(audio) if other.lower() != role.lower()]
    people += [[role, name] for name in names]
    audio.tags.delall("TIPL")
    if people:
        audio.tags.add(TIPL(encoding=Encoding.UTF8, people=people))
