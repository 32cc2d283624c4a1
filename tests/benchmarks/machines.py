"""Ten million tracks, by simulation with virtual time through the real store, gate and engine.

Run it with ``python -m tests.benchmarks.machines``; it prints the table of ``manifests/machines/README.md``. Some
hundred tracks are worked on for each case, in seconds of virtual time that pass as fast as the store allows, with all
slots full; what a track took there is multiplied.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from plugin_core.jobs.engine import Engine
from plugin_core.jobs.policy import Policy
from plugin_core.jobs.store import JobStore
from plugin_core.model import Job, Progress, Quote, Ticket
from plugin_core.protocols import Finished, Report, Waiting
from plugin_core.recordings import tables
from plugin_core.recordings.tables import Recording
from tests.plugin_core.jobs.fakes import FakeWork, Service, make_job

TRACKS = 10_000_000
SERVICE_SECONDS, POLL_SECONDS, MOVE_SECONDS = 60.0, 10.0, 8.0
"""At the service from create to ready; between two looks; up and down together, in a slot as well."""
LOCAL_SECONDS, CORES = 8.0, 8
"""A song of four minutes at 30 times real time on a core, on machines of so many."""
CREDITS = 1.0
DAY = 86_400.0


class Case(NamedTuple):
    """One way to do it."""

    name: str
    accounts: int
    slots: int
    machines: int
    is_remote: bool = True


CASES = (
    Case("one account of 10 slots", 1, 10, 1),
    Case("50 accounts of 10 slots", 50, 10, 4),
    Case("local engines on 100 machines of 8 cores", 1, CORES, 100, is_remote=False),
)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop in which waiting takes no time."""

    def __init__(self) -> None:
        super().__init__(_Selector(self))
        self.now = 0.0

    def time(self) -> float:
        return self.now


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout:
            self._loop.now += timeout
        return ready


class Track(FakeWork):
    """A service, or an engine, that takes as long as it does."""

    def __init__(self, clock: Callable[[], float], slots: int, *, is_remote: bool) -> None:
        super().__init__(Nothing(), slots=slots, occupies=is_remote)
        self._clock = clock
        self._began: dict[str, float] = {}
        self.alive: Counter[str] = Counter()
        self.most = 0

    async def submit(self, job: Job, attempt: str, report: Report) -> Ticket:
        self.alive[job.account] += 1
        self.most = max(self.most, self.alive[job.account])
        if self.is_remote:
            await asyncio.sleep(MOVE_SECONDS / 2)
        self._began[job.id] = self._clock()
        return Ticket(remote_id=job.id)

    async def poll(self, job: Job, attempt: str, report: Report) -> Waiting | Finished:
        if not self.is_remote:
            await asyncio.sleep(LOCAL_SECONDS)
        elif (left := self._began[job.id] + SERVICE_SECONDS - self._clock()) > 0:
            return Waiting(seconds=min(POLL_SECONDS, left), progress=Progress(note="processing"))
        return Finished()

    async def fetch(self, job: Job, *rest: Any) -> Any:
        if self.is_remote:
            await asyncio.sleep(MOVE_SECONDS / 2)
        staged = await super().fetch(job, *rest)
        self.alive[job.account] -= 1
        return staged


class Nothing(Service):
    """A service without a folder."""

    def __init__(self) -> None:
        """Keep nothing."""

    def log(self, name: str, line: str) -> None:
        """Note nothing."""


class Figures(NamedTuple):
    """What a case took."""

    tracks: int
    seconds: float
    """A track, once all slots are full."""
    transactions: float
    rows: float
    size: float
    most: int
    processor: float


@contextmanager
def counted(store: JobStore) -> Iterator[Counter[str]]:
    """Count the transactions of a store."""
    counts, database = Counter[str](), store._database
    real = database.write

    def count(*arguments: Any, **how: Any) -> Any:
        counts["write"] += 1
        return real(*arguments, **how)

    database.write = count  # type: ignore[method-assign]
    yield counts


def enter(store: JobStore, recording: str) -> None:
    """Put in what is known of a song's sound: its recording, and the digests of its bytes and of its samples."""
    digests = [f"{kind}:{recording:0<64}" for kind in ("raw1", "pkt1")]
    with store._database.write(durable=False) as connection:
        tables.new(connection, Recording(id=recording, rate=44100, channels=2, frames=0, duration=240.0))
        tables.remember(connection, recording, digests)


def simulate(case: Case, home: Path, tracks: int) -> Figures:
    """Work on some tracks as a case would; of machines with engines of their own one does its share."""
    loop, rows = VirtualLoop(), 0
    clock = lambda: 1_700_000_000.0 + loop.time()  # noqa: E731 - a clock
    work = Track(clock, case.slots, is_remote=case.is_remote)
    quote = Quote(sent={"model": "1"}, credits=CREDITS) if case.is_remote else None
    with JobStore(home / "jobs.sqlite3", clock=clock, steady=clock, lease=3600) as store:
        for number in range(tracks):
            job = make_job(number, account=f"fake:{number % case.accounts}", clock=clock)
            enter(store, job.id)
            store.add(msgspec.structs.replace(job, quote=quote, recording=job.id), occupies=case.is_remote)
        engine = Engine(
            *(store, lambda _job: work, lambda *_: None),
            clock=clock,
            concurrency=case.accounts * case.slots + 8,
            policy=Policy(slots_for=1e9, progress_every=1e9),
        )
        began = time.process_time()
        with counted(store) as counts:
            loop.run_until_complete(engine.run())
        processor = time.process_time() - began
        with store._database.read() as connection:
            for table in ("jobs", "purchases", "recordings", "recording_aliases"):
                rows += int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    loop.close()
    size = sum(path.stat().st_size for path in home.glob("jobs.sqlite3*")) / tracks
    return Figures(
        tracks, loop.time() / tracks, counts["write"] / tracks, rows / tracks, size, work.most, processor / tracks
    )


def main() -> None:
    print(f"| {TRACKS:,} tracks | time | slots held at most | commits a second | rows | size | connections | cost |")
    print("|---|---|---|---|---|---|---|---|")
    for case in CASES:
        tracks = int(sys.argv[1]) if len(sys.argv) > 1 else max(200, 4 * case.accounts * case.slots)
        with tempfile.TemporaryDirectory() as home:
            found = simulate(case, Path(home), tracks)
        machines = 1 if case.is_remote else case.machines
        days = TRACKS * found.seconds / machines / DAY
        rate = found.transactions / found.seconds * machines
        rows = f"{TRACKS * found.rows / 1e6:.0f} million"
        cost = f"{TRACKS * CREDITS / 1e6:.0f} million times a track's credits" if case.is_remote else "electricity"
        print(
            f"| {case.name} | {describe(days)} | {found.most} of {case.slots} | {rate:.1f} | {rows} |"
            f" {TRACKS * found.size / 1e9:.0f} GB | {3 * case.machines} | {cost} |"
        )
        print(f"{case.name}: {found}", file=sys.stderr)


def describe(days: float) -> str:
    """Return a time as people say it."""
    return f"{days / 365:.1f} years" if days > 700 else f"{days:.0f} days" if days > 3 else f"{days * 24:.0f} hours"


if __name__ == "__main__":
    main()
