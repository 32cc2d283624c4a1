"""A store, a service and fast patience for the tests of jobs."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from plugin_core.jobs.engine import Engine
from plugin_core.jobs.policy import Backoff, Policy
from plugin_core.jobs.store import JobStore, Place
from plugin_core.model import Job, JobState
from plugin_core.purchases.purchase import Purchase
from tests.plugin_core.jobs.fakes import FakeWork, Service, make_job, run

FAST = Policy(
    backoff=Backoff(first=0.01, most=0.02), search_for=0.2, settle=0.02, grace=0.2, stop_within=2.0, progress_every=0.01
)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Ticks:
    """A clock that goes on by a millisecond each time it is looked at, however long that takes."""

    def __init__(self) -> None:
        self._ticks = itertools.count()

    def __call__(self) -> float:
        return 1_700_000_000.0 + next(self._ticks) / 1000


class Desk:
    """An engine, its store and the work it does, and what people do with jobs of it."""

    def __init__(self, engine: Engine, store: JobStore, work: FakeWork) -> None:
        self.engine = engine
        self.store = store
        self.work = work

    def run(self, ids: Collection[str] | None = None) -> None:
        """Work until these jobs, or all, are settled."""
        run(self.engine, ids)

    def fail(self, method: str, error: BaseException) -> Job:
        """Let a job fail in one method, however often it is tried."""
        job, _ = self.store.add(make_job())
        self.work.fail(method, [error] * FAST.fetch_tries)
        self.run()
        failed = self.store.get(job.id)
        assert failed.state is JobState.FAILED
        self.work.faults.clear()
        return failed

    def retry(self, job: Job, *, force: bool = False) -> Job:
        """Let a job that ended badly go on to its end, and return it as it is then."""
        self.store.retry(job.id, force=force)
        self.run()
        return self.store.get(job.id)

    def purchase(self, job: Job) -> Purchase:
        """Return what was bought for a job at first."""
        return self.store.purchases.get(job.id)

    @property
    def creates(self) -> list[str]:
        """Each paid create."""
        return self.work.service.lines("creates")


class Heard:
    """What listeners were told."""

    def __init__(self) -> None:
        self.changes: list[tuple[Job, Job | None]] = []

    def __call__(self, job: Job, previous: Job | None) -> None:
        self.changes.append((job, previous))

    @property
    def states(self) -> list[str]:
        """States in order, repetitions left out."""
        found: list[str] = []
        for job, _ in self.changes:
            if not found or found[-1] != job.state.value:
                found.append(job.state.value)
        return found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "jobs.sqlite3"


@pytest.fixture
def store(store_place: Place) -> Iterator[JobStore]:
    with JobStore(store_place) as opened:
        yield opened


@pytest.fixture
def work(tmp_path: Path) -> FakeWork:
    return FakeWork(Service(tmp_path / "service"))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def desk(engine: Engine, store: JobStore, work: FakeWork) -> Desk:
    return Desk(engine, store, work)


@pytest.fixture
def engine(store: JobStore, work: FakeWork, heard: Heard) -> Engine:
    return Engine(store, lambda job: work, heard, clock=store.clock, policy=FAST)
