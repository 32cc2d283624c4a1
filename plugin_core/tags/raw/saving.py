"""Letting mutagen save into an overlay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plugin_core.tags.files import TaggedFile


class DamagedTagError(ValueError):
    """A tag cannot be taken apart, so that nothing of it may be rewritten."""


def save(opened: TaggedFile) -> None:
    """Save what mutagen holds; padding is used up before the file grows."""
    opened.file.seek(0)
    opened.audio.save(opened.file, padding=_use_padding)


def _use_padding(info: Any) -> int:
    return int(info.padding) if info.padding >= 0 else int(info.get_default_padding())
