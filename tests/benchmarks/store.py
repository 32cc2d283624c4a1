"""The job store with a thousand and a million finished jobs, and our own CPU for short jobs.

Run it with ``python -m tests.benchmarks.store``; it prints ratios taken in one run.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from plugin_core.jobs.engine import Engine
from plugin_core.jobs.rows import to_row
from plugin_core.jobs.store import JobStore
from plugin_core.model import JobState
from tests.plugin_core.jobs.fakes import FakeWork, Service, make_job, make_stem

ROUNDS = 200
WAITING = 50
SHORT_JOBS = 200


def fill(store: JobStore, count: int) -> None:
    """Put finished jobs in, and some that wait."""
    model = make_job()
    done = msgspec.structs.replace(model, state=JobState.DONE, stems=(make_stem(model),) * 4)
    row = {**to_row(done), "litter": 0}
    names = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    with store._database.write() as connection:
        connection.executemany(
            f"INSERT INTO jobs ({names}) VALUES ({marks})",
            (
                {**row, "id": f"0{number:035x}", "base": f"{number:x}", "dedupe": f"{number:x}"}
                for number in range(count)
            ),
        )
    for number in range(WAITING):
        store.add(make_job(number))


def claim(store: JobStore) -> None:
    """Claim a job and give it back."""
    owner = store.new_owner()
    job = store.claim(owner, ids=None, slots={"fake": WAITING})
    assert job is not None
    store.release(job.id, owner)


def resume(store: JobStore) -> None:
    """Ask what an engine asks when it starts."""
    assert store.has_active()
    store.accounts()
    store.leftovers()
    store.next_due()


def listing(store: JobStore) -> None:
    """List the newest jobs, and those that ended badly."""
    store.list(limit=20)
    store.list([JobState.FAILED, JobState.QUEUED], limit=20)


def reuse(store: JobStore) -> None:
    """Look for a finished job with the same key."""
    assert store.done_like("3e7", limit=1) or store.done_like("1", limit=1)


MEASURED: dict[str, Callable[[JobStore], None]] = {
    "claim": claim,
    "resume": resume,
    "list": listing,
    "reuse": reuse,
    "open": lambda store: JobStore(store.path).close(),
}


def measure(stores: list[JobStore]) -> None:
    """Time each operation on the stores in turns, so that both meet the same machine."""
    for name, operation in MEASURED.items():
        times: list[list[float]] = [[] for _ in stores]
        for _ in range(ROUNDS):
            for store, found in zip(stores, times, strict=True):
                began = time.perf_counter()
                operation(store)
                found.append(time.perf_counter() - began)
        few, many = (statistics.median(found) for found in times)
        print(f"{name:8} {few * 1e3:8.3f} ms  {many * 1e3:8.3f} ms  ratio {many / few:.2f}")


def short_jobs(folder: Path) -> None:
    """Run short jobs against work that takes no time."""
    with JobStore(folder / "short" / "jobs.sqlite3") as store:
        for number in range(SHORT_JOBS):
            store.add(make_job(number))
        work = FakeWork(Service(folder / "service"), slots=20)
        began, cpu = time.perf_counter(), time.process_time()
        asyncio.run(Engine(store, lambda job: work, lambda job, previous: None).run())
        wall, spent = time.perf_counter() - began, time.process_time() - cpu
        assert store.counts()[JobState.DONE] == SHORT_JOBS
    print(f"{SHORT_JOBS} short jobs: {spent / SHORT_JOBS * 1e3:.2f} ms CPU a job, {SHORT_JOBS / wall:.0f} jobs/s")


def main(many: int = 1_000_000) -> None:
    """Print every measurement."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stores = [JobStore(folder / str(count) / "jobs.sqlite3") for count in (1_000, many)]
        for store, count in zip(stores, (1_000, many), strict=True):
            fill(store, count)
        print(f"{'':8} {1_000:>8} done {many:>8} done")
        measure(stores)
        for store in stores:
            store.close()
        short_jobs(folder)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
