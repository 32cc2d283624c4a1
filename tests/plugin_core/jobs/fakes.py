"""A service kept in a folder, so that real processes can share it, and work that talks to it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from plugin_core.errors import OutcomeUnknownError
from plugin_core.files.database import new_id
from plugin_core.jobs.engine import Engine
from plugin_core.jobs.keys import dedupe_key
from plugin_core.jobs.work import Staged
from plugin_core.model import Job, JobState, Progress, Quote, Separation, Source, Stem, Ticket
from plugin_core.protocols import Finished, Report, Terms, Waiting
from plugin_core.purchases.purchase import KeptPart, Purchase
from plugin_core.stems.publication import Published

Fault = BaseException | Callable[[], object]


def make_job(
    number: int = 1,
    *,
    account: str = "fake",
    path: Path | None = None,
    dedupe: str | None = None,
    to: Path | None = None,
    clock: Callable[[], float] = time.time,
) -> Job:
    """Return a queued job on a source of its own."""
    operation = Separation(provider="fake", to=to)
    source = Source(
        path=path or Path(f"/music/{number}.wav"),
        device=1,
        inode=number,
        size=1,
        mtime_ns=1,
        content=f"{number:064x}",
        duration=1.0,
        frames=1,
        channels=2,
        sample_rate=44100,
        encoding="pcm_16",
    )
    return Job(
        id=new_id(clock),
        state=JobState.QUEUED,
        operation=operation,
        source=source,
        account=account,
        dedupe=dedupe or dedupe_key(source.content, operation, account),
        created=clock(),
        updated=clock(),
        due=0.0,
    )


class Service:
    """What would be charged and what would run, as files; each paid create is one line of ``creates``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def log(self, name: str, line: str) -> None:
        """Append one line, whole even when several processes write."""
        file = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(file, f"{line}\n".encode())
        os.close(file)

    def lines(self, name: str) -> list[str]:
        """Return the lines of a log."""
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def create(self, key: str) -> Ticket:
        """Charge and start a job."""
        self.log("creates", key)
        return Ticket(remote_id=f"remote-{key}")

    def has(self, key: str) -> bool:
        """Tell whether a job with the key was charged."""
        return key in self.lines("creates")


PATIENCE = 120.0


def run(engine: Engine, ids: Collection[str] | None = None) -> None:
    """Work until these jobs, or all, are settled."""
    asyncio.run(asyncio.wait_for(engine.run(ids), PATIENCE))


class FakeWork:
    """Work with scripted faults: ``faults[method]`` are used up one a call, before or (``late_``) after the effect."""

    def __init__(self, service: Service, *, slots: int = 8, occupies: bool = True, delay: float = 0.0) -> None:
        self.service = service
        self.limit = slots
        self.is_remote = occupies
        self.delay = delay
        self.polls = 1
        self.calls: list[str] = []
        self.faults: dict[str, list[Fault | None]] = {}
        self.reusable: Staged | None = None
        self.found_at: Source | None = None
        self.kept: set[str] = set()
        self.knows_absence = True
        self.says = Terms()
        self.can_find = True
        self.keys = ""
        """The account that the settings name now; "" for the job's own."""
        self.gate: Path | None = None
        """Paid calls are held up, sent and not yet charged, while this file exists."""
        self.on_call: Callable[[str, Job], None] = lambda name, job: None
        self._polled: dict[str, int] = {}

    def fail(self, name: str, faults: Iterable[Fault | None]) -> None:
        """Script the next calls of a method."""
        self.faults.setdefault(name, []).extend(faults)

    async def _enter(self, name: str, job: Job) -> None:
        self.calls.append(name)
        self.on_call(name, job)
        await self._fault(name)
        await asyncio.sleep(self.delay)

    async def _fault(self, name: str) -> None:
        queue = self.faults.get(name)
        fault = queue.pop(0) if queue else None
        if isinstance(fault, BaseException):
            raise fault
        if fault is not None:
            result = fault()
            if asyncio.iscoroutine(result):
                await result

    async def slots(self, job: Job) -> int:
        await self._fault("slots")
        return self.limit

    def occupies(self, job: Job) -> bool:
        return self.is_remote

    def account(self, job: Job) -> str:
        return self.keys or job.account

    def terms(self, job: Job) -> Terms:
        return self.says

    async def prepare(self, job: Job, attempt: str, report: Report) -> None:
        await self._enter("prepare", job)

    async def reuse(self, job: Job, twins: Sequence[Job]) -> Staged | None:
        await self._enter("reuse", job)
        return self.reusable

    async def locate(self, job: Job) -> Source | None:
        await self._enter("locate", job)
        return self.found_at

    async def quote(self, job: Job) -> Quote:
        return job.quote or Quote()

    def has_kept(self, job: Job, purchase: Purchase) -> bool:
        return purchase.id in self.kept

    async def submit(self, job: Job, attempt: str, report: Report) -> Ticket:
        await self._enter("submit", job)
        while self.gate is not None and self.gate.exists():  # noqa: ASYNC110 - another process removes it
            await asyncio.sleep(0.01)
        ticket = self.service.create(key_of(job))
        await self._fault("late_submit")
        await asyncio.sleep(self.delay)
        return ticket

    async def find(self, job: Job, attempt: str) -> Ticket | None:
        await self._enter("find", job)
        if self.can_find and self.service.has(key_of(job)):
            return Ticket(remote_id=f"remote-{key_of(job)}")
        if self.can_find and self.knows_absence:
            return None
        raise OutcomeUnknownError("the service cannot tell")

    async def poll(self, job: Job, attempt: str, report: Report) -> Waiting | Finished:
        await self._enter("poll", job)
        count = self._polled[job.id] = self._polled.get(job.id, 0) + 1
        if count < self.polls:
            return Waiting(seconds=0.01, progress=Progress(fraction=count / self.polls))
        return Finished()

    async def bring(self, job: Job, attempt: str, report: Report) -> tuple[KeptPart, ...]:
        await self._fault("bring")
        return ()

    async def fetch(self, job: Job, attempt: str, report: Report, purchase: Purchase | None) -> Staged:
        await self._enter("fetch", job)
        if self.is_remote:
            self.kept.add(key_of(job))
        return Staged(stems=(make_stem(job),), notes=("treated",))

    async def target(self, job: Job) -> Path:
        await self._enter("target", job)
        return Path(f"/music/{job.id}.stems")

    async def publish(self, job: Job, attempt: str) -> Published:
        await self._enter("publish", job)
        return Published(stems=job.staged)

    async def cancel(self, job: Job, attempt: str) -> None:
        await self._enter("cancel", job)
        self.service.log("cancels", job.ticket.remote_id if job.ticket else job.id)

    async def drop_fetched(self, job: Job) -> None:
        await self._enter("drop_fetched", job)

    async def discard(self, job: Job, *, release: bool = True) -> None:
        await self._enter("discard", job)
        if release:
            self.service.log("released", key_of(job))


def key_of(job: Job) -> str:
    """Return the key under which a service knows a job."""
    return job.purchase or job.id


def make_stem(job: Job) -> Stem:
    """Return a stem that names its job."""
    return Stem(name="vocals", label="Vocals", path=Path(f"/staging/{job.id}.flac"), size=1, sha256="0")
