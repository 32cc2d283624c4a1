"""Workers killed at random and answers lost: each song is paid for once and none is lost.

``STEMBRIDGE_TEST_JOBS`` (default 12) and ``STEMBRIDGE_TEST_KILLS`` (default 4) make it as long as wanted.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from plugin_core import Job, JobState, Separation, Session, Settings
from plugin_core.plugins import load_plugins
from plugin_core.settings import no_keyring
from tests import quick_start
from tests.audio_files import write_song
from tests.simulators.faults import bad_gateway, late, reset_after
from tests.simulators.messages import Answer, Request
from tests.simulators.mvsep import FREE_TOKEN, PREMIUM_TOKEN, MvsepSimulator

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")

# The environment of tests is emptied of our settings before each test, hence at import.
JOBS = int(os.environ.get("STEMBRIDGE_TEST_JOBS", "12"))
KILLS = int(os.environ.get("STEMBRIDGE_TEST_KILLS", "4"))
CREATE = "*/separation/create"
PATIENCE = 600.0


class Counting(MvsepSimulator):
    """Lets others wait until so many requests were made."""

    def __init__(self) -> None:
        super().__init__(audio="echo")
        self._answered = 0
        self._changed = threading.Condition()

    def respond(self, request: Request) -> Answer:
        try:
            return super().respond(request)
        finally:
            with self._changed:
                self._answered += 1
                self._changed.notify_all()

    def wait_for(self, more: int, worker: subprocess.Popen[bytes]) -> None:
        """Wait until that many more requests are answered, or the worker has nothing more to ask."""
        with self._changed:
            wanted = self._answered + more
            while self._answered < wanted and worker.poll() is None:
                self._changed.wait(0.1)


@pytest.fixture
def service() -> Iterator[Counting]:
    with Counting() as simulator:
        yield simulator


@pytest.fixture
def environ(service: Counting, home: Path) -> dict[str, str]:
    return {
        "STEMBRIDGE_HOME": str(home),
        "STEMBRIDGE_PLUGINS": "mvsep",
        "STEMBRIDGE_MVSEP_API_TOKEN": PREMIUM_TOKEN,
        "STEMBRIDGE_MVSEP_BASE_URL": service.api,
        "STEMBRIDGE_MVSEP_POLL_FIRST": "0.05",
        "STEMBRIDGE_MVSEP_POLL_LONGEST": "0.1",
        "STEMBRIDGE_MVSEP_REGISTER_SECONDS": "1",
    }


def open_session(environ: Mapping[str, str]) -> Session:
    return Session(Settings(environ=environ, keyring=no_keyring), load_plugins(environ=environ))


def queue_songs(environ: Mapping[str, str], folder: Path, count: int) -> list[str]:
    async def add(session: Session) -> list[str]:
        ids = []
        for number in range(count):
            source = session.inspect(write_song(folder / f"Song {number:03}.wav", 0.2, 8000, seed=number))
            plan = await session.plan(source, Separation(provider="mvsep", model="40"))
            ids.append((await session.add(source, plan))[0].id)
        return ids

    with open_session(environ) as session:
        return asyncio.run(add(session))


def run_worker(environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "plugin_core", "jobs", "resume", "--json"]
    return quick_start.Popen(
        command, env={**os.environ, **environ}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def read_jobs(environ: Mapping[str, str], ids: list[str]) -> list[Job]:
    with open_session(environ) as session:
        return [session.store.get(one) for one in ids]


def assert_each_once(service: Counting, jobs: list[Job], folder: Path) -> None:
    assert [(job.state, job.problem) for job in jobs] == [(JobState.DONE, None)] * len(jobs)
    assert service.created == len(jobs)
    assert len({job.ticket.remote_id for job in jobs if job.ticket}) == len(jobs)
    placed = sorted(path for path in folder.glob("*.stems/*"))
    assert placed == sorted(stem.path for job in jobs for stem in job.stems)
    assert len(placed) == 2 * len(jobs)


def test_killed_workers(service: Counting, environ: dict[str, str], tmp_path: Path) -> None:
    chance = random.Random(7)
    ids = queue_songs(environ, tmp_path, JOBS)
    for _ in range(KILLS):
        worker = run_worker(environ)
        service.wait_for(chance.randrange(1, max(4, 4 * JOBS // KILLS)), worker)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert run_worker(environ).wait(PATIENCE) == 0
    assert_each_once(service, read_jobs(environ, ids), tmp_path)


def test_lost_answers(service: Counting, environ: dict[str, str], tmp_path: Path) -> None:
    ids = queue_songs(environ, tmp_path, JOBS)
    service.faults.add(reset_after("POST", CREATE, times=JOBS // 4))
    assert run_worker(environ).wait(PATIENCE) == 0
    assert_each_once(service, read_jobs(environ, ids), tmp_path)
    assert len(service.requests("POST", CREATE)) == JOBS


@pytest.mark.parametrize(
    ("token", "most", "count"),
    [pytest.param(PREMIUM_TOKEN, 10, JOBS, id="premium"), pytest.param(FREE_TOKEN, 1, min(JOBS, 10), id="free")],
)
def test_workers_share_the_slots_of_the_account(
    service: Counting, environ: dict[str, str], tmp_path: Path, token: str, most: int, count: int
) -> None:
    environ["STEMBRIDGE_MVSEP_API_TOKEN"] = token
    ids = queue_songs(environ, tmp_path, count)
    workers = [run_worker(environ) for _ in range(2)]
    assert [worker.wait(PATIENCE) for worker in workers] == [0, 0]
    assert_each_once(service, read_jobs(environ, ids), tmp_path)
    assert service.max_active[token] <= most


def test_unreadable_history_asks_for_nothing_twice(service: Counting, environ: dict[str, str], tmp_path: Path) -> None:
    (job_id,) = queue_songs(environ, tmp_path, 1)
    service.faults.add(reset_after("POST", CREATE))
    service.faults.add(late("POST", CREATE, requests=1000))
    outage = service.faults.add(bad_gateway("GET", "*/app/separation_history", times=None))
    worker = run_worker(environ)
    outage.wait(1, PATIENCE)
    worker.send_signal(signal.SIGINT)
    worker.wait()
    (job,) = read_jobs(environ, [job_id])
    assert (job.state, service.created) == (JobState.SUBMITTING, 1)
    assert job.problem is not None
    assert job.problem.exit_code == 4
    service.faults.clear()
    service.jobs[0].hidden_lists = 0
    assert run_worker(environ).wait(PATIENCE) == 0
    assert_each_once(service, read_jobs(environ, [job_id]), tmp_path)
