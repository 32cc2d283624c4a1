"""The hot folders and what becomes of their songs, asked for by the command that tells programs of it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from plugin_core.console.phrases import clean
from plugin_core.errors import StembridgeError, UsageError
from plugin_core.settings import Settings
from stembridge_ui.jobs import Json, read_wish

WITHIN: Final = 60.0
MOST_SONGS: Final = 500
_OPEN_FIRST: Final = ("failed", "unconfirmed", "working", "moving", "waiting", "held", "settling", "queued", "retry")


class WatchedSong(msgspec.Struct):
    """A song of a hot folder, by its absolute path."""

    source: str


class Pause(msgspec.Struct):
    """What a hot folder, by its absolute path, shall do."""

    path: str
    is_paused: bool


class HotFolders:
    """What ``stembridge watch`` knows.

    Args:
        settings: tell the home that is meant.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._at_once = asyncio.Lock()

    def routes(self) -> list[Route]:
        """Return where it is asked."""
        return [
            Route("/api/folders", self._show),
            Route("/api/folders/retry", self._retry, methods=["POST"]),
            Route("/api/folders/pause", self._pause, methods=["POST"]),
        ]

    async def _show(self, _request: Request) -> Response:
        folders: list[dict[str, Any]] = []
        for event in await self._ask(["status"]):
            match event.get("event"):
                case "folder":
                    told = {"is_watched": event["watched"], "is_paused": event["paused"], "counts": event["songs"]}
                    folders.append({"path": event["path"], "songs": []} | told)
                case "song" if folders:
                    songs = folders[-1]["songs"]
                    if event["state"] in _OPEN_FIRST and len(songs) < MOST_SONGS:
                        songs.append({name: event[name] for name in ("source", "state", "reason", "behind")})
        return Json(folders)

    async def _retry(self, request: Request) -> Response:
        song = await read_wish(request, WatchedSong)
        await self._ask(["retry", "--", _require_path(song.source)])
        return Json({})

    async def _pause(self, request: Request) -> Response:
        wish = await read_wish(request, Pause)
        await self._ask(["pause" if wish.is_paused else "resume", "--", _require_path(wish.path)])
        return Json({})

    async def _ask(self, words: Sequence[str]) -> list[dict[str, Any]]:
        """Return the events that a command writes.

        Raises:
            StembridgeError: it says why it cannot.
        """
        command = [sys.executable, "-m", "plugin_core", "watch", words[0], "--json", *words[1:]]
        environ = {**self._settings.environ, "STEMBRIDGE_HOME": str(self._settings.home)}
        async with self._at_once:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                async with asyncio.timeout(WITHIN):
                    told, _ = await process.communicate()
            except TimeoutError as error:
                raise StembridgeError("the hot folders did not answer in time") from error
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        events = [json.loads(line) for line in told.splitlines()]
        for event in events:
            if event.get("event") == "error":
                raise StembridgeError(event["message"], remedy=event["remedy"])
        return events


def _require_path(word: str) -> str:
    """Return a word that a command may be given as a path."""
    if not os.path.isabs(word) or "\0" in word:  # noqa: PTH117 - a word, not yet a path
        raise UsageError(f"{clean(word)!r} is no whole path")
    return word
