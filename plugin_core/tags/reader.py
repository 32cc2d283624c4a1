"""Reading a file's tags in canonical names."""

from __future__ import annotations

from functools import cache, lru_cache, partial
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from mutagen.id3 import ID3FileType

from plugin_core.errors import SourceError
from plugin_core.model import show_path
from plugin_core.tags.fields import COUNTED, FIELDS, Family, TagSet, clean_values, field_of, select_pictures
from plugin_core.tags.files import TaggedFile, ape_tags, has_id3, open_tagged
from plugin_core.tags.id3_tag import JOINED
from plugin_core.tags.riff import read_info

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from plugin_core.tags.fields import Picture


T = TypeVar("T")


class Format(Protocol):
    """What a module of a family offers; ``audio`` is a ``mutagen.FileType`` whose ``tags`` are not None."""

    def get(self, audio: Any, key: str) -> list[str]:
        """Return the values under a key of the field table, as they stand in the file."""

    def get_pictures(self, audio: Any) -> Iterator[Picture]:
        """Give every embedded picture that can be taken apart."""

    def write(
        self, opened: TaggedFile, changes: Mapping[str, tuple[str, ...]], pictures: Sequence[Picture] = ()
    ) -> None:
        """Set keys of the field table in a file opened as an overlay, and leave all else as it is, to the byte.

        Args:
            opened: the file.
            changes: values by key; a key without values goes.
            pictures: take the place of all others, unless there are none; what the container cannot hold is left out.

        Raises:
            DamagedTagError: the tags do not hold together.
        """


@cache
def format_of(family: Family) -> Format:
    """Return the module of a family, which is imported when a file needs it."""
    return cast("Format", import_module(f"plugin_core.tags.{family}"))


def read_tags(path: Path) -> TagSet:
    """Read every field of the table and every picture; empty where the container has no tags or none we know.

    A number that stands as ``3/12`` comes apart into number and total. A WAV's LIST INFO fills the fields
    that its ID3 chunk leaves empty.

    Raises:
        SourceError: the file cannot be opened, or its tags are broken.
    """
    return _read(path, read_opened, TagSet())


def read_fields(path: Path, names: Iterable[str] = FIELDS) -> dict[str, tuple[str, ...]]:
    """Return fields of a file; what ID3 before v2.4 joins with slashes comes apart.

    Raises:
        SourceError: its tags are broken.
    """
    return _read(path, lambda opened: read_joined(opened, names), {})


def read_labels(path: Path, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return fields of a file as they stand, nothing taken apart.

    Raises:
        SourceError: its tags are broken.
    """
    return _read(path, lambda opened: read_as_they_stand(opened, names), {})


def split_joined(values: tuple[str, ...]) -> tuple[str, ...]:
    """Take apart what stands joined with slashes."""
    return tuple(dict.fromkeys(part.strip() for value in values for part in value.split(JOINED) if part.strip()))


def read_joined(opened: TaggedFile, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Read fields of the table from an open file; what ID3 before v2.4 joins with slashes comes apart."""
    fields = read_open(opened, names)
    if has_id3(opened) and opened.audio.tags.version[1] < 4:
        return {name: split_joined(values) for name, values in fields.items()}
    return fields


def read_open(opened: TaggedFile, names: Iterable[str] = FIELDS) -> dict[str, tuple[str, ...]]:
    """Read fields of the table from an open file.

    Args:
        opened: the file.
        names: the fields wanted; default all.
    """
    fields = _read_fields(opened.family, getter(opened), names)
    if opened.family is Family.ID3:
        info = read_info(opened.file)
        fields = _read_fields(Family.RIFF, lambda key: info.get(key, []), names) | fields
    return fields


def read_as_they_stand(opened: TaggedFile, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Read fields with the values of all their keys, nothing taken apart; or what tags beside the file's own say."""
    found: dict[str, tuple[str, ...]] = {}
    wanted = tuple(names)
    tags = [(opened.family, getter(opened)), *((family, get) for family, get in beside(opened).items())]
    for family, get in tags:
        for name in wanted:
            field = field_of(name)
            keys = [key for key in field.read(family) if get(key)]
            keys = [key for key in keys if key in field.written(family)] or keys[:1]
            values = clean_values(name, (value for key in keys for value in get(key)))
            if values:
                found.setdefault(name, values)
    return found


def beside(opened: TaggedFile) -> dict[Family, Callable[[str], list[str]]]:
    """Return what reads the tags that stand beside ID3 in a file: APEv2, or LIST INFO in a WAV."""
    if opened.family is not Family.ID3:
        return {}
    ape_tag = ape_tags(opened.file) if isinstance(opened.audio, ID3FileType) else None
    if ape_tag is not None:
        return {Family.APE: getter(TaggedFile(opened.file, SimpleNamespace(tags=ape_tag), Family.APE))}
    info = read_info(opened.file)
    return {Family.RIFF: lambda key: info.get(key, [])}


def getter(opened: TaggedFile) -> Callable[[str], list[str]]:
    """Return what reads the keys of a file's own tag."""
    return partial(format_of(opened.family).get, opened.audio)


def read_opened(opened: TaggedFile) -> TagSet:
    """Read every field and picture of an open file."""
    fields = _split_totals(read_open(opened))
    return TagSet(fields, select_pictures(format_of(opened.family).get_pictures(opened.audio)))


def _read(path: Path, read: Callable[[TaggedFile], T], nothing: T) -> T:
    with open_tagged(path) as opened:
        try:
            return nothing if opened is None else read(opened)
        # Hostile values make a parser raise anything.
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise SourceError(f"the tags of {show_path(path)} cannot be read: {reason}") from error


@lru_cache(maxsize=1 << 10)
def _keys(name: str, family: Family) -> tuple[str, ...]:
    return field_of(name).read(family)


def _read_fields(family: Family, get: Callable[[str], list[str]], names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        for key in _keys(name, family):
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
