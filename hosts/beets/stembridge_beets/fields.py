"""The fields of ours in beets: how they are kept in the database and in each kind of file, and how they are asked for.

Imported whenever beets starts, so it imports only what beets itself has imported by then. The keys are those of
``plugin_core.tags.fields``; a test holds both together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import beets
import mediafile
import yaml
from beets import plugins
from beets.dbcore import query, types
from beets.dbcore.query import FieldQuery, InvalidQueryArgumentValueError, PathQuery, Query
from beets.library import Item

LISTS = ("mood", "scene", "vocal", "bgm", "intensity")
"""Dimensions whose fields beets does not have: lists in the database, tags in the file."""

DIMENSIONS = ("mood", "genre", "language", "scene", "vocal", "bgm", "intensity")

FIELD_OF = {name: "genres" if name == "genre" else name for name in DIMENSIONS}
"""The field of each dimension, as the configuration of this process says; what beets knows of fields is global too."""

JOINED = "/"
"""What ID3v2.3 puts between several values."""

IS_FILE_READ = tuple(int(part) for part in beets.__version__.split(".")[:2]) >= (2, 14)
"""Before 2.14, ``beet update`` fails on a media field that is no column, so files are written but not read there."""


def probability_field(dimension: str) -> str:
    """Return the name of the field that says how sure a label is."""
    return f"{dimension}_probability"


STEMS_PATH = "stems_path"
"""The field that every song with stems has."""

_WORDS = {
    word: is_so for is_so, words in {True: "yes true 1 y t", False: "no false 0 n f"}.items() for word in words.split()
}


class Having(Query):
    """Matches songs that have something in a flexible field of their own.

    Beets matches such fields song by song, each of which it reads whole for it; the database itself is far quicker.

    Args:
        field: the field's name.
    """

    def __init__(self, field: str) -> None:
        self._field = field

    def clause(self) -> tuple[str, Sequence[Any]]:
        """Return the condition in SQL, and its values."""
        having = "SELECT entity_id FROM item_attributes WHERE key = ? AND length(value) > 0"
        return f"items.id IN ({having})", (self._field,)

    def match(self, obj: Any) -> bool:
        """Tell whether a song that is read already matches."""
        return bool(obj.get(self._field, with_album=False))


class FieldPathQuery(PathQuery):
    """Matches a path, or what lies below it, in whatever field; that of beets looks at the song's own path."""

    def match(self, obj: Any) -> bool:
        """Tell whether a song that is read already matches."""
        path = obj.get(self.field_name, with_album=False)
        return bool(path) and super().match(cast("Any", SimpleNamespace(path=path)))


class HasStems(FieldQuery[str]):
    """``has_stems:yes``, ``has_stems:no``.

    Raises:
        InvalidQueryArgumentValueError: neither a yes nor a no, as beets tells it.
    """

    def __init__(self, field_name: str, pattern: str, fast: bool = True) -> None:
        super().__init__(field_name, pattern, fast)
        if pattern.lower() not in _WORDS:
            raise InvalidQueryArgumentValueError(pattern, "yes or no")
        self._is_wanted = _WORDS[pattern.lower()]
        self._having = Having(STEMS_PATH)

    def clause(self) -> tuple[str, Sequence[Any]]:
        """Return the condition in SQL, and its values."""
        condition, values = self._having.clause()
        return (condition if self._is_wanted else f"NOT ({condition})"), values

    def match(self, obj: Any) -> bool:
        """Tell whether a song that is read already matches."""
        return self._having.match(obj) is self._is_wanted


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


class FolderType(types.PathType):
    """A path as that of a song: kept relative to the library where beets does so, found by what it lies in."""

    query = FieldPathQuery

    def parse(self, string: str) -> bytes:
        """Return the path that a text names; none where there is no text."""
        return super().parse(string) if string else self.null


def field_types() -> dict[str, types.Type[Any, Any]]:
    """Return the types of our fields, of songs and of albums too: what is set on an album is set on its songs."""
    labels = [field for field in FIELD_OF.values() if field not in Item._fields]
    return {
        **dict.fromkeys((*labels, "labels_dimensions", "labels_genres", "stems", "stems_files"), list_type()),
        **{probability_field(name): types.NullFloat(3) for name in DIMENSIONS},
        STEMS_PATH: FolderType(),
    }


def foreign_types(plugin: object) -> dict[str, types.Type[Any, Any]]:
    """Return the types of those of our fields that another plugin keeps in another way, as ``types`` does as told."""
    ours = field_types()
    theirs = [
        {**getattr(other, "item_types", {}), **getattr(other, "album_types", {})}
        for other in plugins.find_plugins()
        if other is not plugin
    ]
    return {name: kind for each in theirs for name, kind in each.items() if name in ours and kind != ours[name]}


def is_list(dimension: str) -> bool:
    """Tell whether a dimension's field holds several values, as it does unless somebody else says what it holds."""
    kind = {**Item._types, **Item._fields}.get(FIELD_OF[dimension])
    return kind is None or isinstance(kind, types.DelimitedString)


def own_lists() -> list[str]:
    """Return the dimensions whose fields stand in files because of us."""
    return [name for name in LISTS if FIELD_OF[name] not in Item._fields]


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
    return [name for name in own_lists() if FIELD_OF[name] not in mediafile.MediaFile.__dict__]


def scalar_fields() -> list[str]:
    """Return those of the lists that another plugin has registered as single values."""
    found = {name: mediafile.MediaFile.__dict__.get(FIELD_OF[name]) for name in own_lists()}
    return [name for name, field in found.items() if field and not isinstance(field, mediafile.ListMediaField)]


def add_tags(item: Any, tags: dict[str, Any]) -> None:
    """Put the lists of an item among the tags that beets is about to write; an empty one removes its tag."""
    for field in (FIELD_OF[name] for name in own_lists()):
        if isinstance(item.get(field, with_album=False), list):
            tags[field] = list(item[field]) or None
