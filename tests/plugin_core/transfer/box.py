"""A service with nothing of its own: it takes bodies, serves bytes and points elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plugin_core.settings import Secret
from plugin_core.transfer import Transfer
from tests.simulators.blobs import Blob
from tests.simulators.messages import Answer, Request, json_answer, text_answer
from tests.simulators.server import Simulator
from tests.simulators.storage import serve

TOKEN = Secret("s3cret/token+0123")


class BoxSimulator(Simulator):
    """``/data/NAME`` serves ``contents``; ``/to/...`` answers ``location``; all else says what came in."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.contents: dict[str, bytes] = {}
        self.etags: dict[str, str | None] = {}
        self.has_ranges = True
        self.location = ""
        self.status = 302
        self.limits: Iterator[dict[str, str]] = iter(())

    def respond(self, request: Request) -> Answer:
        if request.path.startswith("/data/"):
            return self._serve(request, request.path.removeprefix("/data/"))
        if request.path.startswith("/to/"):
            return Answer(self.status, headers={"Location": self.location})
        answer = json_answer({"length": request.body.length, "sha256": request.sha256, "fields": request.form.fields})
        answer.headers.update(next(self.limits, {}))
        return answer

    def _serve(self, request: Request, name: str) -> Answer:
        if name not in self.contents:
            return text_answer("gone", 404)
        etag = self.etags.get(name, "1")
        return serve(request, Blob.of(self.contents[name]), etag=etag, has_ranges=self.has_ranges)


class Waits:
    """A clock that only sleeping moves, and the sleeps."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def transfer(self, **values: Any) -> Transfer:
        settings = {"secrets": [TOKEN], "clock": self.clock, "sleep": self.sleep, "rng": lambda: 0.0}
        return Transfer("Box", **{**settings, **values})
