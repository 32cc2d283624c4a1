"""ID3v2: MP3, WAV, AIFF, DSF, DSDIFF, TrueAudio.

mutagen shows every version as v2.4 (TYER becomes TDRC, IPLS becomes TIPL, ID3v1 becomes frames).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from plugin_core.tags.fields import Picture
from plugin_core.tags.files import DamagedTagError, overlay_of
from plugin_core.tags.id3_tag import HEAD, RawTag, parse_tag, picture_frame, read_synchsafe, split_frames
from plugin_core.tags.mutagen_internals import find_tag, render_frames, save_chunk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from plugin_core.tags.files import TaggedFile


PADDING: Final = 1024
"""Bytes behind a tag that has to grow, as mutagen leaves."""
_DATES: Final = frozenset({"TDRC", "TDOR"})
_DATE: Final = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")
_ROLE: Final = "TIPL:"
PICARD: Final = {"TXXX:MOOD": "TXXX:mood"}
"""Before v2.4, where there is no TMOO, Picard knows the mood by this name alone; others mind no case."""


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


def get_pictures(audio: Any) -> Iterator[Picture]:
    """Give every attached picture; links (MIME ``-->``) come with their own MIME and are dropped later."""
    for frame in audio.tags.getall("APIC"):
        yield Picture(bytes(frame.data), str(frame.mime), int(frame.type), str(frame.desc))


def write(opened: TaggedFile, changes: Mapping[str, tuple[str, ...]], pictures: Sequence[Picture] = ()) -> None:
    """Set frames to these values; a date without a year is left out.

    The tag keeps its version, unless that has no frame for something: then all of it becomes v2.4.

    Raises:
        DamagedTagError: the tag does not hold together.
    """
    tags, raw = opened.audio.tags, _read_raw(opened)
    changes = _with_people(opened.audio, changes)
    if not all(raw.can_hold(key) for key, values in changes.items() if values) or (pictures and raw.version == 2):
        raw = RawTag(frames=split_frames(render_frames(tags), 4), size=raw.size)
    separator = opened.separator or ("\0" if _has_nuls(opened) else "")
    for key, values in changes.items():
        name = PICARD.get(key, key) if raw.version < 4 else key
        raw = raw.with_values(name, _tidy(key, values), separator)
    if pictures:
        raw = raw.with_frames("APIC", [picture_frame(one) for one in _told_apart(pictures)])
    data = raw.render(PADDING)
    if not save_chunk(tags, opened.file, data):
        overlay_of(opened).resize(0, raw.size, len(data))
        opened.file.seek(0)
        opened.file.write(data)
    elif not find_tag(tags, opened.file) or opened.file.read(len(data)) != data:
        raise DamagedTagError("a chunk has a wrong size, so that no reader would find the tag")


def _tidy(key: str, values: Sequence[str]) -> Sequence[str]:
    return [match.group() for match in map(_DATE.search, values) if match] if key in _DATES else values


def _told_apart(pictures: Sequence[Picture]) -> Iterator[Picture]:
    """Give each picture a description of its own: two with the same one would be one frame to ID3."""
    taken: set[str] = set()
    for picture in pictures:
        description = picture.description
        while description in taken:
            description += " "
        taken.add(description)
        yield Picture(picture.data, picture.mime, picture.kind, description)


def _frames(audio: Any, frame_id: str, rest: str) -> list[Any]:
    frames: list[Any] = audio.tags.getall(frame_id)
    if frame_id == "TXXX":
        return [frame for frame in frames if frame.desc.lower() == rest.lower()]
    if frame_id == "COMM":
        return [frame for frame in frames if frame.desc == rest]
    if frame_id == "UFID":
        return [frame for frame in frames if frame.owner == rest]
    return frames


def _people(audio: Any) -> list[tuple[str, str]]:
    pairs = (pair for frame in audio.tags.getall("TIPL") for pair in frame.people)
    return [(str(pair[0]), str(pair[1])) for pair in pairs if len(pair) == 2]


def _with_people(audio: Any, changes: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    """Make one change of all roles: one frame holds them, each before its name."""
    roles = {key.removeprefix(_ROLE).lower() for key in changes if key.startswith(_ROLE)}
    if not roles:
        return changes
    people = [pair for pair in _people(audio) if pair[0].lower() not in roles]
    people += [(key.removeprefix(_ROLE), name) for key in changes if key.startswith(_ROLE) for name in changes[key]]
    others = {key: values for key, values in changes.items() if not key.startswith(_ROLE)}
    return others | {"TIPL": tuple(text for pair in people for text in pair)}


def _read_raw(opened: TaggedFile) -> RawTag:
    """Find the bytes of the tag where mutagen found it; a file without one has an empty one."""
    file = opened.file
    head = file.read(HEAD) if find_tag(opened.audio.tags, file) else b""
    if head[:3] != b"ID3":
        return RawTag()
    data = head + file.read(read_synchsafe(head[6:HEAD]) + HEAD)
    if len(head) < HEAD:
        raise DamagedTagError("the ID3 tag ends too early")
    return parse_tag(data)


def _has_nuls(opened: TaggedFile) -> bool:
    """Tell whether a tag puts NUL between values, as some programs do before v2.4 as well."""
    texts = (frame for frame in opened.audio.tags.values() if frame.FrameID.startswith("T"))
    return any(len(getattr(frame, "text", ())) > 1 for frame in texts)
