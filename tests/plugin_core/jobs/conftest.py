"""A store, a service and fast patience for the tests of jobs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin_core.jobs.engine import Engine
from plugin_core.jobs.policy import Backoff, Policy
from plugin_core.jobs.store import JobStore
from plugin_core.model import Job
from tests.plugin_core.jobs.fakes import FakeWork, Service

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
def store(store_path: Path) -> Iterator[JobStore]:
    with JobStore(store_path) as opened:
        yield opened


@pytest.fixture
def work(tmp_path: Path) -> FakeWork:
    return FakeWork(Service(tmp_path / "service"))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def engine(store: JobStore, work: FakeWork, heard: Heard) -> Engine:
    return Engine(store, lambda job: work, heard, clock=store.clock, policy=FAST)
