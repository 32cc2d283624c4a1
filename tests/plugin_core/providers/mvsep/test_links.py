from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from plugin_core.errors import ServiceError, TransientError
from plugin_core.model import Ticket
from plugin_core.protocols import GRACE, Waiting
from plugin_core.providers.mvsep.account_calls import HistoryEntry
from plugin_core.providers.mvsep.hashes import Links, job_key
from plugin_core.providers.mvsep.job_calls import parse_job
from tests.plugin_core.providers.mvsep.fakes import BASE, KEY, Clock, FakeClient, make_order

REAL = f"20260101101500-0a1b2c3d4e-{job_key(KEY)}.flac"
SHORT = Ticket(remote_id="n2AwBjy4KsFZfqqR", origin=BASE)
LATER = "https://de2.mvsep.com/api"


class Case:
    def __init__(self, folder: Path, *payloads: dict[str, Any]) -> None:
        self.client = FakeClient()
        self.client.remote_answers = [parse_job(payload) for payload in payloads]
        self.clock = Clock()
        self.links = Links(self.client, self.clock)
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
    case = Case(tmp_path, {"status": "failed", "data": {"message": "403 from the host"}})
    with pytest.raises(ServiceError, match="403 from the host"):
        case.follow()


def test_long_download_is_waited_for(tmp_path: Path) -> None:
    case = Case(tmp_path, {"success": True, "status": "processing"})
    case.clock.now += 10 * GRACE
    assert isinstance(case.follow(), Waiting)
