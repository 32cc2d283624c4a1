"""A client of MVSEP that answers from lists, and orders for it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from plugin_core.errors import StembridgeError
from plugin_core.manifests import manifest
from plugin_core.model import Separation, Source, Ticket
from plugin_core.protocols import Order
from plugin_core.providers.mvsep.account_calls import HistoryEntry, Notice, QueuedJob, QueueState, User
from plugin_core.providers.mvsep.catalogue import Algorithm, read_algorithms
from plugin_core.providers.mvsep.client import MvsepClient
from plugin_core.providers.mvsep.job_calls import Created, Creation, JobAnswer
from plugin_core.settings import Secret
from plugin_core.transfer import Bytes

BASE = "http://127.0.0.1:9/api"
NOW = 1_790_000_000.0
KEY = str(uuid.UUID(int=int(NOW * 1000) << 80 | 7 << 76 | 2 << 62 | 12345))
TOKEN = Secret("x" * 30)

FREE = User(name="n", email="e@example.org", premium_minutes=0.0, premium_enabled=False)
PREMIUM = User(name="n", email="e@example.org", premium_minutes=54.0, premium_enabled=True)


@cache
def snapshot() -> tuple[Algorithm, ...]:
    """Return the shipped algorithms."""
    return read_algorithms(snapshot_document())


def snapshot_document() -> Any:
    """Return the shipped snapshot as JSON."""
    return json.loads(manifest("providers/mvsep_algorithms.json").read_bytes())


def algorithm(number: int) -> Algorithm:
    """Return one shipped algorithm."""
    return next(one for one in snapshot() if one.id == str(number))


def make_source(path: Path = Path("Song.flac"), *, duration: float = 240.0, encoding: str = "pcm_16") -> Source:
    """Describe a song that need not exist."""
    return Source(
        path=path,
        device=0,
        inode=0,
        size=1000,
        mtime_ns=0,
        content="c0ffee",
        duration=duration,
        frames=round(duration * 44100),
        channels=2,
        sample_rate=44100,
        encoding=encoding,
    )


def make_order(
    folder: Path, path: Path = Path("Song.flac"), *, ticket: Ticket | None = None, key: str = KEY, **wish: Any
) -> Order:
    """Make the order of a resolved separation."""
    values = {"model": "40", "options": {"add_opt1": "81", "add_opt2": "2", "output_format": "2"}} | wish
    operation = Separation(provider="mvsep", **values)
    return Order(
        key=key,
        attempt="attempt-1",
        source=make_source(path),
        operation=operation,
        folder=folder,
        ticket=ticket,
        sent=NOW if ticket is not None else 0.0,
    )


class FakeClient(MvsepClient):
    """Answers what it is told to, and remembers what it was asked.

    Attributes:
        asked: name and arguments of each call.
        failing: errors by name of the call.
    """

    def __init__(self, user: User = FREE) -> None:
        self.base_url = BASE
        self.account = user
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.failing: dict[str, StembridgeError] = {}
        self.answers: list[JobAnswer] = []
        self.remote_answers: list[JobAnswer] = []
        self.entries: list[HistoryEntry] = []
        self.models: Any = snapshot_document()
        self.created = Created(hash="20260101101500-0a1b2c3d4e-song.flac", link=f"{BASE}/separation/get?hash=x")
        self.contents: dict[str, bytes] = {}
        self.free_left: int | None = 49

    def names(self) -> list[str]:
        """Return the names of all calls."""
        return [name for name, _ in self.asked]

    def _note(self, call: str, /, **arguments: Any) -> None:
        self.asked.append((call, arguments))
        if call in self.failing:
            raise self.failing[call]

    def origin_of(self, link: str) -> str:
        """Return the API a link lies below."""
        return link.partition("/separation/")[0] or self.base_url

    async def create(self, creation: Creation, *, report: Bytes | None = None) -> Created:
        """Remember the upload's bytes."""
        audio = creation.audio
        told = msgspec.structs.asdict(creation) | {"report": report}
        self._note("create", **told, content=audio.read_bytes() if audio else b"")
        return self.created

    async def get(self, job: str, *, origin: str = "", mirror: bool = False) -> JobAnswer:
        """Give the next answer; the last one for ever."""
        self._note("get", job=job, origin=origin)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def get_remote(self, job: str, *, origin: str = "") -> JobAnswer:
        """Give the next answer; the last one for ever."""
        self._note("get_remote", job=job, origin=origin)
        return self.remote_answers.pop(0) if len(self.remote_answers) > 1 else self.remote_answers[0]

    async def cancel(self, job: str, *, origin: str = "") -> Notice:
        """Cancel."""
        self._note("cancel", job=job, origin=origin)
        return Notice(success=True)

    async def delete(self, job: str, *, origin: str = "") -> Notice:
        """Delete."""
        self._note("delete", job=job, origin=origin)
        return Notice(success=True)

    async def download(
        self,
        url: str,
        target: Path,
        *,
        size: int | None = None,
        limit: int = 8 << 30,
        report: Callable[[int, int | None], None] | None = None,
        part: Path | None = None,
        earlier: Sequence[Path] = (),
    ) -> int:
        """Write what the link holds."""
        self._note("download", url=url, target=target, size=size, limit=limit, part=part, earlier=earlier)
        await asyncio.to_thread(target.write_bytes, self.contents[url])
        if report is not None:
            report(len(self.contents[url]), size)
        return len(self.contents[url])

    async def algorithms(self, scopes: Collection[str] = ()) -> Any:
        """Give the list of models."""
        self._note("algorithms", scopes=scopes)
        return self.models

    async def login(self, email: str, password: Secret) -> User:
        """Give the account."""
        self._note("login", email=email, password=password)
        return self.account

    async def user(self) -> User:
        """Give the account."""
        self._note("user")
        return self.account

    async def queue(self) -> QueueState:
        """Give the state of the queue."""
        self._note("queue")
        return QueueState(premium=1, registered=2, unregistered=3, free_left=self.free_left, free_max=50)

    async def history(self, *, start: int = 0, limit: int = 20) -> tuple[HistoryEntry, ...]:
        """Give a page of the entries, ten at most as an older server does."""
        self._note("history", start=start, limit=limit)
        return tuple(self.entries[start : start + min(limit, 10)])

    def queue_up(self, *hashes: str) -> None:
        """Have jobs wait in the account's queue."""
        queue = tuple(QueuedJob(hash=one) for one in hashes)
        self.account = msgspec.structs.replace(self.account, current_queue=queue)


class Clock:
    """A time that stands until it is moved."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def live_item(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return an algorithm in the service's own form, with JSON inside JSON."""
    fields = [{**field, "options": json.dumps(field["options"])} for field in values.get("algorithm_fields", [])]
    packed = {name: json.dumps(values[name]) for name in ("outputs", "output_stems") if name in values}
    return {"audio_widget": "single_upload", "is_active": 1, **values, **packed, "algorithm_fields": fields}
