from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import pytest

from plugin_core.errors import OutcomeUnknownError, RefusedError, ServiceError, StembridgeError, TransientError
from plugin_core.files.database import new_id
from plugin_core.model import Ticket
from plugin_core.protocols import GRACE, Waiting
from plugin_core.providers.mvsep.account_calls import HistoryEntry
from plugin_core.providers.mvsep.hashes import (
    PAGES,
    SLACK,
    JobLinks,
    carries_key,
    find_hash,
    is_real_hash,
    job_key,
    locate,
    time_of_hash,
    upload_name,
)
from plugin_core.providers.mvsep.job_calls import JobAnswer, parse_job
from plugin_core.service import time_of_key
from tests.plugin_core.providers.mvsep.fakes import BASE, KEY, NOW, Clock, FakeClient, make_order


@pytest.mark.parametrize(
    "name",
    ["Song", "Déjà Vu (Live) #2", "歌", "a" * 300, "../..", "-", "x\ny", b"caf\xe9".decode("utf-8", "surrogateescape")],
)
def test_name_survives_the_services_slug(name: str) -> None:
    given = upload_name(KEY, Path(f"{name}.wav"), ".flac")
    assert re.fullmatch(r"sb[a-z2-7]{26}-[a-z0-9]+(-[a-z0-9]+)*\.flac", given)
    assert len(given) <= 80
    assert carries_key(f"20260101101500-0a1b2c3d4e-{given}", KEY)
    assert carries_key(f"20260101101500-0a1b2c3d4e-{given[:30]}", KEY)


def test_song_is_readable() -> None:
    assert upload_name(KEY, Path("Déjà Vu.wav"), ".flac").endswith("-deja-vu.flac")


def test_keys_differ() -> None:
    keys = [new_id(lambda: NOW) for _ in range(100)]
    assert len({job_key(key) for key in keys}) == 100
    assert not any(carries_key(f"20260101101500-0a1b2c3d4e-{job_key(keys[0])}", key) for key in keys[1:])
    assert job_key("no uuid") != job_key("no uuid 2")


@pytest.mark.parametrize("name", [f"{KEY}.flac", KEY.replace("-", "") + ".wav", f"song-{KEY.upper()}.flac"])
def test_names_of_stagers_are_known(name: str) -> None:
    assert carries_key(name, KEY)


@pytest.mark.parametrize(
    ("text", "is_real"),
    [("20260101101500-0a1b2c3d4e-song.wav", True), ("n2AwBjy4KsFZfqqR", False), ("", False), ("2026-0a-x", False)],
)
def test_real_hashes(text: str, is_real: bool) -> None:
    assert is_real_hash(text) is is_real


def test_times() -> None:
    assert time_of_key(KEY) == NOW
    assert time_of_key("job-1") is None
    assert time_of_hash("19700102000000-0a1b2c3d4e-song.wav") == 86400.0
    assert time_of_hash("99999999999999-0a1b2c3d4e-song.wav") is None
    assert time_of_hash("short") is None


OURS = f"20260101101500-0a1b2c3d4e-{job_key(KEY)}-song.flac"


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


def entry(number: int, age: float = 0.0) -> HistoryEntry:
    stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(NOW - age))
    return HistoryEntry(id=number, hash=f"{stamp}-{number:010x}-other-song.flac")


def find(client: FakeClient) -> str | None:
    return asyncio.run(find_hash(client, KEY))


def test_in_the_queue(client: FakeClient) -> None:
    client.queue_up("20260101101500-0a1b2c3d4e-else.flac", OURS)
    assert find(client) == OURS
    assert client.names() == ["user"]


@pytest.mark.parametrize("place", [0, 9, 10, 37])
def test_in_the_history(client: FakeClient, place: int) -> None:
    client.entries = [entry(number) for number in range(40)]
    client.entries[place] = HistoryEntry(hash=OURS)
    assert find(client) == OURS


def test_newest_of_several(client: FakeClient) -> None:
    newer = OURS.replace("20260101", "20260102")
    client.entries = [HistoryEntry(hash=OURS), HistoryEntry(hash=newer)]
    assert find(client) == newer


@pytest.mark.parametrize("is_first", [True, False])
def test_newest_of_several_in_the_queue(client: FakeClient, is_first: bool) -> None:
    newer = OURS.replace("20260101", "20260102")
    client.queue_up(*((newer, OURS) if is_first else (OURS, newer)))
    assert find(client) == newer


@pytest.mark.parametrize(("recent", "is_found"), [(7, True), (8, True), (9, True), (6, False)])
def test_a_page_ends_before_a_time_when_its_last_three_do(client: FakeClient, recent: int, is_found: bool) -> None:
    """Entries can be out of order by a little: one that seems old is no proof that all behind it are."""
    client.entries = [entry(number, 2 * SLACK) for number in range(13)] + [HistoryEntry(hash=OURS)]
    client.entries[recent] = entry(recent)
    assert find(client) == (OURS if is_found else None)


def test_absent(client: FakeClient) -> None:
    client.entries = [entry(number) for number in range(25)]
    assert find(client) is None
    assert client.asked[-1][1]["start"] >= 23


def test_empty_history(client: FakeClient) -> None:
    assert find(client) is None


def test_older_pages_are_not_read(client: FakeClient) -> None:
    client.entries = [entry(number, 600.0 * number + SLACK) for number in range(500)]
    assert find(client) is None
    assert client.names().count("history") <= 2


def test_entry_that_moves_up_while_pages_are_read(client: FakeClient) -> None:
    client.entries = [entry(number) for number in range(10)] + [HistoryEntry(hash=OURS)]
    read = client.history

    async def history(*, start: int = 0, limit: int = 20) -> tuple[HistoryEntry, ...]:
        page = await read(start=start, limit=limit)
        if start == 0:
            del client.entries[0]
        return page

    client.history = history  # type: ignore[method-assign]
    assert find(client) == OURS


def test_endless_history_is_unknown(client: FakeClient) -> None:
    client.entries = [HistoryEntry(id=number) for number in range(10 * PAGES)]
    with pytest.raises(OutcomeUnknownError, match="longer than"):
        find(client)


@pytest.mark.parametrize("call", ["user", "history"])
@pytest.mark.parametrize("error", [TransientError("down"), RefusedError("token"), ServiceError("odd")])
def test_unreadable_is_unknown(client: FakeClient, call: str, error: StembridgeError) -> None:
    client.failing[call] = error
    with pytest.raises(OutcomeUnknownError, match="cannot be read"):
        find(client)


def test_locate(client: FakeClient) -> None:
    missing, waiting = JobAnswer(status="not_found"), JobAnswer(status="waiting")
    client.answers = [missing, waiting]
    assert asyncio.run(locate(client, OURS, ("a", "b", "c"))) == "b"
    client.answers = [missing]
    assert asyncio.run(locate(client, OURS, ("a", "b"))) == ""
    client.failing["get"] = TransientError("down")
    assert asyncio.run(locate(client, OURS, ("a", "b"))) == ""


REAL = f"20260101101500-0a1b2c3d4e-{job_key(KEY)}.flac"
SHORT = Ticket(remote_id="n2AwBjy4KsFZfqqR", origin=BASE)
LATER = "https://de2.mvsep.com/api"


class Case:
    def __init__(self, folder: Path, *payloads: dict[str, Any]) -> None:
        self.client = FakeClient()
        self.client.remote_answers = [parse_job(payload) for payload in payloads]
        self.clock = Clock()
        self.links = JobLinks(self.client, self.clock, lambda order: find_hash(self.client, order.key))
        self.order = make_order(folder, ticket=SHORT)

    def follow(self) -> Ticket | Waiting:
        return asyncio.run(self.links.follow(self.order, SHORT, 5.0))


def done(real: str = REAL) -> dict[str, Any]:
    link = f"{LATER}/separation/get?hash={real}"
    return {"success": "true", "status": "done", "data": {"hash": real, "link": link}}


WAIT = {"success": False, "data": {"message": "The file is being downloaded, please wait"}}
MISSING = {"success": False, "status": "not_found", "data": {}}


def test_becomes_the_real_job_and_is_remembered(tmp_path: Path) -> None:
    case = Case(tmp_path, {"status": "waiting", "data": {"queue_count": 4, "current_order": 3}}, done())
    first = case.follow()
    assert isinstance(first, Waiting)
    assert (first.progress.queue_position, first.progress.queue_length) == (3, 4)
    real = case.follow()
    assert isinstance(real, Ticket)
    assert (real.remote_id, real.origin) == (REAL, LATER)
    assert case.follow() is real
    assert case.client.asked == [("get_remote", {"job": SHORT.remote_id, "origin": BASE})] * 2
    case.links.forget(KEY)
    case.follow()
    assert len(case.client.asked) == 3


@pytest.mark.parametrize("payload", [WAIT, MISSING, done("short")], ids=["wait", "missing", "done with a short hash"])
def test_early_ignorance_passes(tmp_path: Path, payload: dict[str, Any]) -> None:
    case = Case(tmp_path, payload)
    case.clock.now += GRACE - 1
    assert isinstance(case.follow(), Waiting)
    assert case.client.names() == ["get_remote"]


@pytest.mark.parametrize("payload", [WAIT, MISSING, done("short")], ids=["wait", "missing", "done with a short hash"])
def test_late_ignorance_is_looked_up_in_the_history(tmp_path: Path, payload: dict[str, Any]) -> None:
    case = Case(tmp_path, payload)
    case.clock.now += GRACE
    case.client.entries = [HistoryEntry(hash=REAL)]
    real = case.follow()
    assert isinstance(real, Ticket)
    assert (real.remote_id, real.origin) == (REAL, BASE)


def test_gone(tmp_path: Path) -> None:
    case = Case(tmp_path, MISSING)
    case.clock.now += GRACE
    with pytest.raises(ServiceError, match="knows nothing"):
        case.follow()


def test_unreadable_history_loses_nothing(tmp_path: Path) -> None:
    case = Case(tmp_path, MISSING)
    case.clock.now += GRACE
    case.client.failing["history"] = TransientError("down")
    with pytest.raises(TransientError):
        case.follow()


def test_link_that_cannot_be_fetched(tmp_path: Path) -> None:
    said = "403 from the host of https://me:pass@files.example/Song.flac?signature=s3cret"
    case = Case(tmp_path, {"status": "failed", "data": {"message": said}})
    with pytest.raises(ServiceError, match="403 from the host of https://…;") as caught:
        case.follow()
    assert "s3cret" not in str(caught.value)


def test_long_download_is_waited_for(tmp_path: Path) -> None:
    case = Case(tmp_path, {"success": True, "status": "processing"})
    case.clock.now += 10 * GRACE
    assert isinstance(case.follow(), Waiting)
