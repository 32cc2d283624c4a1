from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from plugin_core.errors import TransientError
from plugin_core.providers.mvsep.catalogue import DAY, RETRY_AFTER, Catalogue
from tests.plugin_core.providers.mvsep.fakes import BASE, NOW, Clock


class Service:
    """Gives one model, counting how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Any = [{"render_id": 7, "name": "Seven", "outputs": '{"vocals": "Vocals"}'}]

    async def __call__(self) -> Any:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(service: Service, home: Path, clock: Clock, base_url: str = BASE) -> Catalogue:
    return Catalogue(service, home, base_url=base_url, clock=clock)


def ids(catalogue: Catalogue) -> list[str]:
    return [one.id for one in asyncio.run(catalogue.listing()).algorithms]


def note(catalogue: Catalogue) -> str:
    return asyncio.run(catalogue.listing()).note


def test_asked_once_a_day_by_all_processes(service: Service, home: Path, clock: Clock) -> None:
    first = make(service, home, clock)
    assert (ids(first), ids(first), note(first)) == (["7"], ["7"], "")
    clock.now += DAY - 1
    assert ids(make(service, home, clock)) == ["7"]
    assert service.asked == 1
    clock.now += 2
    service.answer = [{"render_id": 8, "name": "Eight"}]
    assert ids(first) == ["8"]
    assert ids(make(service, home, clock)) == ["8"]
    assert service.asked == 2


def test_clock_that_was_wrong(service: Service, home: Path, clock: Clock) -> None:
    ids(make(service, home, clock))
    clock.now -= 10 * DAY
    ids(make(service, home, clock))
    assert service.asked == 2


def test_list_of_another_service_is_not_taken(service: Service, home: Path, clock: Clock) -> None:
    ids(make(service, home, clock))
    ids(make(service, home, clock, "https://elsewhere.example/api"))
    assert service.asked == 2


@pytest.mark.parametrize(
    "answer",
    [TransientError("no network"), TimeoutError(), [], {"success": False}],
    ids=["down", "slow", "empty", "odd"],
)
def test_snapshot_without_service(service: Service, home: Path, clock: Clock, answer: object) -> None:
    service.answer = answer
    catalogue = make(service, home, clock)
    assert len(ids(catalogue)) == 117
    assert "2026-08" in note(catalogue)
    assert service.asked == 1
    clock.now += RETRY_AFTER + 1
    service.answer = [{"render_id": 8, "name": "Eight"}]
    assert (ids(catalogue), note(catalogue)) == (["8"], "")


def test_old_list_before_the_snapshot(service: Service, home: Path, clock: Clock) -> None:
    ids(make(service, home, clock))
    clock.now += 3 * DAY
    service.answer = TransientError("no network")
    catalogue = make(service, home, clock)
    assert ids(catalogue) == ["7"]
    assert "list of models is of 2026-" in note(catalogue)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"algorithms": 3}', b"[]"])
def test_damaged_file_is_asked_anew(service: Service, home: Path, clock: Clock, content: bytes) -> None:
    path = home / "cache" / "mvsep-algorithms.json"
    path.parent.mkdir()
    path.write_bytes(content)
    assert ids(make(service, home, clock)) == ["7"]
    assert service.asked == 1
    service.answer = TransientError("no network")
    assert ids(make(service, home, clock)) == ["7"]


def test_nobody_is_asked_without_a_service(service: Service, home: Path, clock: Clock) -> None:
    offline = Catalogue(None, home, base_url=BASE, clock=clock)
    assert len(ids(offline)) == 117
    assert "2026-08" in note(offline)
    ids(make(service, home, clock))
    assert ids(Catalogue(None, home, base_url=BASE, clock=clock)) == ["7"]


def test_home_that_cannot_be_written(service: Service, home: Path, clock: Clock) -> None:
    (home / "cache").write_text("in the way")
    assert ids(make(service, home, clock)) == ["7"]


def test_nothing_is_left_beside_the_list(service: Service, home: Path, clock: Clock) -> None:
    ids(make(service, home, clock))
    assert [path.name for path in (home / "cache").iterdir()] == ["mvsep-algorithms.json"]
    assert clock.now == NOW


def test_many_jobs_that_begin_at_once_read_the_list_together(home: Path) -> None:
    """In a process of its own: msgspec working out a type in several threads ends in a segmentation fault."""
    script = """
import asyncio, sys
from pathlib import Path
from plugin_core.providers.mvsep.catalogue import Catalogue, Listing, read_snapshot, SNAPSHOT
from plugin_core.manifests import manifest
import msgspec

home = Path(sys.argv[1])
kept = msgspec.structs.replace(read_snapshot(manifest(SNAPSHOT), "base"), note="", fetched=1.0)
(home / "cache").mkdir(exist_ok=True)
(home / "cache" / "mvsep-algorithms.json").write_bytes(msgspec.json.encode(kept))
catalogue = Catalogue(None, home, base_url="base", clock=lambda: 2.0)

async def read():
    sys.setswitchinterval(1e-6)
    found = await asyncio.gather(*(catalogue.listing() for _ in range(32)))
    assert {one.fetched for one in found} == {1.0}

asyncio.run(read())
"""
    for _ in range(5):
        subprocess.run([sys.executable, "-c", script, str(home)], check=True, timeout=600)
