"""Names make waiting jobs due, in the store that all processes share, and nothing else."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from plugin_core.callbacks import PAUSE, Waker
from plugin_core.jobs.store import JobStore
from plugin_core.model import Job, JobState, Ticket
from tests.plugin_core.jobs.fakes import make_job

NOW = 1000.0


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs.sqlite3", clock=lambda: NOW)


def put(store: JobStore, state: JobState = JobState.RUNNING, *, remote: str = "remote-1", due: float = NOW + 25) -> Job:
    job = make_job()
    job = msgspec.structs.replace(job, state=state, ticket=Ticket(remote_id=remote), due=due, dedupe=job.id)
    return store.add(job)[0]


def test_a_job_is_due_by_either_name_and_otherwise_untouched(store: JobStore) -> None:
    with store:
        first, second, other = put(store), put(store, remote="remote-2"), put(store, remote="remote-3")
        assert store.wake(["remote-1", "unknown", second.id]) == [first.id, second.id]
        assert store.get(first.id) == msgspec.structs.replace(first, due=NOW)
        assert store.get(other.id) == other
        assert store.wake(["remote-1"]) == []


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.RUNNING])
def test_only_jobs_that_wait_for_their_service_are_woken(store: JobStore, state: JobState) -> None:
    with store:
        job = put(store, state)
        assert store.wake(["remote-1", job.id]) == []
        assert store.get(job.id) == job


def test_a_job_that_is_worked_on_is_left_to_its_owner(store: JobStore) -> None:
    with store:
        job = put(store, due=NOW - 1)
        owner = store.new_owner()
        assert store.claim(owner, ids=None, slots={}) is not None
        assert store.wake([job.id]) == []
        assert store.check(job.id, owner).alive


@pytest.mark.parametrize("name", ["", "\udcff", "x" * 100_000, "' OR 1=1 --", "%", "\x00"])
def test_hostile_names_wake_nothing(store: JobStore, name: str) -> None:
    with store:
        put(store)
        assert store.wake([name]) == []


def test_one_job_is_woken_once_in_a_while(tmp_path: Path) -> None:
    moment = 0.0
    with JobStore(tmp_path / "jobs.sqlite3", clock=lambda: NOW) as store:
        waker = Waker(store, clock=lambda: moment)
        job = put(store)
        assert waker.wake([job.id]) == [job.id]
        sleep_again(store, job)
        assert waker.wake([job.id]) == []
        moment += PAUSE
        assert waker.wake([job.id]) == [job.id]


def sleep_again(store: JobStore, job: Job) -> None:
    owner = store.new_owner()
    claimed = store.claim(owner, ids=None, slots={})
    assert claimed is not None
    assert store.save(claimed, msgspec.structs.replace(claimed, due=NOW + 25), owner, True)
