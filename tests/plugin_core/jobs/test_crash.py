"""Real processes on one store, killed and frozen at random: nothing is paid twice, nothing is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plugin_core.jobs.store import JobStore
from plugin_core.model import Job, JobState
from tests import quick_start
from tests.freezing import freeze
from tests.plugin_core.jobs.fakes import Service, make_job
from tests.plugin_core.jobs.worker import LEASE

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")

ROOT = Path(__file__).parents[3]
PATIENCE = 300.0
SEARCH = 1.0
"""Seconds that a lost job is looked for."""


class Crew:
    """Worker processes that can be killed, frozen and replaced."""

    def __init__(
        self, store: JobStore, service: Service, *, slots: int, delay: float, finds: bool, search: float
    ) -> None:
        self._arguments = [str(store.place), str(service.folder), str(slots), str(delay), str(finds), str(search)]
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, gate: Path | str = "", *, ahead: float = 0.0) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.plugin_core.jobs.worker", *self._arguments, str(gate), str(ahead)]
        self.processes.append(quick_start.Popen(command, cwd=ROOT))
        return self.processes[-1]

    def finish(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                assert process.wait(PATIENCE) == 0

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
                process.wait()


@contextmanager
def crew_of(
    store: JobStore, service: Service, *, slots: int, delay: float, finds: bool = True, search: float = SEARCH
) -> Iterator[Crew]:
    crew = Crew(store, service, slots=slots, delay=delay, finds=finds, search=search)
    try:
        yield crew
    finally:
        crew.end()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def fill(store: JobStore, count: int) -> list[Job]:
    return [store.add(make_job(number))[0] for number in range(count)]


def assert_each_paid_once(store: JobStore, service: Service, jobs: list[Job]) -> None:
    states = Counter(store.get(job.id).state.value for job in jobs)
    assert states == {JobState.DONE.value: len(jobs)}
    assert Counter(service.lines("creates")) == {job.id: 1 for job in jobs}
    assert service.lines("cancels") == []


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_workers_pay_nothing_twice_and_lose_nothing(store: JobStore, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    service = Service(tmp_path / "service")
    jobs = fill(store, 32)
    # On a busy machine a living worker may lose its lease: who looks for its job waits for it and does not give it up.
    with crew_of(store, service, slots=8, delay=0.03, search=PATIENCE) as crew:
        living = [crew.start(), crew.start()]
        for charged in range(2, 30, 4):
            # A create was just charged, so that a ticket is probably on its way to the store.
            wait_for(lambda: len(service.lines("creates")) >= charged)  # noqa: B023 - called at once
            time.sleep(rng.uniform(0, 0.06))
            victim = living.pop(rng.randrange(2))
            victim.kill()
            victim.wait()
            crew.processes.remove(victim)
            living.append(crew.start())
        crew.finish()
    assert_each_paid_once(store, service, jobs)
    assert max(map(int, service.lines("alive"))) <= 8


def freeze_in_flight(sleeper: subprocess.Popen[bytes], service: Service, store: JobStore) -> set[str]:
    """Stop a worker while it is held up in paid calls, and return the jobs it was sending."""
    wait_for(lambda: bool(service.lines(f"submit {sleeper.pid}")))
    freeze(sleeper, store.place)
    assert service.lines("creates") == []
    return set(service.lines(f"submit {sleeper.pid}"))


def assert_a_frozen_worker_pays_nothing_twice(
    store: JobStore, folder: Path, count: int, *, delay: float, finds: bool = True
) -> None:
    """Freeze a worker in its paid calls for longer than its lease, while another works; half of the jobs have slots."""
    service = Service(folder / "service")
    jobs = fill(store, count)
    with crew_of(store, service, slots=count // 2, delay=delay, finds=finds) as crew:
        gate = folder / "gate"
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
        # What a frozen worker paid for may come home after everyone else went.
        if store.has_active():
            crew.start()
            crew.finish()
    assert_each_paid_once(store, service, jobs)


@pytest.mark.parametrize("finds", [True, False], ids=["service that finds", "service that cannot find"])
def test_frozen_workers_pay_nothing_twice_and_lose_nothing(store: JobStore, tmp_path: Path, finds: bool) -> None:
    assert_a_frozen_worker_pays_nothing_twice(store, tmp_path, 12, delay=0.15, finds=finds)


def test_gate_holds_over_several_processes(store: JobStore, tmp_path: Path) -> None:
    service = Service(tmp_path / "service")
    jobs = fill(store, 12)
    with crew_of(store, service, slots=2, delay=0.005) as crew:
        for _ in range(3):
            crew.start()
        crew.finish()
    assert_each_paid_once(store, service, jobs)
    assert max(map(int, service.lines("alive"))) == 2


def test_twins_of_several_processes_are_bought_one_after_the_other(store: JobStore, tmp_path: Path) -> None:
    service = Service(tmp_path / "service")
    twins = [store.add(make_job(1, path=Path(f"/music/copy {number}.wav")))[0] for number in range(4)]
    with crew_of(store, service, slots=4, delay=0.005) as crew:
        for _ in range(2):
            crew.start()
        crew.finish()
    # The first is bought; the others go on from that, one after the other.
    assert service.lines("creates") == [twins[0].id]
    assert max(map(int, service.lines("alive"))) == 1
