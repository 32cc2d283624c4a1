"""Attributes of an ASF; mutagen writes the others anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin_core.tags.families import asf
from plugin_core.tags.raw.saving import save

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plugin_core.tags.files import TaggedFile


def put(opened: TaggedFile, changes: Mapping[str, tuple[str, ...]]) -> None:
    """Set attributes to these values."""
    for key, values in changes.items():
        asf.put(opened.audio, key, values)
    save(opened)
