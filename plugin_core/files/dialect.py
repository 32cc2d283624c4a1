"""Statements that are written for SQLite, as PostgreSQL and psycopg take them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

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
