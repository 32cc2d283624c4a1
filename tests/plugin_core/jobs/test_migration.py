"""Moving a job store to PostgreSQL and back: all of it, once, also when it was broken off; two are never mixed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plugin_core.errors import StoreError
from plugin_core.files.path_map import PathMap
from plugin_core.jobs import migration
from plugin_core.jobs.migration import migrate
from plugin_core.jobs.store import JobStore, Place
from plugin_core.model import Job, JobState, Quote
from plugin_core.purchases.purchase import Purchase, PurchaseState
from tests.plugin_core.jobs.fakes import make_job
from tests.plugin_core.jobs.test_store import move
from tests.postgresql import OTHERS

psycopg = pytest.importorskip("psycopg")
pytestmark = pytest.mark.shared


@pytest.fixture
def file(tmp_path: Path) -> Iterator[JobStore]:
    with JobStore(tmp_path / "jobs.sqlite3", is_moving=True) as opened:
        yield opened


@pytest.fixture
def shared(store_place: Place) -> Iterator[JobStore]:
    with JobStore(store_place, is_moving=True, paths=PathMap({"music": Path("/music")}, is_shared=True)) as opened:
        yield opened


def fill(store: JobStore, count: int = 5) -> list[Job]:
    jobs = [store.add(make_job(number))[0] for number in range(count)]
    move(store, jobs[0], JobState.DONE)
    store.request_cancel(jobs[1].id)
    store.move(jobs[2].id, make_job(9).source)
    for number, job in enumerate(jobs):
        state = PurchaseState.RUNNING if number else PurchaseState.KEPT
        store.purchases.put(
            Purchase(
                id=job.id,
                key=f"key{number}",
                state=state,
                provider="fake",
                account="fake",
                recording="r",
                quote=Quote(credits=1.5),
                song=job.source.path,
                created=1.0,
                updated=2.0,
            )
        )
    with store.everything() as connection:
        connection.execute("INSERT INTO recordings VALUES ('r', 44100, 2, 9, 1.5, NULL)")
        connection.execute("INSERT INTO recording_aliases VALUES ('raw1:0', 'r', NULL, NULL)")
        connection.execute("INSERT INTO recording_slices VALUES ('r', 44100, 1, 2, 's')")
    return store.list()


def test_there_and_back_all_is_as_it_was(file: JobStore, shared: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "_AT_ONCE", 2)
    jobs, purchases = fill(file), file.purchases.list()
    counts = {"recordings": 1, "recording_aliases": 1, "recording_slices": 1, "purchases": 5, "jobs": 5}
    assert migrate(file, shared) == counts
    assert shared.list() == jobs and shared.purchases.list() == purchases
    with shared.everything() as connection:
        paths = {row["path"] for row in connection.execute("SELECT path FROM jobs")}
    assert paths == {"music:/0.wav", "music:/1.wav", "music:/9.wav", "music:/3.wav", "music:/4.wav"}
    # What was moved away is not worked on, and goes when all comes back.
    with pytest.raises(StoreError, match="its jobs are in postgresql://"):
        JobStore(file.place)
    shared.request_cancel(jobs[1].id)
    changed = shared.list()
    assert migrate(shared, file) == counts
    assert file.list() == changed and file.purchases.list() == purchases
    with pytest.raises(StoreError, match="its jobs are in"):
        JobStore(shared.place)
    JobStore(file.place).close()


def test_one_that_was_broken_off_goes_on(file: JobStore, shared: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, insert = fill(file), migration._insert

    def break_off(table: migration.Table, row: dict[str, object]) -> str:
        if table.name == "jobs":
            raise KeyboardInterrupt
        return insert(table, row)

    monkeypatch.setattr(migration, "_insert", break_off)
    with pytest.raises(KeyboardInterrupt):
        migrate(file, shared)
    # Half of it is nobody's to work on.
    with pytest.raises(StoreError, match="until `stembridge jobs migrate` is through"):
        JobStore(shared.place)
    assert file.is_elsewhere == "" and file.list() == jobs
    monkeypatch.setattr(migration, "_insert", insert)
    migrate(file, shared)
    assert shared.list() == jobs and shared.is_elsewhere == ""


def test_a_server_that_goes_away_in_its_middle_is_waited_for(
    file: JobStore, shared: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "_AT_ONCE", 2)
    jobs, write, rows = fill(file), migration._write, iter(range(1000))

    def restart(row: dict[str, Any], table: migration.Table) -> dict[str, Any]:
        if next(rows) in (0, 4, 9):
            with psycopg.connect(str(shared.place), autocommit=True) as connection:
                connection.execute(OTHERS.encode())
        return write(row, table)

    monkeypatch.setattr(migration, "_write", restart)
    migrate(file, shared)
    assert next(rows) > 10 and shared.list() == jobs and file.is_elsewhere and not shared.is_elsewhere
    rows = iter(range(1000))
    migrate(shared, file)
    assert file.list() == jobs and shared.is_elsewhere and not file.is_elsewhere


def test_two_stores_are_not_mixed(file: JobStore, shared: JobStore) -> None:
    fill(file)
    own, _ = shared.add(make_job(77))
    with pytest.raises(StoreError, match="holds jobs of its own"):
        migrate(file, shared)
    assert shared.list() == [own] and file.is_elsewhere == ""


def test_what_is_worked_on_stays(file: JobStore, shared: JobStore) -> None:
    file.add(make_job())
    assert file.claim(file.new_owner(), ids=None, slots={"fake": 1}) is not None
    with pytest.raises(StoreError, match="being worked on"):
        migrate(file, shared)


def test_what_did_not_arrive_as_it_was_sent_is_found_out(
    file: JobStore, shared: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, write = fill(file), migration._write
    spoil = {"jobs": {"updated": 5.0}}
    monkeypatch.setattr(migration, "_write", lambda row, table: {**write(row, table), **spoil.get(table.name, {})})
    with pytest.raises(StoreError, match="jobs: 5 of 5 arrived, or not as they were sent"):
        migrate(file, shared)
    assert file.is_elsewhere == "" and file.list() == jobs
