"""Statements that are written for SQLite, as PostgreSQL and psycopg take them, and rows as SQLite gives them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from plugin_core.files.database import Cursor

_PATH: Final = re.compile(r"json_extract\(((?:\w+\.)?)body, '\$\.([\w.]+)'\)")
_NAME: Final = re.compile(r"(?<!:):([a-z_]+)")


@lru_cache(maxsize=512)
def translate(statement: str) -> str:
    """Return a statement as PostgreSQL and psycopg take it."""
    text = re.sub(r" INDEXED BY \w+", "", statement).replace("%", "%%")
    text = _PATH.sub(lambda found: f"({found[1]}body::json #>> '{{{found[2].replace('.', ',')}}}')", text)
    text = text.replace("json_each(", "json_array_elements_text(").replace(
        "FROM temp.wanted", "FROM unnest(:wanted::text[]) AS wanted (id)"
    )
    return _NAME.sub(r"%(\1)s", text).replace("?", "%s")


def translate_table(statement: str) -> str:
    """Return the making of a table or an index as PostgreSQL takes it: numbers as wide, and texts in order of bytes."""
    text = statement.replace("WITHOUT ROWID", "")
    for theirs, ours in (("REAL", "DOUBLE PRECISION"), ("INTEGER", "BIGINT"), ("TEXT", 'TEXT COLLATE "C"')):
        text = re.sub(rf"\b{theirs}\b", ours, text)
    return text


class Statements:
    """A connection for statements as SQLite writes them."""

    def __init__(self, run: Callable[[str, Any, bool], Cursor]) -> None:
        self._run = run

    def execute(self, sql: str, parameters: Any = None, /) -> Cursor:
        return self._run(sql, parameters or None, False)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        return self._run(sql, list(parameters), True)


class NamedRow:
    """One row, read by name or number."""

    __slots__ = ("_names", "_values")

    def __init__(self, names: Mapping[str, int], values: Sequence[Any]) -> None:
        self._names = names
        self._values = values

    def __getitem__(self, key: int | str) -> Any:
        return self._values[self._names[key] if isinstance(key, str) else key]

    def keys(self) -> list[str]:
        """Return the names, as SQLite's rows do."""
        return list(self._names)

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)


def last_row(cursor: Any) -> Any:
    """Return the row that the last of several statements gave."""
    while cursor.nextset():
        pass
    return cursor.fetchone()


def rows(cursor: Any) -> Callable[[Sequence[Any]], NamedRow]:
    names = {column.name: number for number, column in enumerate(cursor.description or ())}
    return lambda values: NamedRow(names, values)
