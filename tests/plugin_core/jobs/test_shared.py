"""Workers with a store on a PostgreSQL server: frozen, and with a wrong clock; a storm is in ``tests/end_to_end``."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_core.jobs.store import JobStore, Place
from plugin_core.model import JobState
from tests.plugin_core.jobs.fakes import Service, make_job
from tests.plugin_core.jobs.test_crash import assert_each_paid_once, crew_of, fill, freeze_in_flight, wait_for
from tests.plugin_core.jobs.worker import LEASE

ANY_STORE = True


@pytest.fixture
def store(store_place: Place) -> Iterator[JobStore]:
    with JobStore(store_place) as opened:
        yield opened


@pytest.mark.shared
def test_a_frozen_worker_pays_nothing_twice(store: JobStore, tmp_path: Path) -> None:
    service = Service(tmp_path / "service")
    jobs = fill(store, 8)
    with crew_of(store, service, slots=4, delay=0.1) as crew:
        gate = tmp_path / "gate"
        gate.touch()
        sleeper = crew.start(gate)
        in_flight = freeze_in_flight(sleeper, service, store)
        gate.unlink()
        crew.start()
        wait_for(lambda: len(service.lines("find " + str(crew.processes[-1].pid))) > 0)
        time.sleep(LEASE * 2)
        assert in_flight.isdisjoint(service.lines("creates"))
        sleeper.send_signal(signal.SIGCONT)
        wait_for(lambda: in_flight <= set(service.lines("creates")))
        crew.finish()
        if store.has_active():
            crew.start()
            crew.finish()
    assert_each_paid_once(store, service, jobs)


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
