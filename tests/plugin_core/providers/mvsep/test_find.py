from __future__ import annotations

import asyncio
import time

import pytest

from plugin_core.errors import OutcomeUnknownError, RefusedError, ServiceError, StembridgeError, TransientError
from plugin_core.providers.mvsep.account_calls import HistoryEntry
from plugin_core.providers.mvsep.hashes import PAGES, SLACK, find_hash, job_key, locate
from plugin_core.providers.mvsep.job_calls import JobAnswer
from tests.plugin_core.providers.mvsep.fakes import KEY, NOW, FakeClient

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
