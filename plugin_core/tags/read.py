"""Reading a file's tags in canonical names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_core.errors import SourceError
from plugin_core.model import show_path
from plugin_core.tags.families import ACCESS
from plugin_core.tags.fields import COUNTED, FIELDS, Family
from plugin_core.tags.files import TaggedFile, open_tagged
from plugin_core.tags.pictures import select_pictures
from plugin_core.tags.riff_info import read_info
from plugin_core.tags.tagset import TagSet, clean_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


def read_tags(path: Path) -> TagSet:
    """Read every field of the table and every picture; empty where the container has no tags or none we know.

    A number that stands as ``3/12`` comes apart into number and total. A WAV's LIST INFO fills the fields
    that its ID3 chunk leaves empty.

    Raises:
        SourceError: the file cannot be opened, or its tags are broken.
    """
    with open_tagged(path) as opened:
        if opened is None:
            return TagSet()
        try:
            return read_opened(opened)
        # Hostile values make a parser raise anything.
        except Exception as error:
            raise SourceError(
                f"the tags of {show_path(path)} cannot be read: {str(error) or type(error).__name__}"
            ) from error


def read_open(opened: TaggedFile, names: Iterable[str] = FIELDS) -> dict[str, tuple[str, ...]]:
    """Read fields of the table from an open file.

    Args:
        opened: the file.
        names: the fields wanted; default all.
    """
    access, audio, family = ACCESS[opened.family], opened.audio, opened.family
    fields = _read_fields(family, lambda key: access.get(audio, key), names)
    if family is Family.ID3:
        info = read_info(opened.file)
        fields = _read_fields(Family.RIFF, lambda key: info.get(key, []), names) | fields
    return fields


def read_opened(opened: TaggedFile) -> TagSet:
    """Read every field and picture of an open file."""
    fields = _split_totals(read_open(opened))
    return TagSet(fields, select_pictures(ACCESS[opened.family].get_pictures(opened.audio)))


def _read_fields(family: Family, get: Callable[[str], list[str]], names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        for key in FIELDS[name].read(family):
            held = get(key)
            # Most fields are in no file.
            values = clean_values(name, held) if held else ()
            if values:
                found[name] = values
                break
    return found


def _split_totals(fields: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Turn ``3/12`` into number and total; a total of its own wins, zeros mean "not known"."""
    split = dict(fields)
    for name, total_name in COUNTED.items():
        number, _, total = fields.get(name, ("",))[0].partition("/")
        for key, text in ((name, number), (total_name, fields.get(total_name, (total,))[0])):
            split.pop(key, None)
            if text.strip().strip("0"):
                split[key] = (text.strip(),)
    return split
