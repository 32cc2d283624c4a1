"""Finding songs by a field that few of them have, in a library of any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from beets.dbcore.query import Query


class Having(Query):
    """Matches songs that have something in a flexible field of their own.

    Beets matches such fields song by song, each of which it reads whole for it; the database itself is far quicker.

    Args:
        field: the field's name.
    """

    def __init__(self, field: str) -> None:
        self._field = field

    def clause(self) -> tuple[str, Sequence[Any]]:
        """Return the condition in SQL, and its values."""
        return "items.id IN (SELECT entity_id FROM item_attributes WHERE key = ? AND value <> '')", (self._field,)

    def match(self, obj: Any) -> bool:
        """Tell whether a song that is read already matches."""
        return bool(obj.get(self._field, with_album=False))
