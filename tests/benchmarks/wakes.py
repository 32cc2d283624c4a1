"""What it would cost to have each step of a job woken by procrastinate, beside the claim that is made anyway.

Run it with ``python -m tests.benchmarks.wakes`` where procrastinate is installed (``pip install procrastinate``). It
prints commits and changed rows a wake, our own processor time, by how much a wake comes late that is due later, and
what a wake takes beside many that wait.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from tests.postgresql import Server

WAKES, LATER, WAITING = 400, 20, 200_000
COUNTS = (
    "SELECT pg_stat_clear_snapshot(), xact_commit, tup_inserted + tup_updated + tup_deleted"
    " FROM pg_stat_database WHERE datname = current_database()"
)
WAIT = (
    "INSERT INTO procrastinate_jobs (queue_name, task_name, scheduled_at) SELECT 'default', 'advance',"
    " now() + interval '1 day' FROM generate_series(1, %s)"
)


class Woken:
    """Counts wakes, and by how much they came late."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._left = 0
        self._over = asyncio.Event()

    def expect(self, count: int) -> asyncio.Event:
        self._left, self._over = count, asyncio.Event()
        return self._over

    def note(self, due: float) -> None:
        self._left -= 1
        if due:
            self.late.append(time.time() - due)
        if not self._left:
            self._over.set()


async def measure(address: str) -> None:
    from procrastinate import App, PsycopgConnector  # type: ignore[import-not-found,unused-ignore]

    app, woken = App(connector=PsycopgConnector(conninfo=address)), Woken()

    @app.task(name="advance")  # type: ignore[untyped-decorator,unused-ignore]
    async def advance(due: float = 0.0) -> None:
        woken.note(due)

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        with psycopg.connect(address, autocommit=True) as connection:
            before, processor = count(connection), time.process_time()
            over = woken.expect(WAKES)
            for number in range(WAKES):
                await advance.configure(lock=f"{number}", queueing_lock=f"{number}").defer_async()
            options: dict[str, Any] = {"concurrency": 10, "delete_jobs": "always", "install_signal_handlers": False}
            working = asyncio.create_task(app.run_worker_async(**options))
            await over.wait()
            processor = time.process_time() - processor
            await asyncio.sleep(1.5)
            commits, rows = ((after - then) / WAKES for after, then in zip(count(connection), before, strict=True))
            print(
                f"a wake: {commits:.1f} commits, {rows:.1f} rows changed, {processor / WAKES * 1000:.1f} ms of our own"
            )
            over = woken.expect(LATER)
            for number in range(LATER):
                at = datetime.now(UTC) + timedelta(seconds=1 + 0.7 * number)
                await advance.configure(schedule_at=at).defer_async(due=at.timestamp())
            await over.wait()
            print(f"late by {statistics.median(woken.late):.1f} s in the median, {max(woken.late):.1f} s at most")
            connection.execute(WAIT, (WAITING,))
            over, began = woken.expect(100), time.perf_counter()
            for _ in range(100):
                await advance.defer_async()
            await over.wait()
            print(f"beside {WAITING:,} that wait: {(time.perf_counter() - began) * 10:.0f} ms a wake")
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


def count(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """Return how many commits there were, and how many rows were changed."""
    row = connection.execute(COUNTS).fetchone()
    assert row is not None
    return row[1], row[2]


def main() -> None:
    server = Server(os.getpid())
    try:
        asyncio.run(measure(server.address()))
    finally:
        server.stop()


if __name__ == "__main__":
    main()
