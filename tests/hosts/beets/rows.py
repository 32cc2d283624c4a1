"""A library of thousands of songs, written row by row, and how many of them are looked at."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from beets.dbcore.db import Results
from beets.library import Item, Library
from stembridge_beets.fields import field_types


def make_library(root: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """Return an empty library below a folder, which knows our fields and nothing of the user's own configuration."""
    monkeypatch.setenv("BEETSDIR", str(root))
    monkeypatch.setattr(Item, "_types", {**Item._types, **field_types()})
    return Library(str(root / "library.db"), str(root / "music"))


def add_rows(lib: Library, songs: Mapping[Path, Mapping[str, str]]) -> list[int]:
    """Add songs with flexible fields, as another process would; their files need not exist. Return their ids."""
    ids = []
    with sqlite3.connect(os.fsdecode(lib.path)) as connection:
        for path, fields in songs.items():
            row = connection.execute("INSERT INTO items (path, title) VALUES (?, ?)", (os.fsencode(path), path.stem))
            assert row.lastrowid is not None
            ids.append(row.lastrowid)
            connection.executemany(
                "INSERT INTO item_attributes (entity_id, key, value) VALUES (?, ?, ?)",
                [(ids[-1], key, value) for key, value in fields.items()],
            )
    connection.close()
    return ids


@contextmanager
def visits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Collect the ids of the songs that are read whole from the library meanwhile."""
    seen: list[int] = []
    make = Results._make_model

    def note(self: Any, row: sqlite3.Row, *rest: Any) -> Any:
        seen.append(row["id"])
        return make(self, row, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Results, "_make_model", note)
        yield seen
