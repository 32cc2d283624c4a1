"""What a provider is handed of a job: its notes outlive the process, and are nobody else's."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from plugin_core.jobs.store import JobStore
from plugin_core.model import Quote
from plugin_core.operations.orders import Orders
from plugin_core.purchases.purchase import Purchase, PurchaseState
from tests.plugin_core.cli.fakes import FakeSeparator
from tests.plugin_core.jobs.fakes import make_job

JOB = msgspec.structs.replace(make_job(), purchase="p1")


def put(store: JobStore, purchase_id: str) -> None:
    store.purchases.put(
        Purchase(
            id=purchase_id,
            key="k",
            state=PurchaseState.INTENT,
            provider="fake",
            account="fake",
            recording="r",
            quote=Quote(),
            song=Path("/music/Song.flac"),
            created=1.0,
            updated=1.0,
            sent=2.0,
            looked_since=3.0,
        )
    )


def test_a_note_is_durable_once_it_is_written(home: Path) -> None:
    store = JobStore(home / "jobs.sqlite3")
    put(store, "p1")
    put(store, "p2")
    order = Orders(FakeSeparator(), home, store.purchases).make(JOB, "a", home)
    order.write_note("place", "bucket")
    order.write_note("place", "other")
    order.write_note("two", "2")
    assert order.note == {"place": "other", "two": "2"}
    # Another process, while the first one hangs.
    with JobStore(home / "jobs.sqlite3") as later:
        again = Orders(FakeSeparator(), home, later.purchases).make(JOB, "b", home)
        assert again.note == {"place": "other", "two": "2"}
        assert (again.sent, again.looked_since, again.folder) == (2.0, 3.0, home / "purchases" / "p1")
        assert later.purchases.get("p2").note == {}
    store.close()


def test_a_purchase_that_is_changed_keeps_its_notes(home: Path) -> None:
    with JobStore(home / "jobs.sqlite3") as store:
        put(store, "p1")
        store.purchases.write_note("p1", "place", "bucket")
        store.purchases.change("p1", state=PurchaseState.SENT)
        assert store.purchases.get("p1").note == {"place": "bucket"}


@pytest.mark.parametrize("is_remote", [True, False], ids=["unknown purchase", "on this machine"])
def test_without_a_purchase_a_note_lasts_as_long_as_its_order(home: Path, is_remote: bool) -> None:
    engine = FakeSeparator()
    engine.remote = is_remote
    with JobStore(home / "jobs.sqlite3") as store:
        orders = Orders(engine, home, store.purchases)
        job = JOB if is_remote else make_job()
        order = orders.make(job, "a", home / "own")
        order.write_note("place", "bucket")
        assert (order.note, orders.make(job, "b", home / "own").note) == ({"place": "bucket"}, {})
        assert (order.folder == home / "own") is not is_remote
