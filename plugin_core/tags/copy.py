"""Copying a source's tags and cover onto its stems."""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING

from plugin_core.errors import SourceError
from plugin_core.tags.read import read_tags
from plugin_core.tags.rules import PROVENANCE
from plugin_core.tags.tagset import TagSet
from plugin_core.tags.write import write_tags

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log = logging.getLogger(__name__)


def tag_stem(
    source: Path, stem_file: Path, *, stem_title: str, provenance: Mapping[str, str], tags: TagSet | None = None
) -> None:
    """Give a stem its source's fields and pictures, the title ``<title> - <stem_title>`` and its provenance.

    The source's tags are read unless they are given. The title falls back on the source's file name; the
    provenance is compact JSON in the field STEMBRIDGE. The stem is changed in place, so it should lie in staging;
    its samples stay as they are. Broken tags are logged and cost the stem its tags, never its existence. W64 and
    RF64 hold no tags.

    Raises:
        TransientError: the disk is full or gone; the stem may be damaged.
        PlacementError: the stem cannot be written for another reason; it may be damaged.
    """
    known = read_leniently(source) if tags is None else tags
    try:
        write_tags(stem_file, stem_tags(known, source, stem_title=stem_title, provenance=provenance))
    except SourceError as error:
        log.warning("a stem goes without tags: %s", error)


def stem_tags(tags: TagSet, source: Path, *, stem_title: str, provenance: Mapping[str, str]) -> TagSet:
    """Turn a source's tags into those of one stem."""
    own = {"title": (_file_title(source),)} | tags.fields
    # It speaks of the song's own file.
    fields = {name: values for name, values in own.items() if name != PROVENANCE}
    for name in ("title", "titlesort"):
        if name in own:
            fields[name] = (f"{own[name][0]} - {stem_title}",)
    # Surrogates of a file name are not JSON that other programs can read; clean_text replaces them when written.
    fields["provenance"] = (json.dumps(dict(provenance), ensure_ascii=False, separators=(",", ":")),)
    return TagSet(fields, tags.pictures)


def read_leniently(source: Path) -> TagSet:
    """Read the tags of a source for its stems; broken ones are logged and count as none.

    Raises:
        TransientError: its disk is gone.
    """
    try:
        return read_tags(source)
    except SourceError as error:
        log.warning("the stems go without the source's tags: %s", error)
        return TagSet()


def _file_title(source: Path) -> str:
    return os.fsencode(source.stem).decode("utf-8", "replace")
