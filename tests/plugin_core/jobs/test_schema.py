"""Opening store files of every age."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from plugin_core.errors import StoreError
from plugin_core.files.sqlite import migrate
from plugin_core.jobs.keys import dedupe_key
from plugin_core.jobs.schema import SCHEMA
from plugin_core.jobs.store import JobStore
from plugin_core.model import Job, JobState, Quote, Separation
from plugin_core.purchases.purchase import PurchaseState, purchase_keys
from plugin_core.recordings import tables
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


OLD = Path(__file__).with_name("store_version_2.sql")
ACCOUNT = "mvsep:1234567890ab"


@pytest.fixture
def store(store_path: Path) -> Iterator[JobStore]:
    store_path.parent.mkdir()
    with closing(sqlite3.connect(store_path)) as connection:
        connection.executescript(OLD.read_text("utf-8"))
    with JobStore(store_path) as opened:
        yield opened


def job_of(store: JobStore, number: int) -> Job:
    return store.get(f"01990000-0000-7000-8000-{number:012d}")


def test_every_job_is_there_with_a_recording_of_its_own(store: JobStore) -> None:
    jobs = store.list()
    assert len(jobs) == 9 and len({job.recording for job in jobs}) == 9 and all(job.recording for job in jobs)


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (2, PurchaseState.READY),
        (3, PurchaseState.UNKNOWN),
        (4, PurchaseState.READY),
        (6, PurchaseState.RUNNING),
        (7, PurchaseState.READY),
        (9, PurchaseState.READY),
    ],
)
def test_what_a_service_had_is_a_purchase_of_the_jobs_own_id(
    store: JobStore, number: int, state: PurchaseState
) -> None:
    job = job_of(store, number)
    purchase = store.purchases.get(job.id)
    assert (job.purchase, purchase.state, purchase.ticket, purchase.song) == (
        job.id, state, job.ticket, job.source.path,
    )  # fmt: skip
    assert job.resume is (JobState.PUBLISHING if number == 9 else None)


@pytest.mark.parametrize("number", [1, 5, 8])
def test_what_cost_nothing_is_none(store: JobStore, number: int) -> None:
    assert store.purchases.find(job_of(store, number).id) is None


def test_a_new_wish_finds_what_an_old_job_bought(store: JobStore) -> None:
    """Also where only the model's defaults are left out of its key by now, and the service's format is another."""
    old = job_of(store, 2)
    wished = {"model": "40", "option.add_opt1": "0", "option.add_opt2": "3"}
    quote = Quote(sent=wished, defaults={"option.add_opt1": "0"}, output="flac24", depth=16)
    found = store.purchases.serving(purchase_keys("mvsep", ACCOUNT, [old.recording], quote), quote)
    assert found is not None and found.id == old.id
    other = Quote(sent={**wished, "option.add_opt2": "4"}, output="flac16")
    assert store.purchases.serving(purchase_keys("mvsep", ACCOUNT, [old.recording], other), other) is None


def test_stems_made_on_this_machine_are_found(store: JobStore) -> None:
    old = job_of(store, 1)
    wish = Separation(provider="local", model="four", format="flac16")
    assert [job.id for job in store.done_like(dedupe_key(old.recording, wish, "local"))] == [old.id]


def test_a_song_is_known_by_what_our_labels_made_of_it(store: JobStore) -> None:
    with store._database.read() as connection:
        found = {tables.find_by_digest(connection, f"raw1:{letter * 64}") for letter in "ab"}
    assert found == {job_of(store, 7).recording}


def test_what_was_noted_of_a_job_whose_answer_was_lost_is_read_once(store_path: Path) -> None:
    """Where the objects of a job are: the settings may name another place by now."""
    job_id = f"01990000-0000-7000-8000-{3:012d}"
    place = '{"bucket":"songs-1250000000","region":"ap-guangzhou","prefix":"stembridge/"}'
    folder = store_path.parent / "staging" / job_id / "parts"
    folder.mkdir(parents=True)
    (folder / "place.json").write_text(place)
    with closing(sqlite3.connect(store_path)) as connection:
        connection.executescript(OLD.read_text("utf-8"))
    with JobStore(store_path) as opened:
        assert opened.purchases.get(job_id).note == {"place": place}
        # The ticket of one that was answered holds as much, and says how old it is.
        running = opened.purchases.get(f"01990000-0000-7000-8000-{6:012d}")
        assert running.note == {} and running.sent > 0


def test_a_waiting_job_of_the_old_store_is_joined(store: JobStore) -> None:
    old = job_of(store, 5)
    joined, is_new = store.add(old)
    assert (joined.id, is_new) == (old.id, False)
