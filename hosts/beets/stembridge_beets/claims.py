"""Which folders of stems belong to songs of a library."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from beets.library import Item

from stembridge_beets.places import beside, read_place, to_path

if TYPE_CHECKING:
    from beets.library import Library

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
            self._note(item_id, str(noted), path)

    def _note(self, item_id: int, noted: str, path: bytes) -> None:
        try:
            folder = to_path(noted)
        except ValueError:
            # What cannot be read claims nothing.
            return
        song = Path(os.fsdecode(Item._type("path").from_sql(path)))
        for one in (folder, beside(song, folder)):
            self._claimants[one].add(item_id)
