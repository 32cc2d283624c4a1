"""What the songs of a library, or of a folder, were labelled with: of each dimension the surest, by the latest job."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from plugin_core.console.phrases import clean
from plugin_core.errors import UsageError
from plugin_core.model import Job, JobState, Tagging, show_path
from plugin_core.session import Session
from plugin_core.settings import expand_user
from stembridge_ui.jobs import Json, Row, labels_of, read_wish, show_name

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
