"""Four workers against one on a store in PostgreSQL: a service that answers at once, and the engine of this machine.

Run it with ``python -m tests.benchmarks.workers``; it prints songs a second and their ratio, taken in one run, with the
number of processors: the engine cannot be quicker than those.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from plugin_core.model import JobState, Separation
from tests.audio_files import write_song
from tests.end_to_end.test_machines import Machine
from tests.plugin_core.providers.mvsep.test_never_twice import Counting
from tests.postgresql import Server

CASES = {
    "mvsep": (Separation(provider="mvsep", model="40"), 0.2, 60),
    "local": (Separation(provider="local"), 20.0, 16),
}
"""What is asked for, of how many seconds of song, how many songs."""


def measure(server: Server, provider: str, workers: int) -> float:
    """Return how many songs so many workers finish in a second, once they are there."""
    wish, seconds, count = CASES[provider]
    with Counting() as service, tempfile.TemporaryDirectory() as folder:
        import psycopg

        name = f"{provider}{workers}"
        with psycopg.connect(server.address(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        for each in ("music", "staging"):
            (Path(folder) / "disk" / each).mkdir(parents=True)
        machines = [Machine(number, Path(folder), server.address(name), service) for number in range(workers + 1)]
        for machine in machines:
            machine.environ |= {"STEMBRIDGE_PLUGINS": provider, "STEMBRIDGE_JOBS_LEASE_SECONDS": "60"}
        try:
            for machine in machines[1:]:
                machine.process = machine.start("worker")
            while not all("working" in machine.said() for machine in machines[1:]):
                time.sleep(0.1)
            with machines[0].session() as session:

                async def add(number: int) -> None:
                    song = write_song(
                        machines[0].music / f"{number}.wav", seconds, 44100 if seconds > 1 else 8000, seed=number
                    )
                    source = await session.look(song)
                    await session.add(source, await session.plan(source, wish))

                for number in range(count):
                    asyncio.run(add(number))
                # What was done while songs were still handed in is not counted.
                before, began = session.store.counts()[JobState.DONE], time.perf_counter()
                while session.store.counts()[JobState.DONE] < count:
                    time.sleep(0.05)
                return (count - before) / (time.perf_counter() - began)
        finally:
            for machine in machines[1:]:
                if machine.process is not None:
                    machine.process.terminate()
                    machine.process.wait()


def main() -> None:
    server = Server(os.getpid())
    try:
        for provider in sys.argv[1:] or CASES:
            one, four = measure(server, provider, 1), measure(server, provider, 4)
            print(f"{provider}: {one:.2f} songs a second by one worker, {four:.2f} by four: {four / one:.2f} times")
        print(f"{len(os.sched_getaffinity(0))} processors, load {os.getloadavg()[0]:.0f}")
    finally:
        server.stop()


if __name__ == "__main__":
    main()
