"""The fields that labels have in beets: how they are kept in the database and in each kind of file.

Imported whenever beets starts, so it imports only what beets itself has imported by then. The keys are those of
``plugin_core.tags.fields``; a test holds both together.
"""

from __future__ import annotations

import re
from typing import Any

import beets
import mediafile
import yaml
from beets.dbcore import query, types

LISTS = ("mood", "scene", "vocal", "bgm", "intensity")
"""Fields that beets does not have: lists in the database, tags in the file."""

FIELD_OF = {"genre": "genres"}
"""Where a dimension's field in beets has another name."""

DIMENSIONS = ("mood", "genre", "language", "scene", "vocal", "bgm", "intensity")

JOINED = "/"
"""What ID3v2.3 puts between several values."""

IS_FILE_READ = tuple(int(part) for part in beets.__version__.split(".")[:2]) >= (2, 14)
"""Before 2.14, ``beet update`` fails on a media field that is no column, so files are written but not read there."""


def probability_field(dimension: str) -> str:
    """Return the name of the field that says how sure a label is."""
    return f"{dimension}_probability"


class WordList(list[str]):
    """Several values that read as text and equal each of them, for versions of beets that expect one value."""

    __hash__ = None  # as that of any list

    def __str__(self) -> str:
        return "; ".join(self)

    def __eq__(self, other: object) -> bool:
        return other in self if isinstance(other, str) else super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other


# `beet edit` writes values as YAML, which knows lists and no kinds of them.
yaml.SafeDumper.add_representer(WordList, yaml.SafeDumper.represent_list)


class WordsType(types.DelimitedString):
    """A list as newer versions of beets have it: a text given to it is split as people write it, not into letters."""

    def normalize(self, value: Any) -> list[str]:
        """Return a value as the database's own would be."""
        return WordList(self.parse(value) if isinstance(value, str) else super().normalize(value))

    def parse(self, string: str) -> list[str]:
        """Return the values that a text names."""
        return WordList(super().parse(string))


def list_type() -> types.DelimitedString:
    """Return the type of lists: beets' own, which other plugins may use for the same field, where it is good."""
    own = types.MULTI_VALUE_DSV
    is_matched = query.MatchQuery.value_match("ab", ["ab"]) and query.RegexpQuery.value_match(re.compile("^a"), ["ab"])
    return own if is_matched and own.normalize("ab") == ["ab"] else WordsType(own.db_delimiter)


FIELD_TYPES: dict[str, types.Type[Any, Any]] = {
    **dict.fromkeys((*LISTS, "labels_dimensions", "labels_genres", "stems", "stems_files"), list_type()),
    **{probability_field(name): types.NullFloat(3) for name in DIMENSIONS},
}
"""Of songs, and of albums too: what is set on an album is set on its songs."""


class Id3List(mediafile.MP3ListDescStorageStyle):  # type: ignore[misc] # mediafile has no types
    """A TXXX frame whose values ID3v2.3 joined into one."""

    def get_list(self, mutagen_file: Any) -> Any:
        """Return the values, apart."""
        values = super().get_list(mutagen_file)
        if not values or mutagen_file.tags.version >= (2, 4, 0):
            return values
        return [part for value in values for part in value.split(JOINED)]


def make_field(name: str) -> mediafile.ListMediaField:
    """Describe how a list is kept in each kind of file."""
    key = name.upper()
    frames = [mediafile.MP3ListStorageStyle("TMOO")] if name == "mood" else []
    return mediafile.ListMediaField(
        # The frame that both versions of ID3 have is read first: in v2.3 TMOO is nobody's.
        Id3List(desc=key),
        *frames,
        mediafile.MP4ListStorageStyle(f"----:com.apple.iTunes:{key}"),
        mediafile.ListStorageStyle(key),
        mediafile.ASFStorageStyle(f"WM/{name.title()}"),
    )


def missing_fields() -> list[str]:
    """Return the lists that MediaFile does not know yet; it outlives plugins, in tests for example."""
    return [name for name in LISTS if name not in mediafile.MediaFile.__dict__]


def scalar_fields() -> list[str]:
    """Return those of the lists that another plugin has registered as single values."""
    found = mediafile.MediaFile.__dict__
    return [name for name in LISTS if name in found and not isinstance(found[name], mediafile.ListMediaField)]


def add_tags(item: Any, tags: dict[str, Any]) -> None:
    """Put the lists of an item among the tags that beets is about to write; an empty one removes its tag."""
    for name in LISTS:
        if name in item:
            tags[name] = list(item[name]) or None
