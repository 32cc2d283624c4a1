"""Reading a file's tags in canonical names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from plugin_core.errors import SourceError
from plugin_core.model import show_path
from plugin_core.tags import ape, asf, id3, mp4, vorbis
from plugin_core.tags.fields import COUNTED, FIELDS, Family
from plugin_core.tags.files import TaggedFile, has_id3, open_tagged
from plugin_core.tags.id3_tag import JOINED
from plugin_core.tags.riff import read_info
from plugin_core.tags.tagset import TagSet, clean_values, select_pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from plugin_core.tags.tagset import Picture


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


FORMATS: Final[dict[Family, Format]] = {
    Family.ID3: id3,
    Family.VORBIS: vorbis,
    Family.MP4: mp4,
    Family.ASF: asf,
    Family.APE: ape,
}
"""The module of each family that can be written."""


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
    form, audio, family = FORMATS[opened.family], opened.audio, opened.family
    fields = _read_fields(family, lambda key: form.get(audio, key), names)
    if family is Family.ID3:
        info = read_info(opened.file)
        fields = _read_fields(Family.RIFF, lambda key: info.get(key, []), names) | fields
    return fields


def read_opened(opened: TaggedFile) -> TagSet:
    """Read every field and picture of an open file."""
    fields = _split_totals(read_open(opened))
    return TagSet(fields, select_pictures(FORMATS[opened.family].get_pictures(opened.audio)))


def _read(path: Path, read: Callable[[TaggedFile], T], nothing: T) -> T:
    with open_tagged(path) as opened:
        try:
            return nothing if opened is None else read(opened)
        # Hostile values make a parser raise anything.
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise SourceError(f"the tags of {show_path(path)} cannot be read: {reason}") from error


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
