"""Writing canonical fields and pictures into a file, in place."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from mutagen import MutagenError
from mutagen.flac import FLAC
from mutagen.wave import WAVE

from plugin_core.errors import SourceError
from plugin_core.model import show_path
from plugin_core.tags.families import ACCESS
from plugin_core.tags.fields import COUNTED, FIELDS, Family
from plugin_core.tags.files import TaggedFile, open_tagged, os_error, write_error
from plugin_core.tags.pictures import select_pictures
from plugin_core.tags.tagset import clean_values

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from plugin_core.tags.tagset import TagSet

log = logging.getLogger(__name__)

FLAC_PADDING: Final = 8192
"""Bytes, as the reference encoder leaves: the next change of a tag then moves no audio."""
MAX_WAV: Final = 0xFFFF_FFFF - 128_000_000
"""Bytes of a WAV that still has room for a tag: RIFF counts its size in 32 bits."""


def write_tags(path: Path, tags: TagSet) -> None:
    """Write the given fields and pictures; everything else in the file stays, audio included.

    A field with no value is removed. Pictures replace those in the file when any are given. Fields the
    container has no key for are left out. A file mutagen cannot tag (W64, RF64, a WAV close to 4 GiB) is
    left as it is. The file is changed in place: after an error of the system it may be damaged.

    Raises:
        SourceError: the file is broken, or its container refuses the tags.
        TransientError: the disk is full or gone.
        PlacementError: the file cannot be written for another reason.
    """
    with open_tagged(path, writable=True) as opened:
        if opened is None or _is_full(opened, path):
            log.debug("%s cannot hold tags", show_path(path))
            return
        put_tags(opened, tags)
        _save(opened, path)


def put_tags(opened: TaggedFile, tags: TagSet) -> None:
    """Put fields and pictures into mutagen's view of a file; nothing is saved."""
    _put_fields(opened, tags.fields)
    pictures = select_pictures(tags.pictures)
    if pictures:
        ACCESS[opened.family].put_pictures(opened.audio, pictures)


def _is_full(opened: TaggedFile, path: Path) -> bool:
    return isinstance(opened.audio, WAVE) and path.stat().st_size > MAX_WAV


def _put_fields(opened: TaggedFile, fields: Mapping[str, tuple[str, ...]]) -> None:
    access = ACCESS[opened.family]
    for name, values in _join_totals(fields, opened.family).items():
        field, clean = FIELDS[name], clean_values(name, values)
        if not field.written(opened.family):
            continue
        for key in field.aliases.get(opened.family, ()):
            access.put(opened.audio, key, ())
        for key in field.written(opened.family):
            access.put(opened.audio, key, clean)


def _join_totals(fields: Mapping[str, tuple[str, ...]], family: Family) -> dict[str, tuple[str, ...]]:
    """Put number and total into one value where the family has one key for both."""
    joined = dict(fields)
    for name, total_name in COUNTED.items():
        if total_name in joined and not FIELDS[total_name].written(family):
            total = "".join(joined.pop(total_name)[:1])
            number = "".join(joined.get(name, ())[:1])
            joined[name] = (f"{number or 0}/{total}",) if total else (number,)
    return joined


def _save(opened: TaggedFile, path: Path) -> None:
    options: dict[str, Any] = {"padding": lambda _: FLAC_PADDING} if isinstance(opened.audio, FLAC) else {}
    try:
        opened.file.seek(0)
        opened.audio.save(opened.file, **options)
        opened.file.flush()
    except (MutagenError, OSError, ValueError) as error:
        cause = os_error(error)
        if cause is not None:
            raise write_error(path, cause) from error
        raise SourceError(f"the tags of {show_path(path)} cannot be written: {error}") from error
