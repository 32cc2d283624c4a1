"""What a provider is handed of a job: its notes outlive the process, and are nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec
import pytest

from plugin_core.errors import StembridgeError, TransientError, UsageError
from plugin_core.jobs.store import JobStore
from plugin_core.model import Operation, Quote, Source
from plugin_core.operations.orders import NO_LINKS, JobFolders, Links, Orders, ProviderWork
from plugin_core.operations.song import hear_nothing
from plugin_core.protocols import Bucket, Provider, Stager
from plugin_core.purchases.purchase import Purchase, PurchaseState
from plugin_core.settings import Secret
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


class Folder:
    """A stager, and nothing else."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def stage(self, path: Path, key: str) -> str:
        return f"https://files.example/{key}"

    async def unstage(self, key: str) -> None:
        return None


class Shelf(Folder):
    """A stager that is a bucket."""

    async def link(self, key: str) -> Secret | None:
        return None

    async def find(self, beginning: str) -> Sequence[str]:
        return ()

    async def remove(self, key: str) -> None:
        return None


class Reader:
    """A provider that reads by link."""

    name = "reader"

    def __init__(self, stager: str = "") -> None:
        self.stager = stager


class Writer(Reader):
    """A provider whose results come to a bucket."""

    def __init__(self, stager: str = "", bucket: str = "") -> None:
        super().__init__(stager)
        self.bucket = bucket


def links(*stagers: Folder) -> Links:
    return Links(lambda: {each.name: cast("Stager", each) for each in stagers})


def provider(each: Reader) -> Provider:
    return cast("Provider", each)


FOLDER, COS, S3 = Folder("public_url"), Shelf("cos"), Shelf("s3")


def test_a_bucket_is_told_from_a_stager() -> None:
    assert isinstance(COS, Bucket)
    assert not isinstance(FOLDER, Bucket)


@pytest.mark.parametrize(
    ("stagers", "named", "expected"),
    [((COS,), "", COS), ((COS, FOLDER), "", COS), ((COS, S3), "s3", S3), ((COS, S3, FOLDER), "cos", COS)],
    ids=["only", "only bucket", "named", "named of all"],
)
def test_the_bucket_is_the_named_one_or_the_only_one(stagers: tuple[Folder, ...], named: str, expected: Folder) -> None:
    found = links(*stagers).bucket_for(provider(Writer(bucket=named)))
    assert found is cast("Bucket", expected)


@pytest.mark.parametrize(
    ("stagers", "named", "words"),
    [
        ((), "", "reader come to a bucket of yours, and none is set up; set one up, cos or s3"),
        ((FOLDER,), "", "none is set up"),
        ((COS, S3), "", "several are set up; name one of cos, s3 in its settings"),
        ((COS, FOLDER), "public_url", "stager 'public_url', which is no bucket; name one of cos"),
        ((COS,), "s3", "stager 's3', which is not set up; name one of cos"),
    ],
    ids=["none", "no bucket", "several", "named is none", "named is absent"],
)
def test_without_a_bucket_the_remedy_is_said(stagers: tuple[Folder, ...], named: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        links(*stagers).bucket_for(provider(Writer(bucket=named)))


def test_a_provider_that_hands_its_results_out_needs_none() -> None:
    assert NO_LINKS.bucket_for(provider(Reader())) is None
    links(FOLDER).check(provider(Reader()))


@pytest.mark.parametrize(
    ("stagers", "writer", "words"),
    [((), Writer(), "by link"), ((FOLDER,), Writer(), "results of reader"), ((COS, S3), Writer("cos"), "several")],
    ids=["no stager", "no bucket", "several buckets"],
)
def test_both_ways_are_checked(stagers: tuple[Folder, ...], writer: Writer, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        links(*stagers).check(provider(writer))


class Dearer(FakeSeparator):
    """Whose account has begun to cost something, where that can be asked."""

    error: StembridgeError | None = None

    async def price_now(self, _source: Source, _wish: Operation) -> float:
        if self.error is not None:
            raise self.error
        return 7.0


@pytest.mark.parametrize(
    ("provider", "planned", "error", "counted"),
    [
        (Dearer(), 0.0, None, 7.0),
        (Dearer(), 0.0, TransientError("no answer"), 0.0),
        (Dearer(), 2.0, None, 2.0),
        (Dearer(), None, None, None),
        (FakeSeparator(), 0.0, None, 0.0),
    ],
    ids=["dearer by now", "nobody knows", "priced", "no price", "one price for all"],
)
def test_what_was_planned_for_nothing_is_bought_at_the_price_of_now(
    provider: FakeSeparator, planned: float | None, error: StembridgeError | None, counted: float | None, home: Path
) -> None:
    if isinstance(provider, Dearer):
        provider.error = error
    orders = Orders(provider, home)
    work = ProviderWork(provider, orders, JobFolders(home, orders), links=NO_LINKS, hear=hear_nothing)
    job = msgspec.structs.replace(JOB, quote=Quote(sent={"model": "one"}, credits=planned))
    assert asyncio.run(work.quote(job)) == Quote(sent={"model": "one"}, credits=counted)
