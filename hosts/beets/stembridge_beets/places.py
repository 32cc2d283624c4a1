"""Where the stems of a song stand, as the library remembers it, and which folders of stems belong to its songs."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from beets.library import Item

from plugin_core.model import decode_path, encode_path
from stembridge_beets.fields import STEMS_PATH
from stembridge_beets.tasks import path_of

if TYPE_CHECKING:
    from beets.library import Item, Library


class StemsPlace(msgspec.Struct, frozen=True):
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


def read_place(item: Item) -> StemsPlace | None:
    """Return where an item's stems stand; None for an item without stems.

    A library that was moved as a whole is found again: its stems stand beside their songs as before.
    """
    text = item.get(STEMS_PATH, with_album=False)
    if not text:
        return None
    folder = _to_folder(text)
    if not folder.is_dir() and (moved := beside(path_of(item), folder)).is_dir():
        folder = moved
    names = map(_to_name, item.get("stems_files", with_album=False) or ())
    # A name that leads out of the folder was written by hand, and is nobody's stem.
    return StemsPlace(
        folder, tuple(folder / name for name in names if not name.is_absolute() and ".." not in name.parts)
    )


def beside(song: Path, folder: Path) -> Path:
    """Return where a song's stems stand in a library that was moved as a whole."""
    return song.parent / folder.name


def write_place(item: Item, place: StemsPlace) -> None:
    """Remember where an item's stems stand; whoever calls stores the item."""
    item[STEMS_PATH] = os.fsencode(place.folder)
    # A list is text, so a name that is not UTF-8 becomes ``bytes:<hex>``.
    item["stems_files"] = [str(encode_path(file.relative_to(place.folder))) for file in place.files]


def common_folder(files: Sequence[Path]) -> Path:
    """Return the folder all the files lie in, near or far."""
    return Path(os.path.commonpath([file.parent for file in files]))


def _to_folder(noted: bytes | str) -> Path:
    return Path(os.fsdecode(noted))


def _to_name(text: str) -> Path:
    try:
        name = decode_path(Path, text)
    except ValueError:
        # Somebody has written it by hand: no stem of that name will stand.
        name = Path(text)
    assert isinstance(name, Path)
    return name


_NEWEST: Final = "SELECT max(id) FROM item_attributes"
# Joined in this order, whatever SQLite thinks of the tables: the new rows are few.
_NOTED: Final = """
    SELECT noted.entity_id, noted.value, items.path
    FROM item_attributes AS noted CROSS JOIN items ON items.id = noted.entity_id
    WHERE noted.id > ? AND noted.key = 'stems_path'
"""


class Claims:
    """Knows whose the stems in a folder are.

    An import asks for every song it brings, so what the library says is read once, and then only what is new in it,
    whoever wrote that: a row of its attributes that is written anew gets a higher number.

    Args:
        lib: the library.
    """

    def __init__(self, lib: Library) -> None:
        self.lib = lib
        self._newest = 0
        self._claimants: defaultdict[Path, set[int]] = defaultdict(set)

    def is_claimed(self, folder: Path, *, but: int | None) -> bool:
        """Tell whether another song than ``but`` has its stems in a folder."""
        self._read_new()
        return any(self._has(one, folder) for one in self._claimants.get(folder, ()) if one != but)

    def _has(self, item_id: int, folder: Path) -> bool:
        """Ask a song itself: what was read of it may have changed."""
        item = self.lib.get_item(item_id)
        place = None if item is None else read_place(item)
        return place is not None and place.folder == folder

    def _read_new(self) -> None:
        with self.lib.transaction() as transaction:
            ((newest,),) = transaction.query(_NEWEST)
            newest = newest or 0
            if newest < self._newest:
                # The last rows are gone, and their numbers will be given again.
                self._newest = 0
            rows = transaction.query(_NOTED, (self._newest,)) if newest > self._newest else ()
            self._newest = newest
        for item_id, noted, path in rows:
            self._note(item_id, noted, path)

    def _note(self, item_id: int, noted: bytes | str, path: bytes) -> None:
        folder, song = (_to_folder(Item._type("path").from_sql(one)) for one in (noted, path))
        for one in (folder, beside(song, folder)):
            self._claimants[one].add(item_id)
