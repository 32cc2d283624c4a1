"""Workers with a store on a PostgreSQL server: killed, frozen, with a wrong clock, and the server crashes as well.

``STEMBRIDGE_TEST_JOBS`` and ``STEMBRIDGE_TEST_KILLS`` make the storm longer.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_core.jobs.store import JobStore
from plugin_core.model import JobState
from tests.plugin_core.jobs.fakes import Service, make_job
from tests.plugin_core.jobs.test_crash import assert_each_paid_once, crew_of, fill, freeze_in_flight, wait_for
from tests.plugin_core.jobs.worker import LEASE
from tests.postgresql import Server, programs

JOBS = int(os.environ.get("STEMBRIDGE_TEST_JOBS", "24"))
KILLS = int(os.environ.get("STEMBRIDGE_TEST_KILLS", "4"))
WORKERS, SLOTS = 4, 10
PROOF_IS_LOST = 3.0
"""Seconds that a job is looked for whose sender may live for all that anybody knows."""

pytestmark = pytest.mark.skipif(programs() is None, reason="there is no PostgreSQL here")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server(os.getpid())
    yield made
    made.stop()


@pytest.fixture
def store(server: Server, request: pytest.FixtureRequest) -> Iterator[JobStore]:
    import psycopg

    name = f"storm{abs(hash(request.node.name))}"
    with psycopg.connect(server.address(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    with JobStore(server.address(name)) as opened:
        yield opened


def test_killed_workers_and_a_crashing_server_lose_nothing_and_pay_nothing_twice(
    server: Server, store: JobStore, tmp_path: Path
) -> None:
    rng, service = random.Random(1), Service(tmp_path / "service")
    jobs = fill(store, JOBS)
    with crew_of(store, service, slots=SLOTS, delay=0.02, search=PROOF_IS_LOST) as crew:
        living = [crew.start(ahead=3600.0 * (number == 0)) for number in range(WORKERS)]
        for kill in range(KILLS):
            wait_for(lambda: len(service.lines("creates")) > kill * JOBS // (KILLS + 1))  # noqa: B023 - called at once
            time.sleep(rng.uniform(0, 0.05))
            if kill in (1, KILLS - 2):
                server.crash()
                server.start()
            victim = living.pop(rng.randrange(WORKERS))
            victim.kill()
            victim.wait()
            crew.processes.remove(victim)
            living.append(crew.start(ahead=3600.0 * rng.randrange(2)))
        crew.finish()
    creates = Counter(service.lines("creates"))
    states = {job.id: store.get(job.id).state for job in jobs}
    # Whoever was killed about when the server crashed may have sent its call: that is for its user to say.
    parked = {job_id for job_id, state in states.items() if state is JobState.UNCONFIRMED}
    assert set(states.values()) <= {JobState.DONE, JobState.UNCONFIRMED} and len(parked) <= SLOTS * 2
    assert creates == {job_id: 1 for job_id in states if job_id not in parked}
    assert max(map(int, service.lines("alive"))) <= SLOTS


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
