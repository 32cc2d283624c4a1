"""An MVSEP whose tests can wait for what is asked of it."""

from __future__ import annotations

import threading
from typing import Any, Final

from tests.simulators.messages import Answer, Request
from tests.simulators.mvsep.service import MvsepSimulator

ASKED: Final = "*/separation/get"
LIMIT: Final = 300.0


class Watched(MvsepSimulator):
    """Lets a test wait until so many jobs are known to their owner: asked about after they were created."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._changed = threading.Condition()

    def respond(self, request: Request) -> Answer:
        try:
            return super().respond(request)
        finally:
            with self._changed:
                self._changed.notify_all()

    def wait_asked(self, path: str = ASKED, count: int = 1) -> None:
        """Wait until a path was asked for so often."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests("GET", path)) >= count, LIMIT)
