"""Building the peaks of inserted items a little in every tick, so that REAPER's window never waits."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from . import api

if TYPE_CHECKING:
    from collections.abc import Iterable

BUDGET = 0.001
"""Seconds a tick may spend."""


class Peaks:
    """The items that still need peaks, by pointer and GUID: a pointer alone may be stale."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, str]] = deque()
        self._begun = ""

    def add(self, items: Iterable[tuple[str, str]]) -> None:
        """Take on items."""
        self._waiting.extend(items)

    def step(self) -> bool:
        """Work for a moment; return whether something is left."""
        end = time.perf_counter() + BUDGET
        while self._waiting and time.perf_counter() < end:
            pointer, guid = self._waiting[0]
            if self._is_ready(pointer, guid):
                self._waiting.popleft()
                self._begun = ""
        return bool(self._waiting)

    def _is_ready(self, pointer: str, guid: str) -> bool:
        if api.guid("MediaItem", pointer) != guid:
            # Deleted, or in a project that is not active: REAPER builds its peaks when it is next shown.
            return True
        source = api.call("GetMediaItemTake_Source", api.call("GetActiveTake", pointer))
        try:
            return self._build(source, guid)
        except (AttributeError, KeyError):
            # Before REAPER 6.35 there is no such function; it builds peaks by itself.
            return True

    def _build(self, source: str, guid: str) -> bool:
        if self._begun != guid:
            self._begun = guid
            return not api.call("PCM_Source_BuildPeaks", source, 0)
        if api.call("PCM_Source_BuildPeaks", source, 1):
            return False
        api.call("PCM_Source_BuildPeaks", source, 2)
        return True
