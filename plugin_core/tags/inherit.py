"""What a file's first ID3v2 tag says from the start: readers that find one pass its tags of other kinds over.

TagLib, and every player built on it, shows nothing but the ID3v2 tag of a file that has one. A song that has said who
sings it in ID3v1, APEv2 or LIST INFO must not lose that because it got a mood.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from mutagen.apev2 import TEXT
from mutagen.id3 import ID3FileType

from plugin_core.tags.families import ACCESS
from plugin_core.tags.fields import FIELDS, Family
from plugin_core.tags.files import TaggedFile, ape_tags, has_id3
from plugin_core.tags.read import read_opened
from plugin_core.tags.tagset import TagSet, clean_values
from plugin_core.tags.write import put_tags

if TYPE_CHECKING:
    from collections.abc import Iterator

_KNOWN: Final = frozenset(key.casefold() for row in FIELDS.values() for key in row.read(Family.APE))


def inherit(opened: TaggedFile) -> None:
    """Let mutagen's view of a file without ID3v2 hold what its other tags say; these stay where they are."""
    if opened.family is not Family.ID3 or has_id3(opened):
        return
    tags = read_opened(opened)
    ape = ape_tags(opened.file) if isinstance(opened.audio, ID3FileType) else None
    if ape is not None:
        longer = read_opened(TaggedFile(opened.file, SimpleNamespace(tags=ape), Family.APE))
        tags = TagSet(tags.fields | longer.fields, longer.pictures)
        for key, values in _others(ape):
            ACCESS[Family.ID3].put(opened.audio, f"TXXX:{key}", values)
    put_tags(opened, tags)


def _others(ape: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give the texts that the field table does not know, such as replay gain."""
    for key, value in ape.items():
        if value.kind == TEXT and key.casefold() not in _KNOWN:
            yield key, clean_values(key, value)
