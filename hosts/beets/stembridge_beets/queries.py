"""Finding songs by a flexible field, at the speed of the database; imported whenever beets starts."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from beets.dbcore.query import FieldQuery, InvalidQueryArgumentValueError, PathQuery, Query

STEMS_PATH = "stems_path"
"""The field that every song with stems has."""

_WORDS = {
    word: is_so for is_so, words in {True: "yes true 1 y t", False: "no false 0 n f"}.items() for word in words.split()
}


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
        having = "SELECT entity_id FROM item_attributes WHERE key = ? AND length(value) > 0"
        return f"items.id IN ({having})", (self._field,)

    def match(self, obj: Any) -> bool:
        """Tell whether a song that is read already matches."""
        return bool(obj.get(self._field, with_album=False))


class FieldPathQuery(PathQuery):
    """Matches a path, or what lies below it, in whatever field; that of beets looks at the song's own path."""

    def match(self, obj: Any) -> bool:
        """Tell whether a song that is read already matches."""
        path = obj.get(self.field_name, with_album=False)
        return bool(path) and super().match(cast("Any", SimpleNamespace(path=path)))


class HasStems(FieldQuery[str]):
    """``has_stems:yes``, ``has_stems:no``.

    Raises:
        InvalidQueryArgumentValueError: neither a yes nor a no, as beets tells it.
    """

    def __init__(self, field_name: str, pattern: str, fast: bool = True) -> None:
        super().__init__(field_name, pattern, fast)
        if pattern.lower() not in _WORDS:
            raise InvalidQueryArgumentValueError(pattern, "yes or no")
        self._is_wanted = _WORDS[pattern.lower()]
        self._having = Having(STEMS_PATH)

    def clause(self) -> tuple[str, Sequence[Any]]:
        """Return the condition in SQL, and its values."""
        condition, values = self._having.clause()
        return (condition if self._is_wanted else f"NOT ({condition})"), values

    def match(self, obj: Any) -> bool:
        """Tell whether a song that is read already matches."""
        return self._having.match(obj) is self._is_wanted
