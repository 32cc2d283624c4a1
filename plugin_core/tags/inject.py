"""Putting a few fields into a user's file and changing nothing else: no other frame, atom, comment, item or chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mutagen.wave import WAVE

from plugin_core.errors import SourceError, StembridgeError
from plugin_core.model import show_path
from plugin_core.tags.fields import FIELDS, Family
from plugin_core.tags.files import TaggedFile, has_id3, open_overlay, open_tagged, overlay_of, reopen
from plugin_core.tags.inherit import inherit
from plugin_core.tags.raw import PUT
from plugin_core.tags.raw.id3_tag import JOINED
from plugin_core.tags.read import read_open
from plugin_core.tags.rules import DIMENSIONS, PROVENANCE
from plugin_core.tags.write import MAX_WAV

if TYPE_CHECKING:
    from pathlib import Path

    from plugin_core.tags.pieces import Piece

LABELS: Final = (*DIMENSIONS, PROVENANCE)
"""The fields that are read before and after."""

Fields = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Rewriting:
    """What a file would be with other labels."""

    existing: Fields
    """The labels it has."""
    pieces: list[Piece]
    """The file it would be, of the one it is; empty when nothing is to be written."""


def rewrite(path: Path, choose: Callable[[Fields], Fields]) -> Rewriting:
    """Find out what a file would be with the fields that ``choose`` returns for those that are there; write nothing.

    A field without values is removed. ID3 keeps its version, ID3v1, APEv2 and LIST INFO beside it stay as they are,
    padding is used up before the file grows. The result is read back: what does not hold the fields is refused.

    Raises:
        SourceError: the container has no place for tags, or its tags are damaged, or it does not keep them.
    """
    with open_overlay(path) as found:
        opened = _require_place(found, path)
        try:
            inherit(opened)
            existing = _read(opened, LABELS)
            fields = choose(existing)
            if not fields:
                return Rewriting(existing, [])
            PUT[opened.family](opened, _changes(opened.family, fields))
            _require_fields(opened, path, fields)
            return Rewriting(existing, overlay_of(opened).pieces)
        except StembridgeError:
            raise
        # A hostile file makes a parser raise anything.
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise SourceError(f"the tags of {show_path(path)} cannot be written: {reason}") from error


def read_fields(path: Path, names: Iterable[str] = FIELDS) -> dict[str, tuple[str, ...]]:
    """Return fields of a file; what ID3 before v2.4 joins with slashes comes apart.

    Raises:
        SourceError: its tags are broken.
    """
    with open_tagged(path) as opened:
        if opened is None:
            return {}
        try:
            return _read(opened, names)
        # Hostile values make a parser raise anything.
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise SourceError(f"the tags of {show_path(path)} cannot be read: {reason}") from error


def split_joined(values: tuple[str, ...]) -> tuple[str, ...]:
    """Take apart what stands joined with slashes."""
    return tuple(dict.fromkeys(part.strip() for value in values for part in value.split(JOINED) if part.strip()))


def _changes(family: Family, fields: Fields) -> dict[str, tuple[str, ...]]:
    """Return what each key is to hold; those of other writers nothing."""
    return {
        key: values if key in FIELDS[name].written(family) else ()
        for name, values in fields.items()
        for key in FIELDS[name].read(family)
    }


def _require_fields(opened: TaggedFile, path: Path, fields: Fields) -> None:
    """Read back what was written; a file that does not hold it must not take the place of one that was whole."""
    found = reopen(opened, path)
    held = {} if found is None else _read(found, fields)
    for name, values in fields.items():
        if split_joined(held.get(name, ())) != split_joined(values):
            raise SourceError(f"{show_path(path)} does not keep the field {name}; it was left as it was")


def _read(opened: TaggedFile, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    fields = read_open(opened, names)
    if has_id3(opened) and opened.audio.tags.version[1] < 4:
        return {name: split_joined(values) for name, values in fields.items()}
    return fields


def _require_place(opened: TaggedFile | None, path: Path) -> TaggedFile:
    """Return the open file if it can hold tags.

    Raises:
        SourceError: it cannot.
    """
    remedy = "convert it, for example to FLAC"
    if opened is None:
        raise SourceError(f"{show_path(path)} is of a kind that holds no tags stembridge can write", remedy=remedy)
    if isinstance(opened.audio, WAVE) and path.stat().st_size > MAX_WAV:
        raise SourceError(f"{show_path(path)} is too close to 4 GiB for a tag", remedy=remedy)
    return opened
