"""Opening store files of every age."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from plugin_core.errors import StoreError
from plugin_core.files.database import migrate
from plugin_core.jobs.schema import SCHEMA
from plugin_core.jobs.store import JobStore
from tests.plugin_core.jobs.fakes import make_job

MIGRATIONS = SCHEMA.migrations


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_new_file_gets_the_present_version(store_path: Path) -> None:
    with JobStore(store_path) as store:
        assert store.list() == []
    assert version(store_path) == len(MIGRATIONS)


def test_older_file_is_brought_forward_with_its_jobs(store_path: Path) -> None:
    with JobStore(store_path) as store:
        job, _ = store.add(make_job())
    newer = (*MIGRATIONS, "ALTER TABLE jobs ADD COLUMN mood TEXT; CREATE INDEX moods ON jobs (mood)")
    with closing(sqlite3.connect(store_path, isolation_level=None)) as connection:
        migrate(connection, store_path, newer)
        assert connection.execute("SELECT id, mood FROM jobs").fetchall() == [(job.id, None)]
    assert version(store_path) == len(MIGRATIONS) + 1


def test_broken_migration_changes_nothing(store_path: Path) -> None:
    with JobStore(store_path):
        pass
    with closing(sqlite3.connect(store_path, isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, store_path, (*MIGRATIONS, "CREATE TABLE half (id); NONSENSE"))
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
    assert version(store_path) == len(MIGRATIONS)


def test_newer_file_is_refused(store_path: Path) -> None:
    with JobStore(store_path):
        pass
    with closing(sqlite3.connect(store_path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer stembridge") as caught:
        JobStore(store_path)
    assert "upgrade" in caught.value.remedy
    assert version(store_path) == 99


def test_foreign_database_is_refused(store_path: Path) -> None:
    store_path.parent.mkdir()
    with closing(sqlite3.connect(store_path)) as connection:
        connection.execute("CREATE TABLE songs (id)")
    with pytest.raises(StoreError, match="something else"):
        JobStore(store_path)


@pytest.mark.parametrize("kind", ["text", "folder"])
def test_what_is_no_database_is_refused_in_words(store_path: Path, kind: str) -> None:
    store_path.parent.mkdir()
    if kind == "text":
        store_path.write_text("not a database, but long enough to look like one " * 50)
    else:
        store_path.mkdir()
    with pytest.raises(StoreError) as caught:
        JobStore(store_path)
    assert str(store_path) in caught.value.message and caught.value.remedy
