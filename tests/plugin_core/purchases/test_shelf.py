"""What is kept at home of purchases, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from plugin_core.files.depot import Depot, S3Settings
from plugin_core.jobs.store import JobStore
from plugin_core.model import Part, Quote
from plugin_core.purchases.purchase import Purchase, PurchaseState
from plugin_core.purchases.shelf import PurchasesSettings, Shelf, describe_parts
from tests.plugin_core.jobs.fakes import make_job
from tests.simulators.blobs import Blob
from tests.simulators.faults import refuse
from tests.simulators.s3 import BUCKET, S3Simulator

DAY = 86_400.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    with JobStore(tmp_path / "jobs.sqlite3") as opened:
        yield opened


def keep(store: JobStore, home: Path, number: int, size: int = 1000, *, is_released: bool = False) -> Purchase:
    folder = Shelf(home).folder(f"id{number}")
    folder.mkdir(parents=True)
    (folder / "part-000.flac").write_bytes(b"x" * size)
    parts = [Part(stem="vocals", label="Vocals", path=folder / "part-000.flac")]
    purchase = Purchase(
        id=f"id{number}", key="k", state=PurchaseState.KEPT, provider="mvsep", account="a", recording="r",
        quote=Quote(), song=Path("/music/Song.flac"), created=number * DAY, updated=number * DAY,
        kept=describe_parts(parts), is_released=is_released,
    )  # fmt: skip
    store.purchases.put(purchase)
    return purchase


def test_what_is_kept_is_held_until_it_is_touched(store: JobStore, tmp_path: Path) -> None:
    purchase, shelf = keep(store, tmp_path, 1), Shelf(tmp_path)
    assert shelf.holds(purchase)
    (part,) = shelf.bring(purchase, store.purchases, lambda: None)
    assert (part.stem, part.label, part.is_audio) == ("vocals", "Vocals", True)
    part.path.write_bytes(b"cut")
    assert not shelf.holds(purchase)
    shelf.empty(purchase.id)
    assert not shelf.holds(purchase) and list(shelf.folder(purchase.id).iterdir()) == []


def test_the_old_goes_first(store: JobStore, tmp_path: Path) -> None:
    for number in (1, 5, 9):
        keep(store, tmp_path, number, is_released=number == 1)
    settings = PurchasesSettings(keep_days=7)
    assert Shelf(tmp_path).tidy(store.purchases, settings, lambda: 10 * DAY) == 1
    assert [path.name for path in sorted((tmp_path / "purchases").iterdir())] == ["id5", "id9"]
    gone = store.purchases.get("id1")
    assert (gone.state, gone.kept) == (PurchaseState.EXPIRED, ())
    # The service was not told to forget this one: the next wish asks there.
    assert Shelf(tmp_path).tidy(store.purchases, PurchasesSettings(keep_gb=1.5e-6), lambda: 10 * DAY) == 1
    assert store.purchases.get("id5").state is PurchaseState.READY
    assert store.purchases.get("id9").state is PurchaseState.KEPT
    assert Shelf(tmp_path).tidy(store.purchases, PurchasesSettings(keep_gb=0), lambda: 10 * DAY) == 1


def test_what_is_kept_is_not_looked_at_one_by_one(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 5):
        keep(store, tmp_path, number)
    asked: list[str] = []
    monkeypatch.setattr(store.purchases, "find", asked.append)
    # Each run ends so, however many purchases there are.
    assert Shelf(tmp_path).tidy(store.purchases, PurchasesSettings(), lambda: 7 * DAY) == 0
    assert asked == []


def test_what_a_job_is_at_stays(store: JobStore, tmp_path: Path) -> None:
    purchase = keep(store, tmp_path, 1, is_released=True)
    job, _ = store.add(make_job(dedupe=purchase.key))
    nothing = PurchasesSettings(keep_gb=0)
    assert Shelf(tmp_path).tidy(store.purchases, nothing, lambda: 10 * DAY) == 0
    assert Shelf(tmp_path).holds(purchase) and store.purchases.find(purchase.id) == purchase
    store.request_cancel(job.id)
    with store._database.write() as connection:
        connection.execute("UPDATE jobs SET active = 0, state = 'cancelled'")
    assert Shelf(tmp_path).tidy(store.purchases, nothing, lambda: 10 * DAY) == 1


@pytest.mark.parametrize(
    ("state", "age", "stays"),
    [
        (PurchaseState.READY, 6 * DAY, True),
        (PurchaseState.READY, 8 * DAY, False),
        (PurchaseState.EXPIRED, 0.5 * DAY, False),
        (PurchaseState.CANCELLED, 0.5 * DAY, False),
        (PurchaseState.CANCELLED, 60.0, True),
        (PurchaseState.UNKNOWN, 6 * DAY, True),
    ],
)
def test_what_never_came_whole_goes_once_no_job_goes_on_with_it(
    store: JobStore, tmp_path: Path, state: PurchaseState, age: float, stays: bool
) -> None:
    purchase = keep(store, tmp_path, 1)
    store.purchases.put(msgspec.structs.replace(purchase, state=state, kept=()))
    half = Shelf(tmp_path).folder("id1") / "part-000.flac"
    job, _ = store.add(make_job(dedupe=purchase.key))

    def later() -> float:
        return max(half.stat().st_mtime, half.parent.stat().st_mtime) + age

    assert Shelf(tmp_path).tidy(store.purchases, PurchasesSettings(), later) == 0
    assert half.exists(), "a job is at it"
    store.request_cancel(job.id)
    with store._database.write() as connection:
        connection.execute("UPDATE jobs SET active = 0, state = 'cancelled'")
    assert Shelf(tmp_path).tidy(store.purchases, PurchasesSettings(), later) == 0
    assert half.exists() == stays


def test_folders_that_are_of_no_purchase_are_not_ours(store: JobStore, tmp_path: Path) -> None:
    (tmp_path / "purchases" / "mine").mkdir(parents=True)
    Shelf(tmp_path).tidy(store.purchases, PurchasesSettings(), lambda: 1e12)
    assert (tmp_path / "purchases" / "mine").is_dir()


def test_what_is_kept_in_a_bucket_leaves_the_machine_and_goes_with_its_purchase(
    store: JobStore, tmp_path: Path
) -> None:
    pytest.importorskip("obstore")
    with S3Simulator() as bucket:
        keys = {name.removeprefix("STEMBRIDGE_S3_").lower(): text for name, text in bucket.environment().items()}
        depot = Depot(f"s3://{BUCKET}/x", msgspec.convert(keys, S3Settings, dec_hook=lambda kind, text: kind(text)))
        here, there = Shelf(tmp_path, depot), Shelf(tmp_path / "other home", depot)
        for number in (1, 2):
            purchase = keep(store, tmp_path, number)
            job = msgspec.structs.replace(make_job(number), purchase=purchase.id)
            kept = here.keep(job, here.bring(purchase, store.purchases, lambda: None), lambda: None)
            store.purchases.put(msgspec.structs.replace(purchase, kept=kept))
        purchase = store.purchases.get("id2")
        assert there.holds(purchase) and not Shelf(tmp_path / "other home").holds(purchase)
        (part,) = there.bring(purchase, store.purchases, lambda: None)
        assert part.path.read_bytes() == b"x" * 1000 and part.path.is_relative_to(tmp_path / "other home")
        # So does what another kept in its home before the bucket was shared.
        keep(store, tmp_path, 3)
        there.take_over(tmp_path, store.purchases)
        taken = store.purchases.get("id3")
        assert there.holds(taken) and there.bring(taken, store.purchases, lambda: None)[0].path.exists()
        there.remove("id3")
        store.purchases.let_go("id3", PurchaseState.EXPIRED)
        # A job that is active may still be at it.
        active = store.add(make_job(dedupe=purchase.key))[0]
        there.make_room("id2", store.purchases)
        assert part.path.exists()
        store.request_cancel(active.id)
        with store._database.write() as connection:
            connection.execute("UPDATE jobs SET active = 0, state = 'cancelled'")
        there.make_room("id2", store.purchases)
        assert not part.path.parent.exists() and len(bucket.store.objects) == 2
        # One that never came whole is swept as well, by whichever machine; what the ledger knows nothing of stays.
        store.purchases.put(msgspec.structs.replace(store.purchases.get("id1"), state=PurchaseState.RUNNING, kept=()))
        bucket.store.put("x/purchases/unknown/y-00000", Blob.of(b"y"))
        bucket.faults.add(refuse("GET", "*", 403, "<Error><Code>AccessDenied</Code></Error>"))
        for expected in (3, 2):
            assert there.tidy(store.purchases, PurchasesSettings(), lambda: 9 * DAY) == 0
            assert len(bucket.store.objects) == expected
        assert there.tidy(store.purchases, PurchasesSettings(), lambda: 10 * DAY) == 1
        assert list(bucket.store.objects) == ["x/purchases/unknown/y-00000"]
