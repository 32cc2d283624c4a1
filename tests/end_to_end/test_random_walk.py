"""People do anything, in any order, at each service: nothing is paid twice, nothing of theirs is lost.

``STEMBRIDGE_TEST_ACTS`` (default 40), ``STEMBRIDGE_TEST_SONGS`` (default 4) and ``STEMBRIDGE_TEST_SEED`` say how long
a walk is and which; a longer one kills processes as well.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest

from plugin_core import workshop
from plugin_core.jobs import engine
from plugin_core.jobs.policy import Backoff, Policy
from plugin_core.transfer import pauses
from tests.end_to_end.shops import open_shop
from tests.end_to_end.walking import Walk
from tests.postgresql import empty

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")

# The environment of tests is emptied of our settings before each test, hence at import.
ACTS = int(os.environ.get("STEMBRIDGE_TEST_ACTS", "40"))
SONGS = int(os.environ.get("STEMBRIDGE_TEST_SONGS", "4"))
SEED = int(os.environ.get("STEMBRIDGE_TEST_SEED", "1"))
SHORT = 100
"""Acts of a walk in which no process is killed."""


def _walk(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, acts: int, database: str = "") -> None:
    quick = functools.partial(
        Policy, backoff=Backoff(first=0.02, most=0.1), search_for=600.0, settle=0.05, fetch_tries=2
    )
    monkeypatch.setattr(engine, "Policy", quick)
    monkeypatch.setattr(pauses, "FIRST", 0.01)
    with open_shop(name) as shop:
        walk = Walk(shop, home, folder, seed=SEED, songs=SONGS, kills=ACTS >= SHORT, database=database)
        walk.go(acts)
        print(f"{name}: {acts} acts, {SONGS} songs, {shop.paid} paid for {len(walk.wishes)} purchases; {walk.counts}")


@pytest.mark.parametrize("name", ["mvsep", "tencent_ci", "mediax"])
def test_anything_in_any_order(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    _walk(home, tmp_path / "music", monkeypatch, name, ACTS)


@pytest.mark.parametrize("name", ["mvsep", "tencent_ci", "mediax"] if ACTS >= SHORT else ["mvsep"])
def test_anything_in_any_order_where_machines_share_the_jobs(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgresql: str, name: str
) -> None:
    empty(postgresql)
    for module in (engine, workshop):
        monkeypatch.setattr(module, "_LOOK_EVERY", 0.05)
    _walk(home, tmp_path / "music", monkeypatch, name, ACTS if ACTS >= SHORT else ACTS // 2, postgresql)
