"""Frames of an ID3v2 tag, in front of an MP3 or in a chunk of a WAV, AIFF or DSF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mutagen import MutagenError
from mutagen.id3 import ID3FileType
from mutagen.id3._tags import ID3SaveConfig  # type: ignore[attr-defined]

from plugin_core.tags.files import overlay_of
from plugin_core.tags.raw.id3_tag import HEAD, JOINED, RawTag, parse_tag, read_synchsafe, split_frames
from plugin_core.tags.raw.saving import DamagedTagError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plugin_core.tags.files import TaggedFile

PADDING: Final = 1024
"""Bytes behind a tag that has to grow, as mutagen leaves."""


def put(opened: TaggedFile, changes: Mapping[str, tuple[str, ...]]) -> None:
    """Set frames to these values; the tag keeps its version.

    Raises:
        DamagedTagError: the tag does not hold together.
    """
    tags, raw = opened.audio.tags, _read_raw(opened)
    separator = _separator(opened) if raw.version < 4 else "\0"
    for key, values in changes.items():
        # TMOO came with v2.4.
        raw = raw.with_values(key, values if key != "TMOO" or raw.version == 4 else (), separator)
    data = raw.render(PADDING)
    opened.file.seek(0)
    if type(tags).save is not ID3FileType.ID3.save:
        # mutagen finds the chunk and mends the sizes around it; the bytes of the tag are ours.
        tags._prepare_data = lambda *_args: data
        tags.save(opened.file)
    else:
        overlay_of(opened).resize(0, raw.size, len(data))
        opened.file.write(data)


def _read_raw(opened: TaggedFile) -> RawTag:
    """Find the bytes of the tag where mutagen found it."""
    tags = opened.audio.tags
    opened.file.seek(0)
    try:
        if hasattr(tags, "_pre_load_header"):
            tags._pre_load_header(opened.file)
    except MutagenError:
        return _make_new(opened)
    head = opened.file.read(HEAD)
    if head[:3] != b"ID3":
        return _make_new(opened)
    data = head + opened.file.read(read_synchsafe(head[6:HEAD]) + HEAD)
    if len(head) < HEAD:
        raise DamagedTagError("the ID3 tag ends too early")
    return parse_tag(data)


def _make_new(opened: TaggedFile) -> RawTag:
    """Return the first tag of a file, which says what its tags of other kinds say."""
    return RawTag(frames=split_frames(opened.audio.tags._write(ID3SaveConfig(4, None)), 4))


def _separator(opened: TaggedFile) -> str:
    """Return what the tag itself puts between values: some programs write NUL before v2.4 as well."""
    texts = (frame for frame in opened.audio.tags.values() if frame.FrameID.startswith("T"))
    return "\0" if any(len(getattr(frame, "text", ())) > 1 for frame in texts) else JOINED
