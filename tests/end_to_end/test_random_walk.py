"""People do anything, in any order, at each service: nothing is paid twice, nothing of theirs is lost.

``STEMBRIDGE_TEST_ACTS`` (default 40), ``STEMBRIDGE_TEST_SONGS`` (default 4) and ``STEMBRIDGE_TEST_SEED`` say how long
a walk is and which; a longer one kills processes as well.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest

from plugin_core.jobs import engine
from plugin_core.jobs.policy import Backoff, Policy
from plugin_core.transfer import wire
from tests.end_to_end.shops import open_shop
from tests.end_to_end.walking import Walk

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")

# The environment of tests is emptied of our settings before each test, hence at import.
ACTS = int(os.environ.get("STEMBRIDGE_TEST_ACTS", "40"))
SONGS = int(os.environ.get("STEMBRIDGE_TEST_SONGS", "4"))
SEED = int(os.environ.get("STEMBRIDGE_TEST_SEED", "1"))
SHORT = 100
"""Acts of a walk in which no process is killed."""


@pytest.mark.parametrize("name", ["mvsep", "tencent_ci", "mediax"])
def test_anything_in_any_order(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    quick = functools.partial(
        Policy, backoff=Backoff(first=0.02, most=0.1), search_for=600.0, settle=0.05, fetch_tries=2
    )
    monkeypatch.setattr(engine, "Policy", quick)
    monkeypatch.setattr(wire, "FIRST", 0.01)
    with open_shop(name) as shop:
        walk = Walk(shop, home, tmp_path / "music", seed=SEED, songs=SONGS, kills=ACTS >= SHORT)
        walk.go(ACTS)
        print(f"{name}: {ACTS} acts, {SONGS} songs, {shop.paid} paid for {len(walk.wishes)} purchases; {walk.counts}")
