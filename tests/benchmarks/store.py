"""The job store with a thousand and a million finished jobs and their purchases, and our own CPU for short jobs.

Run it with ``python -m tests.benchmarks.store [JOBS]``, or with ``--database`` on a PostgreSQL server of its own; it
prints ratios taken in one run.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import msgspec

from plugin_core.files.database import Connection
from plugin_core.jobs.engine import Engine
from plugin_core.jobs.queries import to_row
from plugin_core.jobs.store import JobStore, Place
from plugin_core.model import JobState, Quote, Ticket, to_json
from plugin_core.purchases.ledger import Limits, Spending
from plugin_core.purchases.purchase import Purchase, PurchaseState, purchase_key
from plugin_core.recordings import tables
from tests.plugin_core.jobs.fakes import FakeWork, Service, make_job, make_stem
from tests.postgresql import Server

ROUNDS = 200
WAITING = 50
CROWD = 10_000
SHORT_JOBS = 200
QUOTE = Quote(sent={"model": "40"}, output="flac16", depth=16, credits=2.0)


def fill(store: JobStore, count: int) -> None:
    """Put finished jobs in, with a purchase and a recording each, and some that wait."""
    model = make_job()
    done = msgspec.structs.replace(model, state=JobState.DONE, stems=(make_stem(model),) * 4)
    row = {**to_row(done), "litter": 0}
    names = ", ".join(row)
    marks = ", ".join(f":{name}" for name in row)
    with store._database.write() as connection:
        connection.executemany(
            f"INSERT INTO jobs ({names}) VALUES ({marks})",
            (
                {**row, "id": f"0{number:035x}", "base": f"{number:x}", "dedupe": f"{number:x}", "updated": number}
                for number in range(count)
            ),
        )
        _insert(connection, "purchases", (_purchase(number) for number in range(count)))
        _insert(connection, "recordings", (_recording(number) for number in range(count)))
        _insert(connection, "recording_aliases", (one for number in range(count) for one in _aliases(number)))
    for number in range(WAITING):
        store.add(make_job(number))


def crowd(store: JobStore) -> None:
    """Put many more in that wait, and a few that run."""
    row: dict[str, object] = {**to_row(make_job()), "litter": 0}
    with store._database.write() as connection:
        rows = (
            {**row, "id": f"z{number:035x}", "base": f"z{number:x}", "state": "queued" if number >= 10 else "running"}
            for number in range(CROWD)
        )
        _insert(connection, "jobs", rows)


def _insert(connection: Connection, table: str, rows: Iterator[dict[str, object]]) -> None:
    first = next(rows)
    query = f"INSERT INTO {table} ({', '.join(first)}) VALUES ({', '.join(f':{name}' for name in first)})"
    connection.executemany(query, chain((first,), rows))


def _purchase(number: int) -> dict[str, object]:
    """Return a purchase's row: a hundred a day at one of two services, a few of them still kept at home."""
    purchase = Purchase(
        id=f"0{number:035x}",
        key=_key(number),
        state=PurchaseState.KEPT if number % 1000 == 0 else PurchaseState.EXPIRED,
        provider=("mvsep", "tencent_ci")[number % 2],
        account="one",
        recording=f"r{number:x}",
        quote=QUOTE,
        song=Path(f"/music/Album {number // 12}/Song {number}.flac"),
        created=number * 864.0,
        updated=number * 864.0,
        ticket=Ticket(remote_id=f"remote-{number:x}"),
    )
    return {
        **{name: getattr(purchase, name) for name in ("id", "key", "provider", "account", "recording", "created")},
        "state": purchase.state.value,
        "remote": f"remote-{number:x}",
        "updated": purchase.updated,
        "credits": 2.0,
        "kept_bytes": 1000 if purchase.state is PurchaseState.KEPT else 0,
        "body": to_json(purchase).decode(),
    }


def _key(number: int) -> str:
    return purchase_key("mvsep", "one", f"r{number:x}", QUOTE)


def _recording(number: int) -> dict[str, object]:
    return {"id": f"r{number:x}", "rate": 44100, "channels": 2, "frames": 10_000_000 + number, "duration": 240.0}


def _aliases(number: int) -> Iterator[dict[str, object]]:
    """Yield what a recording is known by: its samples, and the bytes of one file."""
    shape = {"recording": f"r{number:x}", "rate": 44100, "frames": 10_000_000 + number}
    yield {"digest": f"pcm1:i:44100:2:{10_000_000 + number}:{number:064x}", **shape}
    yield {"digest": f"raw1:{number:064x}", "recording": f"r{number:x}", "rate": None, "frames": None}


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


def recognise(store: JobStore) -> None:
    """Tell a recording by what it sounds like, and by the bytes of its file; and that a length is news."""
    with store._database.read() as connection:
        assert tables.find_by_digest(connection, f"raw1:{7:064x}") == "r7"
        assert tables.ids_of(connection, "r7") == ["r7"]
        assert tables.shapes(connection, 44100, 10_000_007) == ["r7"]
        assert tables.shapes(connection, 48000, 10_000_007) == []


def serving(store: JobStore) -> None:
    """Look for what was bought of a recording, and of one that nothing was bought of."""
    found = store.purchases.serving([_key(7)], QUOTE)
    assert found is not None and found.recording == "r7"
    assert store.purchases.serving(["nothing"], QUOTE) is None


def purchases(store: JobStore) -> None:
    """Show the newest purchases, those of one service, and one by its remote id."""
    assert len(store.purchases.list(limit=50)) == len(store.purchases.list(provider="mvsep", limit=50)) == 50
    assert store.purchases.get("remote-7").recording == "r7"


def spent(store: JobStore) -> None:
    """Add up a month of one service, as its limits do before each purchase."""
    newest = store.purchases.list(limit=1)[0]
    spending = Spending(lambda _: Limits(month=1e9, day=1e9), lambda: newest.created)
    with store._database.read() as connection:
        spending.check(connection, newest)


MEASURED: dict[str, Callable[[JobStore], None]] = {
    "claim": claim,
    "resume": resume,
    "list": listing,
    "reuse": reuse,
    "recognise": recognise,
    "serving": serving,
    "purchases": purchases,
    "spent": spent,
    "open": lambda store: JobStore(store.place).close(),
}


def measure(stores: list[JobStore], *names: str) -> None:
    """Time operations on the stores in turns, so that both meet the same machine, and take the fastest tenth."""
    for name in names or MEASURED:
        operation = MEASURED[name]
        times: list[list[float]] = [[] for _ in stores]
        for _ in range(ROUNDS):
            for store, found in zip(stores, times, strict=True):
                began = time.perf_counter()
                operation(store)
                found.append(time.perf_counter() - began)
        few, many = (statistics.quantiles(found, n=10)[0] for found in times)
        print(f"{name:9} {few * 1e3:8.3f} ms  {many * 1e3:8.3f} ms  ratio {many / few:.2f}")


def size_of(store: JobStore) -> int:
    """Return what a store takes on the disk."""
    if not isinstance(store.place, str):
        return store.place.stat().st_size
    with store._database.read() as connection:
        return int(connection.execute("SELECT pg_database_size(current_database())").fetchone()[0])


def prune(store: JobStore, count: int) -> None:
    """Forget half of the jobs, and tell for how long another process had to wait at most."""
    waits: list[float] = []
    is_over = threading.Event()

    def write_on() -> None:
        with JobStore(store.place) as other:
            while not is_over.wait(0.005):
                began = time.perf_counter()
                other.check_writable()
                waits.append(time.perf_counter() - began)

    thread = threading.Thread(target=write_on)
    thread.start()
    began, size = time.perf_counter(), size_of(store)
    removed = store.prune(store.clock() - count / 2)
    wall, left = time.perf_counter() - began, size_of(store)
    is_over.set()
    thread.join()
    waits.sort()
    print(
        f"prune: {removed} jobs in {wall:.1f} s; another that wrote {len(waits)} times meanwhile waited"
        f" {statistics.median(waits) * 1e3:.1f} ms, {waits[len(waits) * 99 // 100] * 1e3:.1f} in 99 of 100 cases,"
        f" {waits[-1] * 1e3:.1f} at most; {size / 1e6:.0f} MB before and {left / 1e6:.0f} MB after"
    )


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


@contextmanager
def places(folder: Path, *counts: int, is_database: bool) -> Iterator[list[Place]]:
    """Give a place for a store of each size."""
    if not is_database:
        yield [folder / str(count) / "jobs.sqlite3" for count in counts]
        return
    import psycopg

    server = Server(os.getpid())
    with psycopg.connect(server.address(), autocommit=True) as connection:
        for count in counts:
            connection.execute(f"CREATE DATABASE jobs{count}".encode())
    try:
        yield [server.address(f"jobs{count}") for count in counts]
    finally:
        server.stop()


def settle(store: JobStore) -> None:
    """Let the server look at what was filled in, as it does by itself in its own time."""
    if isinstance(store.place, str):
        with store._database.read() as connection:
            connection.execute("VACUUM ANALYZE")


def main(many: int = 1_000_000, *, is_database: bool = False) -> None:
    """Print every measurement."""
    with (
        tempfile.TemporaryDirectory() as name,
        places(Path(name), 1_000, many, is_database=is_database) as chosen,
    ):
        stores = [JobStore(place) for place in chosen]
        for store, count in zip(stores, (1_000, many), strict=True):
            fill(store, count)
            settle(store)
        print(f"{'':9} {1_000:>8} done {many:>8} done")
        measure(stores)
        crowd(stores[-1])
        settle(stores[-1])
        print(f"{'':9} {WAITING:>8} wait {CROWD:>8} wait")
        measure(stores, "claim", "resume")
        prune(stores[-1], many)
        for store in stores:
            store.close()
        if not is_database:
            short_jobs(Path(name))


if __name__ == "__main__":
    main(*map(int, [word for word in sys.argv[1:] if word.isdigit()]), is_database="--database" in sys.argv)
