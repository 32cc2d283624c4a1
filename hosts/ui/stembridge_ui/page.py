"""The page: its own files, and whoever answers what it asks for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from plugin_core import JobSet
from plugin_core.console.phrases import clean
from plugin_core.errors import StembridgeError, UsageError
from plugin_core.files.hidden import HiddenNotes
from plugin_core.model import show_path
from plugin_core.session import Session
from plugin_core.tasks import run_stoppable
from stembridge_ui.door import LARGEST_CALL, Door, TooLargeError
from stembridge_ui.folders import HotFolders
from stembridge_ui.jobs import Board, Json, LabelRoutes, read_wish
from stembridge_ui.lanes import ChangedError, Fader, Lanes, lanes_of, require_heard, write_mix
from stembridge_ui.orders import LARGEST_SONG, Counter, Till

KINDS: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_log = logging.getLogger(__name__)


class Page:
    """All that is behind the door.

    Args:
        session: the core.
        work: the jobs that this process works on.
    """

    def __init__(self, session: Session, work: JobSet) -> None:
        self._session = session
        self.board = Board(session, work)
        self._lanes = Lanes(session, self.board.find)
        counter = Counter(session, work, self.board.find)
        folders = HotFolders(session.settings)
        self._files = _load_files()
        self._app = Starlette(
            routes=[
                Route("/", self._show_file),
                Route("/{name}", self._show_file),
                Route("/api/jobs/{id}/mix", self._mix, methods=["POST"]),
                *self._lanes.routes(),
                *counter.routes(),
                *folders.routes(),
                *Till(session, work).routes(),
                *LabelRoutes(session).routes(),
                *self.board.routes(),
            ],
            exception_handlers={
                StembridgeError: _refuse,
                TooLargeError: _refuse_size,
                HTTPException: _refuse_path,
                Exception: _break,
            },
        )
        self._app.router.redirect_slashes = False

    def behind_door(self, port: int, renew: Callable[[str], None]) -> Door:
        return Door(self._app, port, renew, lambda path: LARGEST_SONG if path == "/api/songs" else LARGEST_CALL)

    def close(self) -> None:
        """Let go of what is open."""
        self.board.close()
        self._lanes.close()

    async def _show_file(self, request: Request) -> Response:
        found = self._files.get(request.path_params.get("name", "index.html"))
        if found is None:
            raise HTTPException(404)
        body, kind = found
        return Response(body, media_type=kind)

    async def _mix(self, request: Request) -> Response:
        job = self.board.find(request)
        lanes = lanes_of(job)
        heard = require_heard(await read_wish(request, dict[str, Fader]), lanes)
        if not job.stems:
            raise UsageError("this job has no stems")
        notes = HiddenNotes(self._session.settings.home)
        path, clipped = await run_stoppable(lambda stopper: write_mix(job, lanes, heard, notes, stopper))
        return Json({"path": show_path(path), "name": show_path(Path(path.name)), "clipped": clipped})


def _load_files() -> dict[str, tuple[bytes, str]]:
    """Read the page's own files once: no name in a request is ever looked for on the disk."""
    found: dict[str, tuple[bytes, str]] = {}
    for one in files("stembridge_ui").joinpath("static").iterdir():
        suffix = one.name[one.name.rfind(".") :]
        if suffix in KINDS:
            found[one.name] = (one.read_bytes(), KINDS[suffix])
    return found


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, StembridgeError)
    status = 412 if isinstance(error, ChangedError) else 409 if isinstance(error, UsageError) else 422
    return _tell(status, clean(error.message), clean(error.remedy))


async def _refuse_size(_request: Request, _error: Exception) -> Response:
    return _tell(413, "this is larger than the page takes", "", {"connection": "close"})


async def _refuse_path(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return _tell(status, "there is nothing here", "")


async def _break(_request: Request, error: Exception) -> Response:
    _log.error("the page broke: %s: %s", type(error).__name__, error, exc_info=error)
    return _tell(500, "something went wrong here; the log tells more", "")


def _tell(status: int, message: str, remedy: str, headers: dict[str, str] | None = None) -> Response:
    body: dict[str, Any] = {"message": message, "remedy": remedy}
    return Json(body, status, headers)
