"""Writing fields and pictures into a song or a stem, and changing nothing else of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from mutagen.apev2 import TEXT
from mutagen.id3 import TCON, ID3FileType
from mutagen.trueaudio import TrueAudio
from mutagen.wave import WAVE

from plugin_core.errors import SourceError, StembridgeError
from plugin_core.model import show_path
from plugin_core.tags.fields import COUNTED, FIELDS, Family, TagSet, clean_values, field_of, select_pictures
from plugin_core.tags.files import TaggedFile, ape_tags, has_id3, open_overlay, overlay_of, write_error
from plugin_core.tags.labels import PROVENANCE
from plugin_core.tags.pieces import lay, lay_over
from plugin_core.tags.reader import beside, format_of, getter, read_as_they_stand, read_opened
from plugin_core.tags.riff import is_read_first, write_info
from plugin_core.wishes import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from plugin_core.tags.overlay import Overlay
    from plugin_core.tags.pieces import Piece

log = logging.getLogger(__name__)

LABELS: Final = (*DIMENSIONS, PROVENANCE)
"""The fields that are read before and after."""
MAX_WAV: Final = 0xFFFF_FFFF - 128_000_000
"""Bytes of a WAV that still has room for a tag: RIFF counts its size in 32 bits."""
_APE_KEYS: Final = frozenset(key.casefold() for row in FIELDS.values() for key in row.read(Family.APE))

BETWEEN: Final = "; "
"""What stands between values where a tag holds but one text."""
_ID3V1: Final = 128
_NO_GENRE: Final = 255

Fields = Mapping[str, tuple[str, ...]]
Keys = Mapping[str, Mapping[str, tuple[str, ...]]]
"""By field and key: the family of the tag, a space, and the key of the field table."""
_OLD_GENRE: Final = "id3v1 genre"


@dataclass(frozen=True)
class Style:
    """How ID3 is written."""

    separator: str = ""
    """Between values before v2.4; empty for what the tag or the field shows already, or a slash."""
    left_out: frozenset[str] = frozenset()
    """Keys of the field table that are not written."""


USUAL: Final = Style()


@dataclass(frozen=True)
class Back:
    """An earlier change that is taken back."""

    keys: Keys = field(default_factory=dict)
    """What single keys held before it."""
    ours: Fields = field(default_factory=dict)
    """What it wrote."""

    def texts(self, family: Family) -> dict[str, tuple[str, ...]]:
        """Return what keys of a family of tags held."""
        held = {key: values for keys in self.keys.values() for key, values in keys.items()}
        start = f"{family} "
        return {key.removeprefix(start): values for key, values in held.items() if key.startswith(start)}


NOWHERE: Final = Back()


@dataclass(frozen=True)
class Rewriting:
    """What a file would be with other labels."""

    existing: Fields
    """The labels it has."""
    pieces: list[Piece]
    """The file it would be, of the one it is; empty when nothing is to be written."""
    keys: Keys = field(default_factory=dict)
    """What each key of each tag holds of the fields that change, by field."""


def rewrite(
    path: Path,
    choose: Callable[[Fields], Fields],
    names: Iterable[str] = LABELS,
    style: Style = USUAL,
    back: Back = NOWHERE,
) -> Rewriting:
    """Find out what a file would be with the fields that ``choose`` returns for those that are there; write nothing.

    A field without values is removed; an entry that says nothing but what is wanted stays as it is. ID3 keeps its
    version, padding is used up before the file grows. ID3v1, APEv2 and LIST INFO beside ID3 change where they hold
    what is replaced, or where some players look into nothing else.

    Args:
        path: the file.
        choose: returns all values of each field that changes.
        names: the fields that are read.
        style: how ID3 is written.
        back: where an earlier change of these fields is taken back.

    Raises:
        SourceError: the container has no place for tags, or its tags are damaged.
    """
    remedy = "convert it, for example to FLAC"
    with open_overlay(path) as opened, _telling(path):
        if opened is None:
            raise SourceError(f"{show_path(path)} is of a kind that holds no tags stembridge can write", remedy=remedy)
        if _is_full(opened, path):
            raise SourceError(f"{show_path(path)} is too close to 4 GiB for a tag", remedy=remedy)
        inherited = _Inherited.of(opened)
        existing = read_as_they_stand(opened, names)
        fields = choose(existing)
        if not fields:
            return Rewriting(existing, [])
        others = beside(opened)
        held = _held(opened, others, fields)
        added = {name for name, values in fields.items() if set(existing.get(name, ())) <= set(values)}
        _write(
            replace(opened, separator=style.separator),
            TagSet(dict(fields)),
            inherited,
            style,
            added,
            back,
        )
        for family, get in others.items():
            _write_beside(opened, family, get, fields, existing, back)
        if "genre" in fields and not set(existing.get("genre", ())) <= set(fields["genre"]):
            known = (TCON.GENRES.index(genre) for genre in fields["genre"] if genre in TCON.GENRES)
            _write_id3v1(overlay_of(opened), next(known, _NO_GENRE))
        if before := back.keys.get("genre", {}).get(_OLD_GENRE):
            _write_id3v1(overlay_of(opened), int(before[0]))
        return Rewriting(existing, overlay_of(opened).pieces, held)


def write_tags(path: Path, tags: TagSet, target: Path | None = None) -> None:
    """Write the given fields and pictures into a file of ours, or into a copy of it that is made.

    A field with no value is removed. Pictures replace those in the file when any are given. Fields the
    container has no key for are left out. A file mutagen cannot tag (W64, RF64, a WAV close to 4 GiB) is
    left as it is. The file is changed in place where nothing moves: after an error of the system it may be damaged.

    Args:
        path: the file.
        tags: what it is to say.
        target: the copy, which is not there yet; without it the file itself is changed.

    Raises:
        SourceError: the file is broken, or its container refuses the tags.
        TransientError: the disk is full or gone.
        PlacementError: the file cannot be written for another reason.
        OSError: either, of a copy.
    """
    try:
        with path.open("rb" if target else "rb+"), open_overlay(path, is_read=False) as opened, _telling(path):
            if opened is None or _is_full(opened, path):
                log.debug("%s cannot hold tags", show_path(path))
                pieces: list[Piece] = [(0, path.stat().st_size)]
            else:
                _write(opened, tags, _Inherited.of(opened))
                pieces = overlay_of(opened).pieces
        if target is None:
            lay_over(pieces, path)
        else:
            lay(pieces, path, target)
    except OSError as error:
        if target is not None:
            # Of a copy: who asked for it knows the name that people know it by.
            raise
        raise write_error(path, error) from error


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Name the file in what a parser raises; a hostile file makes it raise anything."""
    try:
        yield
    except StembridgeError:
        raise
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise SourceError(f"the tags of {show_path(path)} cannot be written: {reason}") from error


def _held(opened: TaggedFile, others: Mapping[Family, Callable[[str], list[str]]], fields: Fields) -> Keys:
    """Return what each key holds that writing these fields may change."""
    readers = {opened.family: getter(opened), **others}
    held = {
        name: {
            f"{family} {key}": tuple(get(key)) for family, get in readers.items() for key in field_of(name).read(family)
        }
        for name in fields
    }
    if "genre" in held and (number := _read_id3v1(overlay_of(opened))) is not None:
        held["genre"][_OLD_GENRE] = (number,)
    return held


def _write(
    opened: TaggedFile,
    tags: TagSet,
    inherited: _Inherited,
    style: Style = USUAL,
    added: Collection[str] = (),
    back: Back = NOWHERE,
) -> None:
    """Put fields and pictures into a file's own tag; keys of other writers stay where a field only gains values."""
    changes = {**inherited.others, **_keys_of({**inherited.fields, **tags.fields}, opened.family, added)}
    for key in style.left_out & changes.keys():
        changes[key] = ()
    changes |= back.texts(opened.family)
    pictures = select_pictures(tags.pictures or inherited.pictures)
    format_of(opened.family).write(opened, changes, pictures)


def _write_beside(
    opened: TaggedFile,
    family: Family,
    get: Callable[[str], list[str]],
    fields: Fields,
    existing: Fields,
    back: Back,
) -> None:
    """Let a tag beside ID3 say the same, where it is all that some players read or held what is replaced."""
    is_read_alone = isinstance(opened.audio, TrueAudio) if family is Family.APE else is_read_first(opened.file)
    changes: dict[str, tuple[str, ...]] = {}
    earlier = back.texts(family)
    for name, values in fields.items():
        for key in field_of(name).written(family):
            texts = get(key)
            # LIST INFO has room for one text.
            parts = texts if family is Family.APE else [part for text in texts for part in text.split(BETWEEN)]
            old = clean_values(name, parts)
            before = earlier.get(key)
            if before is not None:
                own = tuple(value for value in old if value in before or value not in back.ours.get(name, ()))
                changes[key] = before if set(own) <= set(before) else own
                continue
            is_replaced = bool(old) and not set(existing.get(name, ())) <= set(values)
            if is_read_alone or is_replaced:
                changes[key] = _change_beside(old, values, existing.get(name, ()))
    if not changes:
        return
    if family is Family.APE:
        format_of(family).write(opened, changes)
    else:
        write_info(overlay_of(opened), {key: BETWEEN.join(values) for key, values in changes.items()})


def _change_beside(old: tuple[str, ...], values: tuple[str, ...], existing: tuple[str, ...]) -> tuple[str, ...]:
    """Return what a tag beside is to say: the same change of its own values where it is one, or else all values."""
    if set(existing) <= set(values):
        return tuple(dict.fromkeys((*old, *(value for value in values if value not in existing or not old))))
    rest = tuple(value for value in old if value in values or value not in existing)
    return rest if set(values) <= set(existing) and rest != old else values


def _read_id3v1(overlay: Overlay) -> str | None:
    """Return the number by which an ID3v1 tag says the genre; None where there is no such tag."""
    overlay.seek(max(overlay.seek(0, 2) - _ID3V1, 0))
    tag = overlay.read(_ID3V1)
    return str(tag[-1]) if tag[:3] == b"TAG" else None


def _write_id3v1(overlay: Overlay, number: int) -> None:
    """Set the one byte by which an ID3v1 tag, if there is one, says the genre."""
    if _read_id3v1(overlay) is not None:
        overlay.seek(-1, 2)
        overlay.write(bytes((number,)))


def _is_full(opened: TaggedFile, path: Path) -> bool:
    return isinstance(opened.audio, WAVE) and path.stat().st_size > MAX_WAV


def _keys_of(fields: Fields, family: Family, added: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return what each key is to hold; those of other writers nothing, or what they hold where a field is added to."""
    changes: dict[str, tuple[str, ...]] = {}
    for name, values in _join_totals(fields, family).items():
        keys = field_of(name).written(family)
        clean = clean_values(name, values)
        changes |= dict.fromkeys(keys, clean)
        if keys and name not in added:
            changes |= {key: () for key in field_of(name).read(family) if key not in keys}
    return changes


def _join_totals(fields: Fields, family: Family) -> dict[str, tuple[str, ...]]:
    """Put number and total into one value where the family has one key for both."""
    joined = dict(fields)
    for name, total_name in COUNTED.items():
        if total_name in joined and not FIELDS[total_name].written(family):
            total = "".join(joined.pop(total_name)[:1])
            number = "".join(joined.get(name, ())[:1])
            joined[name] = (f"{number or 0}/{total}",) if total else (number,)
    return joined


@dataclass(frozen=True)
class _Inherited:
    """What a file's first ID3v2 tag says from the start: readers that find one pass its tags of other kinds over.

    TagLib, and every player built on it, shows nothing but the ID3v2 tag of a file that has one. A song that has said
    who sings it in ID3v1, APEv2 or LIST INFO must not lose that because it got a mood; these tags stay where they are.
    """

    fields: Fields
    pictures: tuple[Any, ...] = ()
    others: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Texts that the field table does not know, such as replay gain, by key."""

    @classmethod
    def of(cls, opened: TaggedFile) -> _Inherited:
        """Read what a first tag inherits; nothing where there is one already."""
        if opened.family is not Family.ID3 or has_id3(opened):
            return cls({})
        tags = read_opened(opened)
        ape = ape_tags(opened.file) if isinstance(opened.audio, ID3FileType) else None
        if ape is None:
            return cls(tags.fields, tags.pictures)
        longer = read_opened(TaggedFile(opened.file, SimpleNamespace(tags=ape), Family.APE))
        others = {
            f"TXXX:{key}": clean_values(key, value)
            for key, value in ape.items()
            if value.kind == TEXT and key.casefold() not in _APE_KEYS
        }
        return cls(tags.fields | longer.fields, longer.pictures, others)
