"""Workers with a store on a PostgreSQL server: frozen, and with a wrong clock; a storm is in ``tests/end_to_end``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_core.jobs.store import JobStore, Place
from plugin_core.model import JobState
from tests.plugin_core.jobs.fakes import make_job
from tests.plugin_core.jobs.test_crash import assert_a_frozen_worker_pays_nothing_twice

ANY_STORE = True


@pytest.fixture
def store(store_place: Place) -> Iterator[JobStore]:
    with JobStore(store_place) as opened:
        yield opened


@pytest.mark.shared
def test_a_frozen_worker_pays_nothing_twice(store: JobStore, tmp_path: Path) -> None:
    assert_a_frozen_worker_pays_nothing_twice(store, tmp_path, 8, delay=0.1)


@pytest.mark.shared
def test_a_worker_whose_clock_is_ahead_changes_no_time(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + 3600)
    with JobStore(store.place) as ahead:
        job, _ = ahead.add(make_job(clock=ahead.clock))
        assert abs(ahead.clock() - true()) < 60 and abs(job.created - true()) < 60
        claimed = ahead.claim(ahead.new_owner(), ids=None, slots={"fake": 1})
        assert claimed is not None
        # Its lease is no longer than it should be, and another's that is not over is not over for it.
        assert store.claim(store.new_owner(), ids=None, slots={"fake": 9}) is None
        other, _ = store.add(make_job(2, clock=store.clock))
        assert store.claim(store.new_owner(), ids=None, slots={"fake": 9}) is not None
        assert ahead.claim(ahead.new_owner(), ids=None, slots={"fake": 9}) is None
        assert store.get(other.id).state is JobState.QUEUED
