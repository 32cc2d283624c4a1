"""What we use of mutagen beyond its public names: this module alone must follow when they change.

``tests/plugin_core/tags/test_mutagen_internals.py`` holds them against the installed version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

from mutagen import MutagenError
from mutagen.apev2 import _APEv2Data as ApeData
from mutagen.id3 import ID3FileType
from mutagen.id3._tags import ID3SaveConfig  # type: ignore[attr-defined]
from mutagen.id3._util import unsynch
from mutagen.mp4._atom import Atoms

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ApeData", "Atoms", "find_tag", "keep_atoms", "render_frames", "save_chunk", "unsynch"]


def find_tag(tags: Any, file: BinaryIO) -> bool:
    """Go to where an ID3v2 tag begins, in front of the file or in a chunk; tell whether there is such a place."""
    file.seek(0)
    try:
        if hasattr(tags, "_pre_load_header"):
            tags._pre_load_header(file)
    except MutagenError:
        return False
    return True


def render_frames(tags: Any) -> bytes:
    """Return the frames that mutagen holds as those of an ID3v2.4 tag."""
    return bytes(tags._write(ID3SaveConfig(4, None)))


def save_chunk(tags: Any, file: BinaryIO, data: bytes) -> bool:
    """Put a whole ID3v2 tag into its chunk, with the sizes around it right; False for a tag that has no chunk."""
    if type(tags).save is ID3FileType.ID3.save:
        return False
    tags._prepare_data = lambda *_args: data
    file.seek(0)
    tags.save(file)
    return True


def keep_atoms(tags: Any, atoms: Iterable[tuple[str, bytes]]) -> None:
    """Let mutagen write atoms of an MP4 as these bytes, by name; it does so with what it could not parse."""
    tags._failed_atoms.clear()
    for name, data in atoms:
        tags._failed_atoms.setdefault(name, []).append(data)
