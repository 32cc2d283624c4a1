"""When a file is complete: nothing of it changed over our own observations, and its structure does not say otherwise.

Pure: no file system, no clock of its own. Only observations on a monotonic clock count; times of the file prove
nothing, since copies bring theirs along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final

import msgspec

from stembridge_hot_folder.settling.identity import Identity

PATIENCE: Final = 12
"""Settle times that a file is waited for whose structure says that more is to come; what changes longer is slow."""
MOST: Final = 20_000
"""Files watched at once until they are complete, and as many slow ones."""

_EMPTY: Final = "is empty"
_CHANGES: Final = "still changes, or says that more is to come"


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
        most: slow files that are remembered; of more each look begins anew.
    """

    def __init__(
        self,
        patience: Patience,
        is_whole: Callable[[bytes], bool],
        warn: Callable[[bytes, str], None] = lambda _path, _text: None,
        *,
        most: int = MOST,
    ) -> None:
        self.patience = patience
        self._is_whole = is_whole
        self._warn = warn
        self._most = most
        self._watched: dict[bytes, _Watched] = {}
        self._slow: dict[bytes, _Watched] = {}
        """Placeholders, and files that change without end: apart, so that they take no room from songs."""

    def __len__(self) -> int:
        return len(self._watched) + len(self._slow)

    def __contains__(self, path: bytes) -> bool:
        return path in self._watched or path in self._slow

    def __iter__(self) -> Iterator[bytes]:
        return chain(self._watched, self._slow)

    @property
    def crowd(self) -> int:
        """How many files may soon be complete."""
        return len(self._watched)

    def observe(self, path: bytes, identity: Identity, now: float, seen: float | None = None) -> bool:
        """Take an observation in and tell whether the file is complete; then it is forgotten here.

        Args:
            path: the file.
            identity: its version.
            now: when the look began: until then an earlier version surely stayed.
            seen: when it had ended: from then on a new version surely stays; ``now`` for one that takes no time.
        """
        known = self._find(path)
        self.forget(path)
        if known is None or known.identity != identity:
            first = now if known is None else known.first
            since = now if seen is None else seen
            due = since + self.patience.settle
            known = _Watched(identity, since, first, due, known is not None and known.is_warned)
        still = now - known.since
        if still >= self.patience.settle:
            if identity.size and (still >= self.patience.settle * PATIENCE or self._is_whole(path)):
                return True
            # A placeholder may fill hours later; its first byte is a change that is told, or seen by a rescan.
            known.due = now + self.patience.settle if identity.size else float("inf")
        self._warn_once(path, known, now)
        self._keep(path, known, now)
        return False

    def forget(self, path: bytes) -> bool:
        """Forget a path; tell whether it was known."""
        return any(each.pop(path, None) is not None for each in (self._watched, self._slow))

    def start_anew(self, now: float) -> None:
        """Let all files wait for the whole settle time again: what happened before was not observed."""
        for known in self._all():
            known.since, known.due = now, now + self.patience.settle

    def due(self, now: float) -> list[bytes]:
        """Return the paths that are to be observed again by now."""
        return [path for each in (self._watched, self._slow) for path, known in each.items() if known.due <= now]

    def next_due(self) -> float | None:
        """Return when the next path is to be observed."""
        return min((known.due for known in self._all()), default=None)

    def is_given_time(self, path: bytes, now: float) -> bool:
        """Tell whether a file may take for ever: it waits for its first byte, or has not settled for very long."""
        known = self._find(path)
        if known is None:
            return False
        is_empty = not known.identity.size and now - known.since >= self.patience.settle
        return is_empty or now - known.first >= self.patience.max_wait

    def why_waits(self, path: bytes) -> str:
        """Return why a file is not complete, as the end of a sentence."""
        known = self._find(path)
        return _EMPTY if known is not None and not known.identity.size else _CHANGES

    def _find(self, path: bytes) -> _Watched | None:
        return self._watched.get(path) or self._slow.get(path)

    def _all(self) -> Iterator[_Watched]:
        return chain(self._watched.values(), self._slow.values())

    def _keep(self, path: bytes, known: _Watched, now: float) -> None:
        is_slow = not known.identity.size or now - known.first >= self.patience.settle * PATIENCE
        if not is_slow:
            self._watched[path] = known
        elif len(self._slow) < self._most:
            self._slow[path] = known

    def _warn_once(self, path: bytes, known: _Watched, now: float) -> None:
        if known.is_warned or now - known.first < self.patience.max_wait:
            return
        known.is_warned = True
        why = _CHANGES if known.identity.size else _EMPTY
        self._warn(path, f"{why} after {round(now - known.first)} s; it is still waited for")
