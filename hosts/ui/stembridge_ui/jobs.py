"""The jobs of all hosts as the page shows them: a page of the list, what changes meanwhile, the acts, the labels."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from plugin_core import JobSet, read_labels
from plugin_core.console.phrases import (
    clean,
    describe,
    describe_fields,
    describe_place,
    describe_problem,
    describe_result,
    encodable,
    list_notes,
)
from plugin_core.errors import StembridgeError, UsageError
from plugin_core.model import Job, JobState, Separation, Tagging, show_path, to_json
from plugin_core.session import Session
from plugin_core.settings import expand_user
from plugin_core.tasks import start

LOOK_EVERY: Final = 0.3
"""Seconds between two looks at whether the store changed, while anybody watches."""
REST: Final = 10.0
"""How many times as long as a look took nobody looks again: of a million jobs it takes longer."""
SIGN_EVERY: Final = 15.0
"""Seconds after which a silent stream says that it lives."""
MOST_ROWS: Final = 200
WATCHED: Final = (
    *(JobState.SUBMITTING, JobState.RUNNING, JobState.FETCHING, JobState.PUBLISHING),
    JobState.UNCONFIRMED,
)
"""States that jobs leave by themselves, or at somebody's word; how many are queued does not matter."""
_BEHIND: Final = 64
"""Events that a watcher may be behind before it is told to look anew."""

Row = dict[str, Any]
_Said = TypeVar("_Said")


class Json(Response):
    """Any of the core's nouns as JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return to_json(content)


class Board:
    """The jobs of a store.

    Args:
        session: the store, and what can be done to its jobs.
        work: the jobs that this process works on.
    """

    def __init__(self, session: Session, work: JobSet) -> None:
        self._session = session
        self._work = work
        self._rows: dict[str, Row] = {}
        self._watchers: set[asyncio.Queue[bytes]] = set()
        self._is_stale = True
        self._has_newcomer = False
        self._token: tuple[int | str, int] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._is_over = False

    def routes(self) -> list[Route]:
        """Return where it is asked."""
        return [
            Route("/api/jobs", self._list),
            Route("/api/jobs/{id}", self._show),
            Route("/api/jobs/{id}/{act}", self._act, methods=["POST"]),
            Route("/api/events", self._stream),
        ]

    def hear(self, job: Job, _previous: Job | None) -> None:
        """Hear of a change that this process made."""
        self._is_stale = True
        if job.state.is_settled:
            self._work.discard(job.id)

    def close(self) -> None:
        """End every stream."""
        self._is_over = True
        for queue in self._watchers:
            queue.put_nowait(b"") if not queue.full() else None
        if self._looking is not None:
            self._looking.cancel()

    async def _list(self, request: Request) -> Response:
        query = request.query_params
        limit = min(MOST_ROWS, max(1, read_number(query.get("limit", ""), 100)))
        words = [word for word in query.get("state", "").split(",") if word]
        try:
            states = [JobState(word) for word in words] or None
        except ValueError as error:
            raise UsageError(f"no state {query.get('state')!r}") from error
        store = self._session.store
        jobs = await asyncio.to_thread(store.list, states, limit, query.get("before", ""))
        counts = await asyncio.to_thread(store.counts)
        return Json({"rows": [row_of(job) for job in jobs], "counts": counts})

    async def _show(self, request: Request) -> Response:
        job = self.find(request)
        return Json(await asyncio.to_thread(details_of, job))

    def find(self, request: Request) -> Job:
        """Return the job that a request names by its whole id.

        Raises:
            UsageError: there is none.
        """
        job = self._session.store.find(request.path_params["id"])
        if job is None:
            raise UsageError("no such job; it may have been pruned")
        return job

    async def _act(self, request: Request) -> Response:
        job, session = self.find(request), self._session
        match request.path_params["act"]:
            case "cancel":
                job = await asyncio.to_thread(session.store.request_cancel, job.id)
            case "retry":
                job = await asyncio.to_thread(session.retry, job.id)
            case "buy":
                job = await asyncio.to_thread(session.retry, job.id, force=True)
            case "undo":
                return Json(await self._undo(job))
            case _:
                raise UsageError("nobody knows how to do that")
        self._is_stale = True
        if job.state.is_active:
            self._work.add(job.id)
        return Json(row_of(job))

    async def _undo(self, job: Job) -> Row:
        if job.written is None:
            raise UsageError("this job wrote no labels")
        undone = await asyncio.to_thread(self._session.undo, job.written.path)
        words = "the file is what it was before" if undone.exact else describe_fields(undone.fields) or "nothing left"
        return {"told": f"taken back: {clean(words)}"}

    # What changes

    async def _stream(self, _request: Request) -> Response:
        queue: asyncio.Queue[bytes] = asyncio.Queue(_BEHIND)
        self._watchers.add(queue)
        # What changed between the list it asked for and this moment.
        self._has_newcomer = self._is_stale = True
        if self._looking is None or self._looking.done():
            self._looking = start(self._look_on())
        return StreamingResponse(self._tell(queue), media_type="text/event-stream")

    async def _tell(self, queue: asyncio.Queue[bytes]) -> AsyncIterator[bytes]:
        try:
            yield b"retry: 1000\n\n"
            while not self._is_over:
                try:
                    event = await asyncio.wait_for(queue.get(), SIGN_EVERY)
                except TimeoutError:
                    event = b""
                yield b"data: " + event + b"\n\n" if event else b":\n\n"
        finally:
            self._watchers.discard(queue)

    async def _look_on(self) -> None:
        """Tell the watchers of what changed, for as long as there are any."""
        while self._watchers and not self._is_over:
            began = time.monotonic()
            try:
                event = await asyncio.to_thread(self._look)
            except StembridgeError as error:
                event = {"trouble": str(error)}
            if event:
                self._send(to_json(event))
            await asyncio.sleep(max(LOOK_EVERY, REST * (time.monotonic() - began)))

    def _send(self, event: bytes) -> None:
        for queue in self._watchers:
            if queue.full():
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(b'{"anew":true}')
            else:
                queue.put_nowait(event)

    def _look(self) -> Row:
        """Return what changed since the last look; nothing where nothing did."""
        store = self._session.store
        token = store.changes_token()
        if token == self._token and not self._is_stale:
            return {}
        has_newcomer, self._has_newcomer = self._has_newcomer, False
        self._token, self._is_stale = token, False
        jobs = {job.id: job for job in (*store.list(limit=100), *store.list(states=WATCHED, limit=MOST_ROWS))}
        gone = []
        for job_id, row in self._rows.items():
            if job_id not in jobs:
                job = store.find(job_id)
                if job is None:
                    gone.append(job_id)
                elif row["state"] in WATCHED:
                    jobs[job_id] = job
        rows = {job_id: row_of(job) for job_id, job in jobs.items()}
        changed = [row for job_id, row in rows.items() if has_newcomer or self._rows.get(job_id) != row]
        self._rows = rows
        return {"rows": changed, "gone": gone, "counts": store.counts()}


def row_of(job: Job) -> Row:
    """Return what the list tells of a job, every text safe to show."""
    operation, progress = job.operation, job.progress
    is_separation = isinstance(operation, Separation)
    return {
        "id": job.id,
        "state": job.state,
        "song": show_name(job.source.path),
        "folder": show_path(job.source.path.parent),
        "kind": "separation" if is_separation else "tagging",
        "what": clean(describe(operation, job.quote.title if job.quote else "")),
        "host": job.host,
        "preset": job.preset,
        "created": job.created,
        "updated": job.updated,
        "progress": progress.fraction if progress is not None and job.state.is_active else None,
        "note": clean(progress.note) if progress is not None and job.state.is_active else "",
        "place": describe_place(job) if job.state.is_active else "",
        "problem": clean(describe_problem(job)) if job.problem is not None else "",
        "needs_word": job.problem is not None and job.problem.needs_word,
        "is_cancelling": job.cancel and job.state.is_active,
        "result": clean(describe_result(job)) if job.state is JobState.DONE else "",
    }


def show_name(song: Path) -> str:
    """Return the file name of a song as it can be shown."""
    return encodable(clean(song.name))


def details_of(job: Job) -> Row:
    """Return what a song's own page tells of its job."""
    written = job.written
    return row_of(job) | {
        "duration": job.source.duration,
        "rate": job.source.sample_rate,
        "channels": job.source.channels,
        "notes": [clean(note) for note in list_notes(job)],
        "labels": labels_of(job),
        "is_written": written is not None and bool(written.fields),
        "purchase": job.purchase,
    }


def labels_of(job: Job) -> list[Row]:
    """Return the findings about a song, by dimension, the surest first, and whether each stands in its tags now."""
    if not isinstance(job.operation, Tagging):
        return []
    kept = set(_read_kept(job))
    rows: Iterable[Row] = (
        {
            "dimension": label.dimension,
            "value": clean(label.english or label.value),
            "probability": label.probability,
            "is_written": (label.english or label.value).casefold() in kept or label.value.casefold() in kept,
        }
        for label in job.labels
    )
    return sorted(rows, key=lambda row: (row["dimension"], -(row["probability"] or 0.0)))


def _read_kept(job: Job) -> Iterator[str]:
    """Yield what stands in the fields that a job wrote, without case; nothing of a file that cannot be read."""
    if job.written is None or not job.written.fields:
        return
    # The job follows its song, what it wrote does not.
    song = job.written.path if job.written.path.exists() else job.source.path
    with suppress(StembridgeError):
        for values in read_labels(song, job.written.fields).values():
            for value in values:
                # ID3 before v2.4 holds several as one.
                yield from (part.strip().casefold() for part in (value, *value.split("/")))


def read_number(text: str, usual: int) -> int:
    """Return a number of a request; the usual one for what is none."""
    return int(text) if text.isdecimal() and len(text) < 10 else usual


async def read_wish(request: Request, kind: type[_Said]) -> _Said:
    """Return what a request asks for.

    Raises:
        UsageError: it is nothing of that kind.
    """
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except msgspec.MsgspecError as error:
        raise UsageError(f"what the page asks for cannot be read: {error}") from error


MOST_JOBS: Final = 50_000
"""Jobs that are looked through, the newest first."""
_AT_ONCE: Final = 500
"""Jobs that are read in one go."""
MOST_ASKED: Final = 100
"""Songs whose tags are looked into in one go."""


class LabelsRequest(msgspec.Struct):
    """Jobs whose songs are shown."""

    ids: list[str]


class LabelRoutes:
    """The labels in a store.

    Args:
        session: the store.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def routes(self) -> list[Route]:
        """Return where it is asked."""
        return [Route("/api/labels", self._list), Route("/api/labels/written", self._look, methods=["POST"])]

    async def _list(self, request: Request) -> Response:
        word = request.query_params.get("folder", "").strip()
        try:
            folder = expand_user(word) if word else None
        except ValueError as error:
            raise UsageError(str(error)) from error
        if folder is not None and (not folder.is_absolute() or "\0" in word):
            raise UsageError(f"{clean(word)!r} is no whole path", remedy="begin with / or ~")
        songs, is_whole = await asyncio.to_thread(self._collect, folder)
        return Json({"songs": songs, "is_whole": is_whole})

    def _collect(self, folder: Path | None) -> tuple[list[Row], bool]:
        found: dict[Path, Row] = {}
        # Not all in one go: whoever writes to the store meanwhile waits for no more than a page.
        last, left = "", MOST_JOBS
        while left > 0:
            jobs = self._session.store.list([JobState.DONE], min(_AT_ONCE, left), last)
            for job in jobs:
                path = job.source.path
                is_meant = folder is None or path.is_relative_to(folder)
                if isinstance(job.operation, Tagging) and is_meant and path not in found:
                    found[path] = _describe(job)
            if len(jobs) < _AT_ONCE:
                return list(found.values()), True
            last, left = jobs[-1].id, left - len(jobs)
        return list(found.values()), False

    async def _look(self, request: Request) -> Response:
        """Tell whose labels stand in the song's tags now."""
        asked = await read_wish(request, LabelsRequest)
        jobs = await asyncio.to_thread(self._session.store.find_all, asked.ids[:MOST_ASKED])

        def look() -> dict[str, bool]:
            return {job.id: any(one["is_written"] for one in labels_of(job)) for job in jobs}

        return Json(await asyncio.to_thread(look))


def _describe(job: Job) -> Row:
    surest: dict[str, tuple[str, float | None]] = {}
    for label in sorted(job.labels, key=lambda label: -(label.probability or 0.0)):
        surest.setdefault(label.dimension, (clean(label.english or label.value), label.probability))
    path = job.source.path
    return {"id": job.id, "song": show_name(path), "folder": show_path(path.parent), "labels": surest}
