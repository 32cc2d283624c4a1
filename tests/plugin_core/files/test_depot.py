"""Files that machines share in a bucket: whole or not at all, and what a strict one refuses in one line."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from plugin_core.errors import ResultError, TransientError
from plugin_core.files import depot as module
from plugin_core.files.checksum import Record, hash_file
from plugin_core.files.depot import Depot, S3Settings
from plugin_core.settings import Secret
from tests.simulators.blobs import Blob
from tests.simulators.faults import Fault, refuse, reset_before, truncate
from tests.simulators.s3 import BUCKET, S3Simulator

pytest.importorskip("obstore")

SMALL = 1000


@pytest.fixture
def bucket() -> Iterator[S3Simulator]:
    with S3Simulator() as simulator:
        yield simulator


@pytest.fixture
def settings(bucket: S3Simulator) -> S3Settings:
    return S3Settings(
        endpoint_url=bucket.url,
        region=bucket.keys.region,
        access_key_id=Secret(bucket.keys.access_key),
        secret_access_key=Secret(bucket.keys.secret_key),
        addressing="path",
    )


@pytest.fixture
def depot(settings: S3Settings) -> Depot:
    return Depot(f"s3://{BUCKET}/label/a b", settings)


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PIECE", SMALL)


def make(path: Path, size: int) -> tuple[Path, Record]:
    path.write_bytes(os.urandom(size))
    return path, hash_file(path)


@pytest.mark.parametrize("size", [0, 1, SMALL, SMALL + 1, 5 * SMALL - 1])
def test_what_is_put_comes_back_on_another_machine(
    depot: Depot,
    settings: S3Settings,
    bucket: S3Simulator,
    pieces: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    path, record = make(tmp_path / "part-000.flac", size)
    for _ in range(2):
        # Whoever was killed sends it all again.
        depot.put("purchases/id1", path, record)
    assert len(bucket.store.objects) == -(-size // SMALL)
    assert all(name.startswith("label/a b/purchases/id1/") for name in bucket.store.objects)
    there = tmp_path / "other home" / "part-000.flac"
    # How large pieces are is not what readers go by.
    monkeypatch.setattr(module, "_PIECE", 7)
    Depot(depot.shown, settings).get("purchases/id1", there, record)
    assert there.read_bytes() == path.read_bytes() and [there] == list(there.parent.iterdir())


def test_folders_are_told_and_removed_whole(depot: Depot, bucket: S3Simulator, pieces: None, tmp_path: Path) -> None:
    bucket.page = 2
    for name in ("id1", "id10"):
        depot.put(f"purchases/{name}", *make(tmp_path / name, 5 * SMALL))
    depot.write("jobs/id1/written.json", b"{}")
    assert sorted(depot.folders("purchases")) == ["id1", "id10"] and depot.folders("absent") == []
    for _ in range(2):
        depot.remove("purchases/id1")
    assert sorted(depot.folders("purchases")) == ["id10"] and len(bucket.store.objects) == 6
    assert (depot.read("jobs/id1/written.json"), depot.read("jobs/id2/written.json")) == (b"{}", None)
    depot.check()
    assert len(bucket.store.objects) == 6


@pytest.mark.parametrize(
    "fault",
    [
        refuse("*", "*", 503, "<Error><Code>SlowDown</Code></Error>", times=2),
        reset_before("*", "*", times=2),
        truncate("GET", "*", at=10, times=2),
    ],
)
def test_what_passes_is_borne(depot: Depot, bucket: S3Simulator, pieces: None, tmp_path: Path, fault: Fault) -> None:
    path, record = make(tmp_path / "a", 3 * SMALL)
    armed = bucket.faults.add(fault)
    depot.put("f", path, record)
    depot.get("f", tmp_path / "b", record)
    assert armed.struck == 2 and (tmp_path / "b").read_bytes() == path.read_bytes()


def test_what_is_gone_or_another_is_told_and_nothing_is_left_of_it(
    depot: Depot, bucket: S3Simulator, pieces: None, tmp_path: Path
) -> None:
    path, record = make(tmp_path / "part-000.flac", 3 * SMALL)
    depot.put("f", path, record)
    first, second, _ = sorted(bucket.store.objects)
    there = tmp_path / "there" / "part-000.flac"
    right = bucket.store.objects[second]
    for wrong in (b"x" * SMALL, b"x" * (SMALL - 1), b"x" * (3 * SMALL)):
        bucket.store.put(second, Blob.of(wrong))
        with pytest.raises(ResultError, match=r"s3://staging/label/a b(/f is not as it was put there)?"):
            depot.get("f", there, record)
    bucket.store.objects[second] = right
    del bucket.store.objects[first]
    with pytest.raises(ResultError, match="-00000 is gone from s3://staging/label/a b"):
        depot.get("f", there, record)
    assert list(there.parent.iterdir()) == []


def test_what_came_otherwise_once_is_asked_for_again(
    depot: Depot, bucket: S3Simulator, pieces: None, tmp_path: Path
) -> None:
    path, record = make(tmp_path / "a", 3 * SMALL)
    depot.put("f", path, record)
    bucket.faults.add(refuse("GET", "*-00001", 200, "x" * SMALL))
    depot.get("f", tmp_path / "b", record)
    assert (tmp_path / "b").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("change", "words", "remedy"),
    [
        ({"access_key_id": Secret("AKIAother")}, "InvalidAccessKeyId: The access key does not", "secret_access_key"),
        ({"secret_access_key": Secret("of another")}, "SignatureDoesNotMatch: ", "secret_access_key of [s3]"),
        ({"secret_access_key": Secret("")}, "no keys are set", "set access_key_id and secret_access_key"),
        ({"region": "us-east-1"}, "AuthorizationHeaderMalformed: ", "correct [s3] region"),
        ({"endpoint_url": "http://127.0.0.1:9"}, "no answer (Connection refused)", "[s3] endpoint_url"),
        ({"endpoint_url": "http://nowhere.invalid"}, "no answer (failed to lookup address", "look at the network"),
    ],
)
def test_what_keeps_the_bucket_from_being_used_is_one_line(
    settings: S3Settings, tmp_path: Path, change: dict[str, object], words: str, remedy: str
) -> None:
    depot = Depot(f"s3://{BUCKET}/x", msgspec.structs.replace(settings, **change))
    path, record = make(tmp_path / "a", 10)
    for call in (
        lambda: depot.put("f", path, record),
        lambda: depot.get("f", tmp_path / "b", record),
        lambda: depot.read("f"),
        lambda: depot.remove("f"),
        lambda: depot.folders("f"),
        depot.check,
    ):
        with pytest.raises(TransientError) as caught:
            call()
        error = caught.value
        assert error.message.startswith(f"s3://{BUCKET}/x: {words}") and remedy in error.remedy
        assert "\n" not in str(error) and "of another" not in str(error)


def test_a_missing_bucket_and_a_wrong_clock_are_named(
    settings: S3Settings, depot: Depot, bucket: S3Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for call in ("read", "folders"):
        with pytest.raises(TransientError, match=r"s3://absent: NoSuchBucket: .*make the bucket, or correct \[jobs\]"):
            getattr(Depot("s3://absent", settings), call)("f")
    bucket.clock.advance(3600)
    with pytest.raises(TransientError, match=r"RequestTimeTooSkewed: .*; set the clock of this computer"):
        depot.check()


def test_memory_stays_flat(depot: Depot, bucket: S3Simulator, tmp_path: Path) -> None:
    path, record = make(tmp_path / "long.wav", 40 << 20)
    tracemalloc.start()
    try:
        depot.put("f", path, record)
        depot.get("f", tmp_path / "back", record)
        assert tracemalloc.get_traced_memory()[1] < 3 * module._PIECE
    finally:
        tracemalloc.stop()
    assert len(bucket.store.objects) == 5
