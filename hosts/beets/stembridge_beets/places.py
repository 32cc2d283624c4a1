"""Where the stems of a song stand, as the library remembers it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from plugin_core.model import decode_path, encode_path
from stembridge_beets.tasks import path_of

if TYPE_CHECKING:
    from beets.library import Item


class Place(msgspec.Struct, frozen=True):
    """A folder, and the stems in it that belong to the song."""

    folder: Path
    files: tuple[Path, ...]
    """Absolute."""

    @property
    def missing(self) -> list[Path]:
        """The stems that are gone; the folder itself where it is gone with all of them."""
        if not self.folder.is_dir():
            return [self.folder]
        return [file for file in self.files if not os.path.lexists(file)]

    @property
    def is_whole(self) -> bool:
        """Tell whether every stem stands."""
        return not self.missing


def read_place(item: Item) -> Place | None:
    """Return where an item's stems stand; None for an item without stems.

    A library that was moved as a whole is found again: its stems stand beside their songs as before.
    """
    text = item.get("stems_path", with_album=False)
    if not text:
        return None
    folder = to_path(str(text))
    if not folder.is_dir() and (moved := beside(path_of(item), folder)).is_dir():
        folder = moved
    names = item.get("stems_files", with_album=False) or ()
    return Place(folder, tuple(folder / to_path(name) for name in names))


def beside(song: Path, folder: Path) -> Path:
    """Return where a song's stems stand in a library that was moved as a whole."""
    return song.parent / folder.name


def write_place(item: Item, place: Place) -> None:
    """Remember where an item's stems stand; whoever calls stores the item."""
    item["stems_path"] = to_text(place.folder)
    item["stems_files"] = [to_text(file.relative_to(place.folder)) for file in place.files]


def common_folder(files: Sequence[Path]) -> Path:
    """Return the folder all the files lie in, near or far."""
    return Path(os.path.commonpath([file.parent for file in files]))


def to_text(path: Path) -> str:
    """Write a path as text that SQLite can hold; a name that is not UTF-8 becomes ``bytes:<hex>``."""
    return str(encode_path(path))


def to_path(text: str) -> Path:
    """Read what ``to_text`` wrote."""
    path = decode_path(Path, text)
    assert isinstance(path, Path)
    return path
