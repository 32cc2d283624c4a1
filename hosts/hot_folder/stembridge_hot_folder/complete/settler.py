"""When a file is complete: nothing of it changed over our own observations, and its structure does not say otherwise.

Pure: no file system, no clock of its own. Only observations on a monotonic clock count; times of the file prove
nothing, since copies bring theirs along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from stembridge_hot_folder.complete.identity import Identity

PATIENCE: Final = 12
"""Settle times that a file is waited for whose structure says that more is to come."""


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long files are waited for, in seconds."""

    settle: float = 5.0
    max_wait: float = 600.0


class _Watched(msgspec.Struct):
    identity: Identity
    since: float
    """When this identity was first seen."""
    first: float
    """When the path was first seen."""
    due: float
    is_warned: bool = False


class Settler:
    """Files on their way to completeness.

    Args:
        patience: how long to wait.
        is_whole: tells by a file's structure whether more is to come.
        warn: told once of each file that takes very long.
    """

    def __init__(
        self,
        patience: Patience,
        is_whole: Callable[[bytes], bool],
        warn: Callable[[bytes, str], None] = lambda _path, _text: None,
    ) -> None:
        self.patience = patience
        self._is_whole = is_whole
        self._warn = warn
        self._watched: dict[bytes, _Watched] = {}

    def __len__(self) -> int:
        return len(self._watched)

    def __contains__(self, path: bytes) -> bool:
        return path in self._watched

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._watched)

    def observe(self, path: bytes, identity: Identity, now: float) -> bool:
        """Take an observation in and tell whether the file is complete; then it is forgotten here."""
        known = self._watched.get(path)
        if known is None or known.identity != identity:
            first = now if known is None else known.first
            due = now + self.patience.settle
            self._watched[path] = known = _Watched(identity, now, first, due, known is not None and known.is_warned)
        still = now - known.since
        if identity.size and still >= self.patience.settle:
            if still >= self.patience.settle * PATIENCE or self._is_whole(path):
                del self._watched[path]
                return True
            known.due = now + self.patience.settle
        elif not identity.size:
            # A placeholder may fill hours later; its first byte is a change that is told or seen by a rescan.
            known.due = now + max(self.patience.settle, 1.0)
        self._warn_once(path, known, now)
        return False

    def forget(self, path: bytes) -> bool:
        """Forget a path; tell whether it was known."""
        return self._watched.pop(path, None) is not None

    def start_anew(self, now: float) -> None:
        """Let all files wait for the whole settle time again: what happened before was not observed."""
        for known in self._watched.values():
            known.since, known.due = now, now + self.patience.settle

    def due(self, now: float) -> list[bytes]:
        """Return the paths that are to be observed again by now."""
        return [path for path, known in self._watched.items() if known.due <= now]

    def next_due(self) -> float | None:
        """Return when the next path is to be observed."""
        return min((known.due for known in self._watched.values()), default=None)

    def is_given_time(self, path: bytes, now: float) -> bool:
        """Tell whether a file may take for ever: it waits for its first byte, or has not settled for very long."""
        known = self._watched[path]
        is_empty = not known.identity.size and now - known.since >= self.patience.settle
        return is_empty or now - known.first >= self.patience.max_wait

    def why_waits(self, path: bytes) -> str:
        """Return why a file is not complete, as the end of a sentence."""
        return "still changes, or says that more is to come" if self._watched[path].identity.size else "is empty"

    def _warn_once(self, path: bytes, known: _Watched, now: float) -> None:
        if known.is_warned or now - known.first < self.patience.max_wait:
            return
        known.is_warned = True
        self._warn(path, f"{self.why_waits(path)} after {round(now - known.first)} s; it is still waited for")
